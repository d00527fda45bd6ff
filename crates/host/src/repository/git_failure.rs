//! Causes of failed git commands, recognised by what git and the remote print. Git has no error codes, and each Git
//! host has its own wording.

use flightdeck_core::text;

use super::{address, git::GitError};

/// Lines of the remote in a message.
const REMOTE_LINES: usize = 6;
/// Maximum width of a message.
const WIDTH: usize = 400;

/// Why a git command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitFailure {
    /// What the commits contain is not allowed: a secret, a large file, a private email address, no signature.
    Content,
    /// The branch is protected; pushing to another branch may work.
    Protected,
    /// The account may read the repository, but not push to it.
    ReadOnly,
    /// A branch `a` keeps branches `a/b` from existing, and the other way round.
    NameConflict,
    /// The remote branch has commits that the local branch lacks, or moved in the meantime.
    NonFastForward,
    /// Another process is updating the ref.
    RefLocked,
    DiskFull,
    /// A hook of the server, or the server itself, rejected the push.
    Rejected,
    MissingBranch,
    /// The repository belongs to another user of this machine.
    DubiousOwnership,
    /// The SSH host key is unknown or has changed.
    HostKey,
    Proxy,
    /// The TLS certificate is not trusted.
    Certificate,
    Auth,
    /// The repository does not exist, or the account cannot see it.
    NotFound,
    Network,
    /// The installed git does not know a command or an option.
    OldGit,
    Other,
}

use GitFailure as Failure;

/// Fragments of output, in lower case, and the failure they mean. The first match wins: what a server says comes
/// before what git prints after any failure.
const FAILURES: &[(Failure, &[&str])] = &[
    (
        Failure::Content,
        &[
            // GitHub
            "gh001: large files detected",
            "gh007: your push would publish",
            "gh009: secrets detected",
            "push cannot contain secrets",
            "github push protection",
            "must have verified signatures",
            // GitLab
            "commit must be signed",
            "file larger than the allowed size",
            "does not follow the pattern",
            // Azure DevOps
            "vs403654",
        ],
    ),
    (
        Failure::Protected,
        &[
            // GitHub
            "gh006: protected branch update failed",
            "gh013: repository rule violations found",
            "changes must be made through a pull request",
            // GitLab
            "not allowed to push code to protected branches",
            "not allowed to force push code to a protected branch",
            "not allowed to create protected branches",
            // Gitea and Forgejo
            "not allowed to push to protected branch",
            // Bitbucket
            "can only be modified through pull requests",
            "is restricted from being pushed to",
            // Azure DevOps
            "tf402455",
            // Any server
            "protected branch hook declined",
            "refusing to update checked out branch",
            "deny updating a hidden ref",
        ],
    ),
    (
        Failure::ReadOnly,
        &[
            // GitHub
            "this repository was archived so it is read-only",
            "key you are authenticating with has been marked as read only",
            "write access to repository not granted",
            "denied to ",
            // GitLab
            "not allowed to push code to this project",
            "this deploy key does not have write access",
            "the project is archived",
            // Gitea and Forgejo
            "user permission denied for writing",
            // Bitbucket
            "you don't have permission to push",
            // Azure DevOps
            "tf401027",
        ],
    ),
    (
        Failure::NameConflict,
        &["exists; cannot create", "directory file conflict"],
    ),
    (
        Failure::NonFastForward,
        &[
            "(fetch first)",
            "(non-fast-forward)",
            "(stale info)",
            "(needs force)",
            "(remote ref updated since checkout)",
            "but expected ",
            "reference already exists",
        ],
    ),
    (
        Failure::DiskFull,
        &["no space left on device", "disk quota exceeded"],
    ),
    (
        Failure::RefLocked,
        &[
            "cannot lock ref",
            "could not lock",
            ".lock': file exists",
            "another git process seems to be running",
            "failed to update ref",
        ],
    ),
    (Failure::Rejected, &["[remote rejected]", "hook declined"]),
    (
        Failure::MissingBranch,
        &[
            "couldn't find remote ref",
            "could not find remote ref",
            "not found in upstream",
        ],
    ),
    (
        Failure::DubiousOwnership,
        &["detected dubious ownership", "unsafe repository ("],
    ),
    (
        Failure::HostKey,
        &[
            "host key verification failed",
            "remote host identification has changed",
        ],
    ),
    (
        Failure::Proxy,
        &[
            "connect tunnel failed",
            "from proxy after connect",
            "could not resolve proxy",
            "couldn't resolve proxy",
            "proxy url",
            "returned error: 407",
        ],
    ),
    (
        Failure::Certificate,
        &[
            "ssl certificate problem",
            "certificate verification failed",
            "certificate verify failed",
            "unable to get local issuer certificate",
            "no alternative certificate subject name",
            "certificate subject name",
            "error setting certificate",
            "problem with the ssl ca cert",
        ],
    ),
    (
        Failure::Auth,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "unable to get password from user",
            "unable to read askpass response",
            "user interactivity has been disabled",
            "terminal prompts disabled",
            "permission denied (",
            "permission denied, please try again",
            "invalid username or",
            "invalid credentials",
            "returned error: 401",
            "returned error: 403",
        ],
    ),
    (
        Failure::NotFound,
        &[
            "repository not found",
            "project not found",
            "could not be found or you don't have permission",
            "does not appear to be a git repository",
            "does not exist",
            "returned error: 404",
            "no such file or directory",
            "/' not found",
            "' not found",
            // Azure DevOps
            "tf401019",
        ],
    ),
    (
        Failure::Network,
        &[
            "could not resolve host",
            "couldn't resolve host",
            "temporary failure in name resolution",
            "name or service not known",
            "connection refused",
            "connection reset",
            "connection closed",
            "timed out",
            "failed to connect",
            "couldn't connect",
            "network is unreachable",
            "no route to host",
            "hung up unexpectedly",
            "early eof",
            "unexpected disconnect",
            "rpc failed",
            "returned error: 5",
            "returned error: 429",
            "tls connect",
            "ssl_error_syscall",
            "non-properly terminated",
        ],
    ),
    (
        Failure::OldGit,
        &[
            "is not a git command",
            "unknown option",
            "unknown switch",
            "unrecognized argument",
        ],
    ),
];

