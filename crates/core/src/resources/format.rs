//! The shapes of text in a spec: each pattern with the words for a person who wrote something else.
//!
//! A pattern has to mean the same to the API server (Go's RE2, no look-ahead) and to the `regex` crate; so classes name
//! ASCII ranges, never `\s` or `\w`.

/// A plain name: ids of tasks, names of agents.
pub const NAME: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";
/// A DNS label.
pub const LABEL: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// A branch, as far as a pattern can say what `git check-ref-format` allows; the rest is one of the rules.
pub const BRANCH: &str = r"^[^-./\x00-\x20\x7f~^:?*\[\\][^./\x00-\x20\x7f~^:?*\[\\]*(\.[^./\x00-\x20\x7f~^:?*\[\\]+)*(/[^./\x00-\x20\x7f~^:?*\[\\]+(\.[^./\x00-\x20\x7f~^:?*\[\\]+)*)*$";
/// A URL, `host:path` as SSH has it, or an absolute path. Helpers that run programs (`ext::`) are none of these.
pub const REPOSITORY: &str = r"^((https?|ssh|git|file)://[^\x00-\x1f\x7f]+|/[^\x00-\x1f\x7f]*|[^-/:\x00-\x20\x7f][^/:\x00-\x20\x7f]*:/?[^/:\x00-\x1f\x7f][^\x00-\x1f\x7f]*)$";
/// A directory below the repository root, `.` for the root itself.
pub const DIRECTORY: &str = r"^(\./?|(\./)?([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+)(/([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+))*/?)$";
/// Parts between single slashes, none of them `.` or `..`: tags, and paths of files.
pub const PARTS: &str = r"^([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+)(/([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+))*$";
/// A git object id, SHA-1 or SHA-256.
pub const OBJECT_ID: &str = r"^[0-9a-f]{40}([0-9a-f]{24})?$";
/// A user of a forge.
pub const USER: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]*$";
/// One word that is never read as an option, or nothing.
pub const WORD: &str = r"^([^-\x00-\x20\x7f][^\x00-\x20\x7f]*)?$";
/// One line.
pub const LINE: &str = r"^[^\x00-\x1f\x7f]+$";
/// An environment variable.
pub const VARIABLE: &str = r"^[A-Za-z_][A-Za-z0-9_]*$";
/// A Kubernetes object: a DNS subdomain.
pub const OBJECT: &str = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
/// A key of a Secret.
pub const KEY: &str = r"^[A-Za-z0-9._-]+$";
/// A Markdown file.
pub const MARKDOWN: &str = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?\.md$";
/// US dollars.
pub const DOLLARS: &str = r"^[0-9]+(\.[0-9]{1,6})?$";

/// Each pattern and what a text that matches it is, with the article.
pub(super) const WORDS: [(&str, &str); 15] = [
    (
        NAME,
        "a name of letters, digits, dots, dashes and underscores",
    ),
    (LABEL, "a name of small letters, digits and inner dashes"),
    (BRANCH, "a name git takes for a branch"),
    (
        REPOSITORY,
        "the address of a repository (a URL, host:path, or an absolute path)",
    ),
    (DIRECTORY, "a directory below the repository root"),
    (PARTS, "a path of names, without `.` and `..`"),
    (OBJECT_ID, "a git object id"),
    (USER, "the name of a user"),
    (WORD, "one word that begins without a dash"),
    (LINE, "one line of text"),
    (
        VARIABLE,
        "the name of a variable (letters, digits and underscores)",
    ),
    (OBJECT, "the name of a Kubernetes object"),
    (KEY, "a key of a Secret"),
    (MARKDOWN, "the name of a Markdown file"),
    (DOLLARS, "a number of US dollars, like 2.50"),
];
