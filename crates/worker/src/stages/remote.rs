//! The run's remote: the only module where git uses the network and the credential.
//!
//! The credential is bound to the host of the remote's URL and is passed to git only through its environment: never in an
//! argument, a URL, a log line or a configuration file.

use std::{path::Path, time::Duration};

use super::{error::StageError, log, ssh};
use flightdeck_core::{
    backoff::Backoff,
    remote_url::{RemoteUrl, Transport, redact},
    runs::RunManifest,
};
use flightdeck_host::{
    forge::{self, Secret},
    proxy,
    repository::{
        GitFailure, error_summary,
        git::{Git, GitError, Output},
    },
};

/// The variable the credential helper reads.
const HELPER_TOKEN: &str = "FLIGHTDECK_GIT_TOKEN";
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=x-access-token\npassword=%s\n' "$FLIGHTDECK_GIT_TOKEN"; }; f"#;
/// Retries after a network failure, and their backoff.
const RETRIES: u32 = 4;
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(16));
/// Ends a hung git; a slow clone is ended by the pod's deadline.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Returns the Git token of this container, if it has one.
pub(crate) fn token(manifest: &RunManifest) -> Option<Secret> {
    forge::token(manifest.forge.as_ref(), |name| std::env::var(name).ok())
}

/// Returns a git command for local work: isolated from other configuration, hooks and tokens.
pub(crate) fn local(directory: &Path) -> Git {
    quiet(Git::new(directory).isolated()).env("GIT_NO_REPLACE_OBJECTS", "1")
}

fn quiet(git: Git) -> Git {
    git.env_remove(&forge::token_variables())
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
            let failure = GitFailure::of(error.stderr());
            let Some(delay) = retry_delay(failure, attempt) else {
                return Err(self.explain(failure, &error));
            };
            attempt += 1;
            log(format!(
                "{}; retrying in {} s",
                self.explain(failure, &error).message,
                delay.as_secs()
            ));
            tokio::time::sleep(delay).await;
        }
    }

    fn explain(&self, failure: GitFailure, error: &GitError) -> RemoteError {
        let detail = error_summary(error).replace(&self.url, &self.display_url);
        let detail = proxy::redact_passwords(&detail);
        // A server may echo the token.
        let detail = match &self.token {
            Some((_, token)) => token.redact(&detail).into_owned(),
            None => detail.into_owned(),
        };
        let url = &self.display_url;
        let summary = match failure {
            GitFailure::Auth if self.token.is_none() && self.is_http() => {
                format!("{url} requires a credential, but none was sent")
            }
            failure => failure.summary(url),
        };
        // Where the settings are the place to fix it, name the setting.
        let advice = match failure {
            GitFailure::Auth if self.token.is_none() && self.is_http() => {
                "add its host to [forge] hosts of the settings, or log in with your own git"
            }
            GitFailure::Auth => {
                "check the token of the run's githubUser, or your own git login on the embedded cluster"
            }
            GitFailure::HostKey => {
                "add its line to [git] known_hosts of the settings, or to the key known_hosts of the Secret with the user's SSH key"
            }
            GitFailure::NotFound => "check the run's repositoryUrl",
            GitFailure::MissingBranch => "push it, then retry",
            GitFailure::Protected => {
                "launch the run with another target branch, or allow this token to push to it"
            }
            GitFailure::NonFastForward => "retry, or choose another target branch",
            GitFailure::Proxy => {
                "fix [pods] proxy of the settings, or HTTPS_PROXY and NO_PROXY on the embedded cluster"
            }
            failure => failure.advice(),
        };
        let message = match advice {
            "" => format!("{summary} ({detail})"),
            advice => format!("{summary} ({detail}); {advice}"),
        };
        RemoteError { failure, message }
    }
}

/// A failed call to the remote.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct RemoteError {
    pub failure: GitFailure,
    pub message: String,
}

impl RemoteError {
    /// Returns the error that ends the stage.
    pub(super) fn ended(self, reason: &'static str) -> StageError {
        StageError::ended(reason, self.message)
    }
}

/// Returns the delay before the next attempt; `None` if there is none.
fn retry_delay(failure: GitFailure, attempt: u32) -> Option<Duration> {
    (failure.is_transient() && attempt < RETRIES).then(|| BACKOFF.delay(attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_only_network_errors_and_gives_up() {
        let delays: Vec<_> = (0..5)
            .map_while(|n| retry_delay(GitFailure::Network, n))
            .collect();
        assert_eq!(delays, [2, 4, 8, 16].map(Duration::from_secs));
        for failure in [
            GitFailure::Auth,
            GitFailure::MissingBranch,
            GitFailure::NonFastForward,
            GitFailure::Other,
        ] {
            assert_eq!(retry_delay(failure, 0), None, "{failure:?}");
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