impl GitFailure {
    /// Returns the cause of a failure by the output of git in the C locale.
    #[must_use]
    pub fn of(output: &str) -> Self {
        let output = output.to_lowercase();
        FAILURES
            .iter()
            .find(|(_, fragments)| fragments.iter().any(|fragment| output.contains(fragment)))
            .map_or(Self::Other, |(failure, _)| *failure)
    }

    /// Returns a CamelCase name for the reason of a condition, equal to
    /// [`ForgeError::name`](crate::forge::ForgeError::name) where both exist.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content => "ContentRejected",
            Self::Protected => "ProtectedBranch",
            Self::ReadOnly => "PermissionDenied",
            Self::NameConflict => "BranchNameConflict",
            Self::NonFastForward => "BranchMoved",
            Self::RefLocked => "BranchLocked",
            Self::DiskFull => "DiskFull",
            Self::Rejected => "HookDeclined",
            Self::MissingBranch => "MissingBase",
            Self::DubiousOwnership => "DubiousOwnership",
            Self::HostKey => "UnknownHostKey",
            Self::Certificate => "UntrustedCertificate",
            Self::Auth => "Unauthorized",
            Self::NotFound => "RepositoryNotFound",
            Self::Proxy | Self::Network => "ForgeUnreachable",
            Self::OldGit => "GitTooOld",
            Self::Other => "PushFailed",
        }
    }

    /// Returns what failed at the remote `place`, as a clause.
    #[must_use]
    pub fn summary(self, place: &str) -> String {
        match self {
            Self::Content => format!("{place} rejects the commits"),
            Self::Protected => format!("{place} protects the branch"),
            Self::ReadOnly => format!("{place} does not let this account push"),
            Self::NameConflict => format!("{place} has a branch with a conflicting name"),
            Self::NonFastForward => format!("the branch at {place} has other commits"),
            Self::RefLocked => format!("the branch at {place} is locked"),
            Self::DiskFull => format!("no space left on the disk, here or at {place}"),
            Self::Rejected => format!("{place} rejected the push"),
            Self::MissingBranch => format!("{place} does not have the branch"),
            Self::DubiousOwnership => format!("{place} belongs to another user"),
            Self::HostKey => format!("{place} has an unknown or changed host key"),
            Self::Proxy => format!("the proxy for {place} rejects git"),
            Self::Certificate => format!("the certificate of {place} is not trusted"),
            Self::Auth => format!("{place} rejected the credential"),
            Self::NotFound => format!("{place} was not found, or the credential has no access"),
            Self::Network => format!("{place} is unreachable"),
            Self::OldGit => "the installed git is too old".to_owned(),
            Self::Other => format!("git failed for {place}"),
        }
    }

    /// Returns what to do, as a clause; empty if that is unknown.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Content => "change the commits, or the rules of the repository",
            Self::Protected => "push to another branch, or allow this account to push to it",
            Self::ReadOnly => "ask for write access, or push to a fork",
            Self::NameConflict => "choose another branch name, or delete the other branch",
            Self::NonFastForward => "pull first, or choose another branch",
            Self::RefLocked => "retry when the other git process has ended",
            Self::DiskFull => "free disk space",
            Self::Rejected => "do what its message asks for",
            Self::MissingBranch => "push it first",
            Self::DubiousOwnership => {
                "change its owner, or trust it: git config --global --add safe.directory DIRECTORY"
            }
            Self::HostKey => "verify the key, then add it to known_hosts",
            Self::Proxy => "fix HTTPS_PROXY and NO_PROXY",
            Self::Certificate => "add its CA to the system's certificates, or set http.sslCAInfo",
            Self::Auth => "log in with git again",
            Self::NotFound => "check the address and your access",
            Self::Network => "retry later",
            Self::OldGit => "update git",
            Self::Other => "",
        }
    }

    /// Returns whether the same command may succeed a moment later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Network)
    }

    /// Returns whether the cause may be a missing credential: hosts often report private repositories as not found.
    #[must_use]
    pub const fn may_need_credential(self) -> bool {
        matches!(self, Self::Auth | Self::NotFound | Self::HostKey)
    }

    /// Returns whether only the user can resolve it, by logging in or by trusting a key.
    #[must_use]
    pub const fn needs_user(self) -> bool {
        matches!(self, Self::Auth | Self::HostKey)
    }
}

