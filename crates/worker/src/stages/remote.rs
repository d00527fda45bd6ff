//! The run's remote: the one place where git meets the network and the credential.
//!
//! The credential is bound to the host of a remote's URL, and used only for the remotes it is meant for. It reaches git through its environment alone: never an
//! argument, a URL, a log line or a configuration file.

use std::{path::Path, time::Duration};

use super::{error::StageError, say, ssh};
use flightdeck_core::{
    remote_url::{RemoteUrl, Transport, redact},
    runs::RunManifest,
};
use flightdeck_host::{
    forge::Secret,
    proxy,
    repository::git::{Git, GitError, Output},
};

/// Variables a token may come in: withheld from every git that is not given it on purpose.
const TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];
/// What the credential helper reads.
const HELPER_TOKEN: &str = "FLIGHTDECK_GIT_TOKEN";
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=x-access-token\npassword=%s\n' "$FLIGHTDECK_GIT_TOKEN"; }; f"#;
/// The pod's deadline is what ends a slow clone; this only ends a hung one.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The Git token of this container, if it has one.
pub fn token() -> Option<Secret> {
    Secret::from_environment(|name| std::env::var(name).ok())
}

/// Git for work within this container: no configuration but ours, no hook, no token.
pub fn local(directory: &Path) -> Git {
    quiet(Git::new(directory).isolated()).env("GIT_NO_REPLACE_OBJECTS", "1")
}

fn quiet(git: Git) -> Git {
    git.without(&TOKENS)
        .config("core.fsmonitor", "false")
        .config("gc.auto", "0")
        .config("maintenance.auto", "false")
        .patience(PATIENCE)
}

/// Where a run is cloned from and pushed to.
pub struct Remote {
    pub url: String,
    /// The URL without a user or password in it.
    shown: String,
    /// With the origin it is bound to.
    token: Option<(String, Secret)>,
    /// How git is to reach it by the key that this container was given.
    ssh: Option<String>,
}

impl Remote {
    /// The remote of `manifest`. The token is offered only to a host that the settings name as a forge, over HTTP; a key
    /// only over SSH; every other remote is reached with the configuration of the account this runs as.
    ///
    /// # Errors
    /// When the URL has a password in it: it would become an argument of git, which everybody on the machine can read.
    pub fn new(manifest: &RunManifest, token: Option<Secret>) -> Result<Self, StageError> {
        Self::at(&manifest.repository_url, manifest.forge.is_some(), token)
    }

    /// The remote at `url`; `known_host`: the settings name its host as a forge.
    pub fn at(url: &str, known_host: bool, token: Option<Secret>) -> Result<Self, StageError> {
        let shown = redact(url);
        let parsed = RemoteUrl::parse(url)
            .map_err(|error| StageError::Setup(format!("{shown} cannot be cloned: {error}")))?;
        if parsed.has_secret() {
            return Err(StageError::Setup(format!(
                "the address of {shown} has a password or token in it, which whoever may read runs has seen: revoke it, and launch the run again with {shown}"
            )));
        }
        let transport = parsed.transport();
        let origin = parsed.origin();
        let origin = origin.filter(|_| known_host && transport.is_http());
        Ok(Self {
            url: url.to_owned(),
            shown,
            token: origin.zip(token),
            ssh: ssh::command().filter(|_| transport == Transport::Ssh),
        })
    }

    /// The same remote, reached without the credential of this container.
    pub fn without_credential(self) -> Self {
        Self {
            token: None,
            ssh: None,
            ..self
        }
    }

    /// Whether it is reached with a credential of this container.
    pub const fn has_credential(&self) -> bool {
        self.token.is_some() || self.ssh.is_some()
    }

    fn is_http(&self) -> bool {
        Transport::of(&self.url).is_some_and(Transport::is_http)
    }

    /// The URL, fit to be shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Git that may talk to the remote, in `directory`.
    fn git(&self, directory: &Path) -> Git {
        let git = Git::new(directory);
        match (&self.token, &self.ssh) {
            (None, None) => quiet(git).config("core.hooksPath", "/dev/null"),
            (None, Some(ssh)) => quiet(git.isolated())
                .env("GIT_SSH_COMMAND", ssh)
                .env("GIT_SSH_VARIANT", "ssh")
                .without(&["SSH_AUTH_SOCK", "SSH_ASKPASS"]),
            (Some((origin, token)), _) => quiet(git.isolated())
                .config(&format!("credential.{origin}.helper"), HELPER)
                .env(HELPER_TOKEN, token.expose())
                .without(&["GIT_ASKPASS", "SSH_ASKPASS"]),
        }
    }

