//! The run's remote: the only module where git uses the network and the credential.
//!
//! The credential is bound to the host of the remote's URL and is passed to git only through its environment: never in an
//! argument, a URL, a log line or a configuration file.

use std::{path::Path, time::Duration};

use super::{error::StageError, log, ssh};
use flightdeck_core::{
    remote_url::{RemoteUrl, Transport, redact},
    runs::RunManifest,
};
use flightdeck_host::{
    forge::Secret,
    proxy,
    repository::git::{Git, GitError, Output},
};

/// Variables that may contain a token: removed from every git process that should not have it.
const TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];
/// The variable the credential helper reads.
const HELPER_TOKEN: &str = "FLIGHTDECK_GIT_TOKEN";
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=x-access-token\npassword=%s\n' "$FLIGHTDECK_GIT_TOKEN"; }; f"#;
/// Ends a hung git; a slow clone is ended by the pod's deadline.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Returns the Git token of this container, if it has one.
pub(crate) fn token() -> Option<Secret> {
    Secret::from_environment(|name| std::env::var(name).ok())
}

/// Returns a git command for local work: isolated from other configuration, hooks and tokens.
pub(crate) fn local(directory: &Path) -> Git {
    quiet(Git::new(directory).isolated()).env("GIT_NO_REPLACE_OBJECTS", "1")
}

fn quiet(git: Git) -> Git {
    git.env_remove(&TOKENS)
        .config("core.fsmonitor", "false")
        .config("gc.auto", "0")
        .config("maintenance.auto", "false")
        .timeout(TIMEOUT)
}

/// The remote a run clones from and pushes to.
pub(crate) struct Remote {
    pub url: String,
    /// The URL without user and password, for messages.
    display_url: String,
    /// The token and the origin it is bound to.
    token: Option<(String, Secret)>,
    /// The `GIT_SSH_COMMAND` that uses the container's key.
    ssh: Option<String>,
}

impl Remote {
    /// Returns the remote of `manifest`. The token is used only over HTTP for a host listed as a Git host in the settings, and
    /// a key only over SSH; other remotes use the git configuration of the current user.
    ///
    /// # Errors
    /// If the URL contains a password: as an argument of git it would be readable by every user of the machine.
    pub(super) fn new(manifest: &RunManifest, token: Option<Secret>) -> Result<Self, StageError> {
        Self::at(&manifest.repository_url, manifest.forge.is_some(), token)
    }

    /// Returns the remote at `url`; `known_host` is whether the settings list its host as a Git host.
    pub(super) fn at(
        url: &str,
        known_host: bool,
        token: Option<Secret>,
    ) -> Result<Self, StageError> {
        let display_url = redact(url);
        let parsed = RemoteUrl::parse(url)
            .map_err(|error| StageError::Setup(format!("cannot clone {display_url}: {error}")))?;
        if parsed.has_secret() {
            return Err(StageError::Setup(format!(
                "the URL of {display_url} contains a password or token, visible to everyone who can read runs: revoke it, then launch the run again with {display_url}"
            )));
        }
        let transport = parsed.transport();
        let origin = parsed.origin();
        let origin = origin.filter(|_| known_host && transport.is_http());
        Ok(Self {
            url: url.to_owned(),
            display_url,
            token: origin.zip(token),
            ssh: ssh::command().filter(|_| transport == Transport::Ssh),
        })
    }

    /// Returns the remote without this container's credential.
    pub(super) fn without_credential(self) -> Self {
        Self {
            token: None,
            ssh: None,
            ..self
        }
    }

    /// Returns whether the remote is accessed with a credential of this container.
    pub(super) const fn has_credential(&self) -> bool {
        self.token.is_some() || self.ssh.is_some()
    }

    fn is_http(&self) -> bool {
        Transport::of(&self.url).is_some_and(Transport::is_http)
    }

    /// The URL without user and password, for messages.
    pub(super) fn display_url(&self) -> &str {
        &self.display_url
    }

    /// Returns a git command for network access to the remote.
    fn git(&self, directory: &Path) -> Git {
        let git = Git::new(directory);
        match (&self.token, &self.ssh) {
            (None, None) => quiet(git).config("core.hooksPath", "/dev/null"),
            (None, Some(ssh)) => quiet(git.isolated())
                .env("GIT_SSH_COMMAND", ssh)
                .env("GIT_SSH_VARIANT", "ssh")
                .env_remove(&["SSH_AUTH_SOCK", "SSH_ASKPASS"]),
            (Some((origin, token)), _) => quiet(git.isolated())
                .config(&format!("credential.{origin}.helper"), HELPER)
                .env(HELPER_TOKEN, token.expose())
                .env_remove(&["GIT_ASKPASS", "SSH_ASKPASS"]),
        }
    }