/// Returns the part of `output` that explains a failure, on one line, sanitised and without credentials: what the
/// remote said, else git's own error. Returns `error` if there is no output.
#[must_use]
pub fn explanation(output: &str, error: &GitError) -> String {
    let said = remote_message(output)
        .or_else(|| error_line(output).map(str::to_owned))
        .unwrap_or_else(|| error.to_string());
    let said = address::without_credentials_in(&said);
    text::cut_end(&text::sanitize(&said), WIDTH).into_owned()
}

/// Returns the line of git's output that explains the failure, without credentials.
#[must_use]
pub fn error_summary(error: &GitError) -> String {
    explanation(error.stderr(), error)
}

/// Returns the message of the remote, with git's reason for a rejection in parentheses.
fn remote_message(output: &str) -> Option<String> {
    let mut lines: Vec<&str> = Vec::new();
    for line in output.lines().filter_map(remote_line) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    // Git's own line about a hook; its reason follows in parentheses.
    let is_own = |line: &&str| line.starts_with("hook declined to update");
    if !lines.iter().all(is_own) {
        lines.retain(|line| !is_own(line));
    }
    if lines.is_empty() {
        return None;
    }
    lines.truncate(REMOTE_LINES);
    let message = lines.join(" / ");
    let rejected = output
        .lines()
        .find(|line| line.contains("[remote rejected]"));
    let reason = rejected.and_then(|line| line.split_once(" (")?.1.trim_end().strip_suffix(')'));
    Some(match reason {
        Some(reason) => format!("{message} ({reason})"),
        None => message,
    })
}

/// Returns the text of a line from the remote: over HTTP it begins with `remote:`, over SSH often with `ERROR:`.
/// Returns `None` for progress.
fn remote_line(line: &str) -> Option<&str> {
    let line = line.trim();
    let said = match line.strip_prefix("remote:") {
        Some(said) => said.trim(),
        None if line.starts_with("ERROR:") => line,
        None => return None,
    };
    let said = said
        .trim_start_matches("error:")
        .trim_start_matches("ERROR:");
    let said = said.trim();
    let is_rule = said.chars().all(|c| !c.is_alphanumeric());
    let is_progress = [
        "Enumerating ",
        "Counting ",
        "Compressing ",
        "Total ",
        "Resolving ",
    ];
    (!is_rule && !is_progress.iter().any(|start| said.starts_with(start))).then_some(said)
}

/// Returns git's own error: the first fatal line, which advice follows. With SSH, the cause precedes it.
fn error_line(output: &str) -> Option<&str> {
    let lines = || {
        output
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let line = lines()
        .find(|line| line.starts_with("fatal:") && !line.contains("Could not read from remote"))
        .or_else(|| lines().find(|line| line.starts_with("! [")))
        .or_else(|| lines().find(|line| line.starts_with("error:")))
        .or_else(|| lines().next())?;
    Some(
        line.trim_start_matches("fatal: ")
            .trim_start_matches("error: "),
    )
}

#[cfg(test)]
mod tests;
