//! String formats of a spec: patterns, with a description for error messages.
//!
//! A pattern must mean the same to the API server (RE2, no look-ahead) and to the `regex` crate. Classes therefore
//! list ASCII ranges and never use `\s` or `\w`.

/// Task ids and agent names.
pub(super) const NAME: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]*$";
/// A DNS label.
pub(super) const LABEL: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// A branch name, as far as a pattern can express `git check-ref-format`. A rule covers the rest.
pub(super) const BRANCH: &str = r"^[^-./\x00-\x20\x7f~^:?*\[\\][^./\x00-\x20\x7f~^:?*\[\\]*(\.[^./\x00-\x20\x7f~^:?*\[\\]+)*(/[^./\x00-\x20\x7f~^:?*\[\\]+(\.[^./\x00-\x20\x7f~^:?*\[\\]+)*)*$";
/// A URL, an scp-like `host:path`, or an absolute path. Excludes remote helpers such as `ext::`, which run programs.
pub(super) const REPOSITORY: &str = r"^((https?|ssh|git|file)://[^\x00-\x1f\x7f]+|/[^\x00-\x1f\x7f]*|[^-/:\x00-\x20\x7f][^/:\x00-\x20\x7f]*:/?[^/:\x00-\x1f\x7f][^\x00-\x1f\x7f]*)$";
/// A directory below the repository root; `.` for the root.
pub(super) const DIRECTORY: &str = r"^(\./?|(\./)?([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+)(/([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+))*/?)$";
/// Components separated by single slashes, none of them `.` or `..`. For tags and file paths.
pub(super) const SAFE_PATH: &str = r"^([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+)(/([^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*|\.\.[^/\\\x00-\x1f\x7f]+))*$";
/// A git object id, SHA-1 or SHA-256.
pub(super) const OBJECT_ID: &str = r"^[0-9a-f]{40}([0-9a-f]{24})?$";
/// A forge user name.
pub(super) const USER: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]*$";
/// One word that cannot be read as an option; may be empty.
pub(super) const WORD: &str = r"^([^-\x00-\x20\x7f][^\x00-\x20\x7f]*)?$";
/// A single line.
pub(super) const LINE: &str = r"^[^\x00-\x1f\x7f]+$";
/// Name of an environment variable.
pub(super) const VARIABLE: &str = r"^[A-Za-z_][A-Za-z0-9_]*$";
/// Name of a Kubernetes object: a DNS subdomain.
pub(super) const OBJECT_NAME: &str = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
/// Key of a Secret.
pub(super) const SECRET_KEY: &str = r"^[A-Za-z0-9._-]+$";
/// Name of a Markdown file.
pub(super) const MARKDOWN: &str = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?\.md$";
/// Amount in US dollars.
pub(super) const USD_AMOUNT: &str = r"^[0-9]+(\.[0-9]{1,6})?$";

/// Description of each pattern, with its article, for error messages.
pub(super) const DESCRIPTIONS: [(&str, &str); 15] = [
    (
        NAME,
        "a name of letters, digits, dots, dashes and underscores",
    ),
    (
        LABEL,
        "a name of lower-case letters, digits and inner dashes",
    ),
    (BRANCH, "a valid branch name"),
    (
        REPOSITORY,
        "a repository address (a URL, host:path, or an absolute path)",
    ),
    (DIRECTORY, "a directory below the repository root"),
    (SAFE_PATH, "a path without `.` and `..`"),
    (OBJECT_ID, "a git object id"),
    (USER, "a user name"),
    (WORD, "a word that does not start with a dash"),
    (LINE, "one line of text"),
    (
        VARIABLE,
        "a variable name (letters, digits and underscores)",
    ),
    (OBJECT_NAME, "the name of a Kubernetes object"),
    (SECRET_KEY, "a key of a Secret"),
    (MARKDOWN, "the name of a Markdown file"),
    (USD_AMOUNT, "an amount in US dollars, like 2.50"),
];