    /// Runs the git command that `build` completes. Retries network failures.
    pub(super) async fn run_git(
        &self,
        directory: &Path,
        build: impl Fn(Git) -> Git,
    ) -> Result<Output, RemoteError> {
        let mut attempt = 0;
        loop {
            let error = match build(self.git(directory)).run().await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let problem = Problem::of(error.stderr());
            let Some(delay) = retry_delay(problem, attempt) else {
                return Err(self.explain(problem, &error));
            };
            attempt += 1;
            log(format!(
                "{}; retrying in {} s",
                self.explain(problem, &error).message,
                delay.as_secs()
            ));
            tokio::time::sleep(delay).await;
        }
    }

    fn explain(&self, problem: Problem, error: &GitError) -> RemoteError {
        let detail = match error {
            GitError::Failed { stderr, .. } => {
                error_line(stderr).replace(&self.url, &self.display_url)
            }
            other => other.to_string().replace(&self.url, &self.display_url),
        };
        let detail = proxy::redact_passwords(&detail);
        // A server may echo the token.
        let detail = match &self.token {
            Some((_, token)) => token.redact(&detail).into_owned(),
            None => detail.into_owned(),
        };
        let url = &self.display_url;
        let message = match problem {
            Problem::Auth if self.token.is_none() && self.is_http() => format!(
                "{url} requires a credential, but none was sent ({detail}); add its host to [forge] hosts of the settings, or log in with your own git"
            ),
            Problem::HostKey => format!(
                "{url} has an unknown host key ({detail}); add its line to [git] known_hosts of the settings, or to the key known_hosts of the Secret with the user's SSH key"
            ),
            Problem::Auth => format!(
                "{url} rejected the credential ({detail}); check the token of the run's githubUser, or your own git login on the embedded cluster"
            ),
            Problem::NotFound => format!(
                "{url} was not found, or the credential has no access ({detail}); check the run's repositoryUrl"
            ),
            Problem::NoBranch => {
                format!("{url} does not have the branch ({detail}); push it, then retry")
            }
            Problem::Protected => format!(
                "{url} protects the branch ({detail}); launch the run with another target branch, or allow this token to push to it"
            ),
            Problem::Proxy => format!(
                "the proxy for {url} rejects git ({detail}); fix [pods] proxy of the settings, or HTTPS_PROXY and NO_PROXY on the embedded cluster"
            ),
            Problem::Hook => format!("a hook of {url} rejected the push ({detail})"),
            Problem::Moved => format!(
                "the branch at {url} moved in the meantime ({detail}); retry, or choose another target branch"
            ),
            Problem::Network => format!("{url} is unreachable ({detail}); retry later"),
            Problem::Other => format!("git failed for {url}: {detail}"),
        };
        RemoteError { problem, message }
    }
}

/// A failed call to the remote.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct RemoteError {
    pub problem: Problem,
    pub message: String,
}

impl RemoteError {
    /// Returns the error that ends the stage.
    pub(super) fn ended(self, reason: &'static str) -> StageError {
        StageError::ended(reason, self.message)
    }
}

/// The cause of a failed call to the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Auth,
    HostKey,
    NotFound,
    NoBranch,
    Protected,
    Hook,
    Moved,
    Proxy,
    Network,
    Other,
}

/// Patterns of git's messages. The first matching row wins, so specific ones precede those that follow any failure.
const PROBLEMS: &[(Problem, &[&str])] = &[
    (
        Problem::Protected,
        &[
            "protected branch",
            "gh006",
            "gh013",
            "rule violations",
            "not allowed to push",
        ],
    ),
    (
        Problem::Hook,
        &["hook declined", "pre-receive", "remote rejected"],
    ),
    (
        Problem::Moved,
        &["stale info", "non-fast-forward", "fetch first"],
    ),
    (
        Problem::NoBranch,
        &["couldn't find remote ref", "could not find remote ref"],
    ),
    (Problem::HostKey, &["host key verification failed"]),
    (
        Problem::Proxy,
        &[
            "connect tunnel failed",
            "from proxy after connect",
            "could not resolve proxy",
            "proxy url",
            "returned error: 407",
        ],
    ),
    (
        Problem::Auth,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "permission denied",
            "permission to",
            "invalid username or",
            "returned error: 401",
            "returned error: 403",
            "terminal prompts disabled",
        ],
    ),
    (
        Problem::NotFound,
        &[
            "repository not found",
            "does not appear to be a git repository",
            "does not exist",
            "returned error: 404",
            "no such file or directory",
            "repository '",
        ],
    ),
    (
        Problem::Network,
        &[
            "could not resolve host",
            "connection refused",
            "connection reset",
            "timed out",
            "failed to connect",
            "couldn't connect",
            "network is unreachable",
            "hung up unexpectedly",
            "early eof",
            "rpc failed",
            "returned error: 5",
            "returned error: 429",
            "tls connect",
        ],
    ),
];