    /// Runs the git command that `build` completes, again when the network failed it.
    pub async fn talk(
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
            let Some(pause) = pause(problem, attempt) else {
                return Err(self.explain(problem, &error));
            };
            attempt += 1;
            say(format!(
                "{}: trying again in {} s",
                self.explain(problem, &error).message,
                pause.as_secs()
            ));
            tokio::time::sleep(pause).await;
        }
    }

    fn explain(&self, problem: Problem, error: &GitError) -> RemoteError {
        let said = match error {
            GitError::Failed { stderr, .. } => telling_line(stderr).replace(&self.url, &self.shown),
            other => other.to_string().replace(&self.url, &self.shown),
        };
        let said = proxy::without_passwords(&said);
        // A server may repeat what it was sent.
        let said = match &self.token {
            Some((_, token)) => token.hidden_in(&said).into_owned(),
            None => said.into_owned(),
        };
        let place = &self.shown;
        let message = match problem {
            Problem::Auth if self.token.is_none() && self.is_http() => format!(
                "{place} asks for a credential and none was given ({said}); a token is sent only to a host among [forge] hosts of the settings, else log in with your own git"
            ),
            Problem::HostKey => format!(
                "{place} showed a host key that is not known ({said}); add its line to [git] known_hosts of the settings, or as the key known_hosts to the Secret with the user's SSH key"
            ),
            Problem::Auth => format!(
                "{place} refused the credential ({said}); check the token of the run's githubUser, or your own git login on the embedded cluster"
            ),
            Problem::NotFound => format!(
                "{place} was not found, or the credential may not see it ({said}); check the run's repositoryUrl"
            ),
            Problem::NoBranch => {
                format!("{place} does not have the branch ({said}); push it, then retry")
            }
            Problem::Protected => format!(
                "{place} protects the branch ({said}); launch the run with another target branch, or have its rules let this token push there"
            ),
            Problem::Proxy => format!(
                "the proxy between here and {place} does not let git through ({said}); correct [pods] proxy of the settings, or HTTPS_PROXY and NO_PROXY on the embedded cluster"
            ),
            Problem::Hook => format!("a hook of {place} declined the push ({said})"),
            Problem::Moved => format!(
                "the branch at {place} moved in the meantime ({said}); retry, or choose another target branch"
            ),
            Problem::Network => format!("{place} did not answer ({said}); retry when it does"),
            Problem::Other => format!("git failed at {place}: {said}"),
        };
        RemoteError { problem, message }
    }
}

/// A call to the remote that failed, as a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    pub problem: Problem,
    pub message: String,
}

impl RemoteError {
    /// The stage ends over it.
    pub fn ended(self, reason: &'static str) -> StageError {
        StageError::ended(reason, self.message)
    }
}

/// What kind of failure a remote call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
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

/// The first row with a word that git said decides: the telling ones stand before those that follow any failure.
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
    /// Its name as a condition's reason; the words are those of [`flightdeck_host::forge::ForgeError::name`] where both know it.
    pub const fn name(self) -> &'static str {
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

    /// Whether the remote may only lack a credential: a private repository often looks as if it did not exist.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Auth | Self::NotFound | Self::HostKey)
    }

    /// Reads what git printed (in the C locale).
    pub fn of(stderr: &str) -> Self {
        let said = stderr.to_lowercase();
        PROBLEMS
            .iter()
            .find(|(_, words)| words.iter().any(|word| said.contains(word)))
            .map_or(Self::Other, |(problem, _)| *problem)
    }
}

/// How long to wait before trying again; `None` to give up.
fn pause(problem: Problem, attempt: u32) -> Option<Duration> {
    (problem == Problem::Network && attempt < 4).then(|| Duration::from_secs(2 << attempt))
}

/// The line of git's output that says why: the first that complains, else the last.
fn telling_line(stderr: &str) -> &str {
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
        .unwrap_or("git said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_told_apart() {
        for (said, problem) in [
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
            assert_eq!(Problem::of(said), problem, "{said}");
        }
    }

    #[test]
    fn only_the_network_is_tried_again_and_not_for_ever() {
        let pauses: Vec<_> = (0..5).map_while(|n| pause(Problem::Network, n)).collect();
        assert_eq!(pauses, [2, 4, 8, 16].map(Duration::from_secs));
        for problem in [
            Problem::Auth,
            Problem::NoBranch,
            Problem::Moved,
            Problem::Other,
        ] {
            assert_eq!(pause(problem, 0), None, "{problem:?}");
        }
    }

    #[test]
    fn a_url_with_a_secret_in_it_is_refused_and_not_repeated() {
        let remote = |url: &str| {
            let manifest = RunManifest {
                repository_url: url.into(),
                ..crate::stages::judge::tests::manifest()
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
