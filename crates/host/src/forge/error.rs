//! Forge errors. Each message says what failed and what to do.

/// A forge error. `repository` is the project's path; server messages are sanitised and shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// 401, and no token was sent.
    #[error(
        "{host} requires a token for {repository}: set {variable} to a token with write access to pull requests"
    )]
    NoToken {
        host: String,
        repository: String,
        /// The environment variable for a token.
        variable: &'static str,
    },
    /// 401, and a token was sent.
    #[error(
        "{host} rejected the token for {repository} (wrong, expired or revoked): set {variable} to a valid one"
    )]
    Unauthorized {
        host: String,
        repository: String,
        variable: &'static str,
    },
    /// The path of a project is not one of this forge.
    #[error(
        "{project} is not a repository of {forge}, which has {expected}: check the remote's URL, or set `repository` of its host in [forge] of the settings"
    )]
    InvalidProject {
        forge: &'static str,
        project: String,
        expected: &'static str,
    },
    /// The run was created by a version with other forges.
    #[error(
        "unknown kind of Git host `{kind}`: use the version of Flightdeck that created the run"
    )]
    UnknownKind { kind: String },
    /// 403: a permission is missing.
    #[error(
        "the token may not {action} in {repository} ({message}): grant it write access to pull requests and contents, or ask an owner"
    )]
    Forbidden {
        repository: String,
        /// What was attempted; completes "may not ...".
        action: String,
        message: String,
    },
    /// 404: the server does not distinguish a missing repository from one that the token cannot see.
    #[error(
        "repository {repository} not found on {host}: check the remote's URL and that the token can read the repository"
    )]
    NotFound { host: String, repository: String },
    /// 404 for a pull request in a repository that exists.
    #[error("{repository} has no pull request #{number}")]
    NoPullRequest { repository: String, number: i64 },
    /// 301: the repository was renamed or transferred.
    #[error("{repository} has moved on {host}: update the remote's URL")]
    Moved { host: String, repository: String },
    /// 422: the base branch does not exist.
    #[error("{repository} has no base branch {base}: push it first (git push -u origin {base})")]
    MissingBase { repository: String, base: String },
    /// 422: the head branch does not exist.
    #[error("{repository} has no head branch {head}: it was not pushed; publish again")]
    MissingHead { repository: String, head: String },
    /// 422: the branches do not differ.
    #[error("{head} has no commits that are not in {base}: nothing to open a pull request for")]
    NoCommits { base: String, head: String },
    /// 422: a pull request exists but was not found.
    #[error(
        "{repository} reports an existing pull request for {head}, but lists none into {base}: check the repository's pull requests"
    )]
    AlreadyExists {
        repository: String,
        base: String,
        head: String,
    },
    /// 422 to a review request: unknown reviewers.
    #[error("cannot request reviews from {} in {repository}: correct `reviewers` in the settings, or add them as collaborators", names.join(", "))]
    UnknownReviewer {
        repository: String,
        names: Vec<String>,
    },
    /// 422 to a review request: the reviewer is the author.
    #[error(
        "{name} is the author of the pull request and cannot review it: choose another reviewer"
    )]
    OwnReview { name: String },
    /// 422: private repositories have drafts only on paid plans.
    #[error("{repository} does not support draft pull requests: opened as ready for review")]
    NoDrafts { repository: String },
    /// Auto-merge is disabled in the repository.
    #[error(
        "auto-merge is disabled in {repository}: have an owner enable it in the repository's settings (Allow auto-merge), or remove `auto_merge`"
    )]
    AutoMergeOff { repository: String },
    /// The pull request can be merged at once, and the forge then rejects auto-merge.
    #[error(
        "#{number} can be merged now, so auto-merge was not enabled: merge it, or require checks or reviews on its base branch"
    )]
    AutoMergeIdle { number: i64 },
    /// Another refusal to enable auto-merge.
    #[error(
        "cannot enable auto-merge of #{number} ({message}): enable it on the pull request's page"
    )]
    AutoMerge { number: i64, message: String },
    /// Another 4xx.
    #[error("{host} refused to {action} in {repository} ({status}): {message}")]
    Refused {
        host: String,
        repository: String,
        action: String,
        status: u16,
        message: String,
    },
    /// A rate limit (429 or 403) longer than the retry policy waits.
    #[error("rate limit of {host} exceeded{}: try again later, or use another account's token", reset_hint(*retry_after_seconds))]
    RateLimited {
        host: String,
        retry_after_seconds: Option<u64>,
    },
    /// 5xx after several attempts.
    #[error("{host} failed with status {status} after several attempts: try again later")]
    Server { host: String, status: u16 },
    /// No response after several attempts.
    #[error(
        "cannot reach {host} ({message}): check the network and the forge's URL in the settings"
    )]
    Network { host: String, message: String },
    /// A response that does not match the API.
    #[error("unexpected response from {host} ({message}): check the forge's URL in the settings")]
    InvalidResponse { host: String, message: String },
}

impl ForgeError {
    /// Returns the error's name in CamelCase, for the reason of a condition.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoToken { .. } => "NoToken",
            Self::InvalidProject { .. } => "InvalidProject",
            Self::UnknownKind { .. } => "UnknownForge",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Forbidden { .. } => "PermissionDenied",
            Self::NotFound { .. } => "RepositoryNotFound",
            Self::NoPullRequest { .. } => "PullRequestNotFound",
            Self::Moved { .. } => "RepositoryMoved",
            Self::MissingBase { .. } => "MissingBase",
            Self::MissingHead { .. } => "MissingHead",
            Self::NoCommits { .. } => "NoCommits",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::UnknownReviewer { .. } => "UnknownReviewer",
            Self::OwnReview { .. } => "OwnReview",
            Self::NoDrafts { .. } => "NoDrafts",
            Self::AutoMergeOff { .. } => "AutoMergeOff",
            Self::AutoMergeIdle { .. } => "AutoMergeIdle",
            Self::AutoMerge { .. } => "AutoMergeRefused",
            Self::Refused { .. } => "Refused",
            Self::RateLimited { .. } => "RateLimited",
            Self::Server { .. } => "ForgeServerError",
            Self::Network { .. } => "ForgeUnreachable",
            Self::InvalidResponse { .. } => "InvalidResponse",
        }
    }

    /// Returns whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Server { .. } | Self::Network { .. }
        )
    }
}

fn reset_hint(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| {
        let time = flightdeck_core::text::duration(i64::try_from(seconds).unwrap_or(i64::MAX));
        format!(" (resets in {time})")
    })
}
