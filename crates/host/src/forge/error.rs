//! Why a forge did not do what it was asked: each failure told apart, each a sentence with what to do.

/// A failure. `repository` is `owner/name`; words of the server are sanitised and cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// 401 without a token having been sent.
    #[error(
        "{host} wants a token for {repository}: set GITHUB_TOKEN to one that may write pull requests"
    )]
    NoToken { host: String, repository: String },
    /// 401.
    #[error(
        "{host} does not accept the token for {repository}: it is wrong, expired or revoked; set GITHUB_TOKEN to a new one"
    )]
    Unauthorized { host: String, repository: String },
    /// 403 for want of a permission.
    #[error(
        "the token may not {action} in {repository} ({message}): give it write permission for pull requests and contents, or ask an owner"
    )]
    Forbidden {
        repository: String,
        /// What was tried, as words that follow "may not".
        action: String,
        message: String,
    },
    /// 404: the server does not tell a repository that is not there from one that the token cannot see.
    #[error(
        "{host} shows no repository {repository} to this token: check the remote's address, and that the token may read it"
    )]
    NotFound { host: String, repository: String },
    /// 404 on a pull request of a repository that answers.
    #[error("{repository} has no pull request #{number}")]
    NoPullRequest { repository: String, number: i64 },
    /// 301: the repository has another name now.
    #[error("{repository} has moved on {host}: set the remote to its new address")]
    Moved { host: String, repository: String },
    /// 422: the branch that the pull request goes to is not there.
    #[error(
        "{repository} has no branch {base} for the pull request to go to: push it first (git push -u origin {base})"
    )]
    MissingBase { repository: String, base: String },
    /// 422: the branch that the pull request comes from is not there.
    #[error("{repository} has no branch {head}: the push did not reach it; publish again")]
    MissingHead { repository: String, head: String },
    /// 422: both branches are at the same work.
    #[error(
        "{head} has no commits that {base} lacks, so there is nothing to open a pull request for"
    )]
    NoCommits { base: String, head: String },
    /// 422: there is one, but it cannot be found.
    #[error(
        "{repository} says that {head} has a pull request already, but shows none into {base}: open the repository's list of pull requests"
    )]
    AlreadyExists {
        repository: String,
        base: String,
        head: String,
    },
    /// 422 on asking for reviews.
    #[error("{repository} knows no reviewer {}: correct `reviewers` in the settings, or make them collaborators", names.join(", "))]
    UnknownReviewer {
        repository: String,
        names: Vec<String>,
    },
    /// 422 on asking for a review: the token belongs to that person.
    #[error("{name} opened the pull request and cannot review it: name another of `reviewers`")]
    OwnReview { name: String },
    /// 422: only paid plans have drafts in private repositories.
    #[error("{repository} takes no draft pull requests, so it was opened ready for review")]
    NoDrafts { repository: String },
    /// The repository does not allow auto-merge.
    #[error(
        "auto-merge is off in {repository}: an owner switches it on in the repository's settings (Allow auto-merge), or leave out `auto_merge`"
    )]
    AutoMergeOff { repository: String },
    /// Nothing holds the pull request back, and then GitHub takes no auto-merge.
    #[error(
        "nothing has to happen before #{number} merges, so there is nothing for auto-merge to wait for: merge it by hand, or have its base branch require checks or reviews"
    )]
    AutoMergeIdle { number: i64 },
    /// Another refusal of auto-merge, in the server's words.
    #[error("auto-merge of #{number} was refused ({message}): switch it on at its page")]
    AutoMerge { number: i64, message: String },
    /// Another 422 or 4xx, in the server's words.
    #[error(
        "{host} refused to {action} in {repository} ({status}): {message}; change what it names, then try again"
    )]
    Refused {
        host: String,
        repository: String,
        action: String,
        status: u16,
        message: String,
    },
    /// 429, or 403 that speaks of a rate limit, for longer than it is worth waiting.
    #[error("{host} limits how often it is asked{}: try again later, or use a token of another account", when(*retry_after_seconds))]
    RateLimited {
        host: String,
        retry_after_seconds: Option<u64>,
    },
    /// 5xx, after several tries.
    #[error("{host} has trouble of its own ({status}) after several tries: try again later")]
    Server { host: String, status: u16 },
    /// No answer at all, after several tries.
    #[error(
        "{host} cannot be reached ({message}): check the network and the forge's address in the settings"
    )]
    Network { host: String, message: String },
    /// An answer that is not what the API promises.
    #[error(
        "{host} answered with something that is not a forge's answer ({message}): check the forge's address in the settings"
    )]
    Answer { host: String, message: String },
}

impl ForgeError {
    /// Its name in CamelCase, as a condition's reason.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoToken { .. } => "NoToken",
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
            Self::Server { .. } => "ForgeTrouble",
            Self::Network { .. } => "ForgeUnreachable",
            Self::Answer { .. } => "StrangeAnswer",
        }
    }

    /// Whether trying the same again later may work.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Server { .. } | Self::Network { .. }
        )
    }
}

fn when(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| {
        let time = flightdeck_core::text::duration(i64::try_from(seconds).unwrap_or(i64::MAX));
        format!(" (again in {time})")
    })
}