impl Problem {
    /// Returns the name for a condition's reason, equal to [`flightdeck_host::forge::ForgeError::name`] where both exist.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Auth => "Unauthorized",
            Self::HostKey => "UnknownHostKey",
            Self::NotFound => "RepositoryNotFound",
            Self::NoBranch => "MissingBase",
            Self::Protected => "ProtectedBranch",
            Self::Hook => "HookDeclined",
            Self::Moved => "BranchMoved",
            Self::Proxy | Self::Network => "ForgeUnreachable",
            Self::Other => "PushFailed",
        }
    }

    /// Returns whether the cause may be a missing credential: hosts often report private repositories as not found.
    pub(super) const fn is_refusal(self) -> bool {
        matches!(self, Self::Auth | Self::NotFound | Self::HostKey)
    }

    /// Finds the cause in git's output (in the C locale).
    pub(super) fn of(stderr: &str) -> Self {
        let stderr = stderr.to_lowercase();
        PROBLEMS
            .iter()
            .find(|(_, words)| words.iter().any(|word| stderr.contains(word)))
            .map_or(Self::Other, |(problem, _)| *problem)
    }
}

/// Returns the delay before the next attempt; `None` if there is none.
fn retry_delay(problem: Problem, attempt: u32) -> Option<Duration> {
    (problem == Problem::Network && attempt < 4).then(|| Duration::from_secs(2 << attempt))
}

/// Returns the line of git's output with the cause: the first error line, else the last line.
fn error_line(stderr: &str) -> &str {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    lines()
        .find(|line| {
            ["fatal:", "error:", "remote: error", "ERROR:", "! ["]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .or_else(|| lines().next_back())
        .unwrap_or("no output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_git_errors() {
        for (stderr, problem) in [
            (
                "fatal: Authentication failed for 'https://x/'",
                Problem::Auth,
            ),
            (
                "No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed.\nfatal: Could not read from remote repository.",
                Problem::HostKey,
            ),
            (
                "git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Problem::Auth,
            ),
            (
                "fatal: unable to access 'https://x/': The requested URL returned error: 403",
                Problem::Auth,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://x/' not found",
                Problem::NotFound,
            ),
            (
                "fatal: '/srv/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                Problem::NotFound,
            ),
            (
                "fatal: couldn't find remote ref refs/heads/x",
                Problem::NoBranch,
            ),
            (
                "fatal: unable to access 'https://x/': CONNECT tunnel failed, response 407",
                Problem::Proxy,
            ),
            (
                "fatal: unable to access 'http://x/': The requested URL returned error: 407",
                Problem::Proxy,
            ),
            (
                "fatal: unable to access 'https://x/': Could not resolve proxy: proxy.example",
                Problem::Proxy,
            ),
            (
                "remote: error: GH006: Protected branch update failed\n ! [remote rejected] x (protected branch hook declined)",
                Problem::Protected,
            ),
            (
                " ! [remote rejected] x -> x (pre-receive hook declined)",
                Problem::Hook,
            ),
            (" ! [rejected] x -> x (stale info)", Problem::Moved),
            (" ! [rejected] x -> x (fetch first)", Problem::Moved),
            (
                "fatal: unable to access 'https://x/': Could not resolve host: x",
                Problem::Network,
            ),
            (
                "error: RPC failed; HTTP 503\nfatal: the remote end hung up unexpectedly",
                Problem::Network,
            ),
            ("fatal: bad object", Problem::Other),
            ("", Problem::Other),
        ] {
            assert_eq!(Problem::of(stderr), problem, "{stderr}");
        }
    }

    #[test]
    fn retries_only_network_errors_and_gives_up() {
        let delays: Vec<_> = (0..5)
            .map_while(|n| retry_delay(Problem::Network, n))
            .collect();
        assert_eq!(delays, [2, 4, 8, 16].map(Duration::from_secs));
        for problem in [
            Problem::Auth,
            Problem::NoBranch,
            Problem::Moved,
            Problem::Other,
        ] {
            assert_eq!(retry_delay(problem, 0), None, "{problem:?}");
        }
    }

    #[test]
    fn rejects_urls_with_secrets_without_repeating_them() {
        let remote = |url: &str| {
            let manifest = RunManifest {
                repository_url: url.into(),
                ..crate::stages::policy::tests::manifest()
            };
            Remote::new(&manifest, None)
        };
        for url in [
            "https://x:hunter2@github.com/acme/shop",
            "https://ghp_hunter2@github.com/acme/shop",
        ] {
            let refused = remote(url).err().unwrap().to_string();
            assert!(
                refused.ends_with("again with https://github.com/acme/shop")
                    && !refused.contains("hunter2"),
                "{refused}"
            );
        }
        for url in [
            "https://ann@dev.azure.com/acme",
            "ssh://git@github.com/acme/shop",
        ] {
            assert!(remote(url).is_ok(), "{url}");
        }
    }
}
