//! Asks the remote itself: what its branch is at now, and which plan a run would clone from it.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::{
    address,
    facts::Facts,
    git::{Git, GitError},
};
use flightdeck_core::tasks;

/// How long a remote may take to say what it has.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// How long a branch may take to come over.
const TRANSFER: Duration = Duration::from_secs(120);

/// What a remote said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAnswer {
    /// Commit of the branch a run clones; `None` when the remote has no such branch.
    pub commit: Option<String>,
    /// The branch the remote calls its default.
    pub default_branch: Option<String>,
    /// When it answered.
    pub asked: Timestamp,
}

/// What went wrong between here and a remote. `place` is its address without credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    #[error("the repository has no remote")]
    NoRemote,
    #[error("{place} has no branch {branch}")]
    NoBranch { branch: String, place: String },
    #[error("{place} refuses your credentials: {said}")]
    Auth { place: String, said: String },
    #[error("{place}: its host key is not known or has changed: {said}")]
    HostKey { place: String, said: String },
    #[error("{place} does not exist, or your credentials may not see it")]
    NotFound { place: String },
    #[error("{place} cannot be reached: {said}")]
    Network { place: String, said: String },
    #[error("{place} did not answer within {seconds} s")]
    Timeout { place: String, seconds: u64 },
    #[error("{place}: {said}")]
    Other { place: String, said: String },
}

impl RemoteError {
    /// Tells a failed call to the remote at `place` apart by what git printed.
    pub fn new(place: &str, error: &GitError) -> Self {
        let place = place.to_owned();
        if let GitError::Timeout { seconds, .. } = error {
            return Self::Timeout {
                place,
                seconds: *seconds,
            };
        }
        let stderr = error.stderr();
        let said = last_words(error);
        let has = |signs: &[&str]| signs.iter().any(|sign| stderr.contains(sign));
        if has(&["Host key verification failed"]) {
            Self::HostKey { place, said }
        } else if has(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "unable to get password from user",
            "unable to read askpass response",
            "user interactivity has been disabled",
            "Permission denied (",
            "Invalid username or",
            "returned error: 401",
            "returned error: 403",
        ]) {
            Self::Auth { place, said }
        } else if has(&[
            "epository not found",
            "does not appear to be a git repository",
            "returned error: 404",
            "No such file or directory",
            "not found",
        ]) {
            Self::NotFound { place }
        } else if has(&[
            "Could not resolve host",
            "Couldn't resolve host",
            "Temporary failure in name resolution",
            "Name or service not known",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Operation timed out",
            "Network is unreachable",
            "No route to host",
            "Failed to connect",
            "Couldn't connect",
            "hung up unexpectedly",
        ]) {
            Self::Network { place, said }
        } else {
            Self::Other { place, said }
        }
    }
}

/// The line of an error that says why, on one line, without credentials.
pub fn last_words(error: &GitError) -> String {
    let lines = || error.stderr().lines().map(str::trim);
    // The first fatal line names the cause and what follows it is advice; but over SSH the cause was printed before it.
    let fatal = lines()
        .find(|line| line.starts_with("fatal:") && !line.contains("Could not read from remote"));
    let line = fatal
        .or_else(|| lines().find(|line| line.starts_with("error:")))
        .or_else(|| lines().find(|line| !line.is_empty()))
        .map_or_else(|| error.to_string(), str::to_owned);
    let line = line
        .trim_start_matches("fatal: ")
        .trim_start_matches("error: ");
    address::without_credentials_in(line)
}

/// A git command in `root` that may talk to a remote and will never ask a person anything: no terminal prompt, and SSH and
/// credential helpers are answered with a refusal unless the person has a program for such questions.
pub fn git(root: &Path) -> Git {
    let git = Git::new(root).recorded().without(&["GIT_NO_LAZY_FETCH"]);
    if std::env::var_os("SSH_ASKPASS").is_some() {
        return git.env("SSH_ASKPASS_REQUIRE", "prefer");
    }
    git.env("SSH_ASKPASS", "false")
        .env("SSH_ASKPASS_REQUIRE", "force")
}

/// In whose name a remote is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// The person's: a program they have for such questions may ask them for a password.
    Asked,
    /// Nobody's: nothing may come up on the screen.
    Quiet,
}

impl Manner {
    fn git(self, root: &Path) -> Git {
        match self {
            Self::Asked => git(root),
            Self::Quiet => git(root)
                .config("credential.interactive", "false")
                .env("GIT_ASKPASS", "false")
                .env("SSH_ASKPASS", "false")
                .env("SSH_ASKPASS_REQUIRE", "force")
                .env("GCM_INTERACTIVE", "never"),
        }
    }
}

/// Asks the remote what its branch is at, and fetches that branch into its tracking ref when it moved, so that what it holds can be
/// read: [`Remote::known`](super::Remote::known) says so once the facts are read again. Nothing else of the repository changes.
///
/// # Errors
/// When there is no remote, or it gives no answer.
pub async fn ask(facts: &Facts) -> Result<RemoteAnswer, RemoteError> {
    ask_in(facts, Manner::Asked, ANSWER).await
}

/// The same in somebody's name, with a limit on how long the remote may take to say what it has.
pub(super) async fn ask_in(
    facts: &Facts,
    manner: Manner,
    patience: Duration,
) -> Result<RemoteAnswer, RemoteError> {
    let remote = facts.remote.as_ref().ok_or(RemoteError::NoRemote)?;
    let failed = |error: GitError| RemoteError::new(&remote.clone_url, &error);
    let branch_ref = remote
        .branch
        .as_ref()
        .map(|branch| format!("refs/heads/{branch}"));
    let listed = manner
        .git(&facts.root)
        .args(["ls-remote", "--symref", "--", &remote.name, "HEAD"])
        .args(&branch_ref)
        .patience(patience)
        .run()
        .await
        .map_err(failed)?
        .text();
    let asked = Timestamp::now();
    let (commit, default_branch) = read_listing(&listed, branch_ref.as_deref());
    let answer = RemoteAnswer {
        commit,
        default_branch,
        asked,
    };
    let (Some(commit), Some(branch_ref), Some(tracking)) =
        (&answer.commit, branch_ref, &remote.tracking_ref)
    else {
        return Ok(answer);
    };
    if remote
        .known
        .as_ref()
        .is_none_or(|known| known.commit != *commit)
    {
        fetch_into(facts, manner, &remote.name, &branch_ref, tracking)
            .await
            .map_err(failed)?;
    }
    if let (true, Some(plan)) = (remote.partial, &facts.plan.relative) {
        // Brings the plan of that commit here where it is not; that the commit has none is no error.
        let object = format!("{commit}:{plan}");
        let brought = manner.git(&facts.root).args(["cat-file", "-e", &object]);
        let _ = brought.patience(TRANSFER).run().await;
    }
    Ok(answer)
}

/// Fetches one branch of the remote, any branch, and gives the commit it is at.
///
/// # Errors
/// When there is no remote, it gives no answer, or it has no such branch.
pub async fn fetch(facts: &Facts, branch: &str) -> Result<String, RemoteError> {
    let remote = facts.remote.as_ref().ok_or(RemoteError::NoRemote)?;
    let failed = |error: GitError| match error.stderr() {
        stderr if stderr.contains("couldn't find remote ref") => RemoteError::NoBranch {
            branch: branch.to_owned(),
            place: remote.clone_url.clone(),
        },
        _ => RemoteError::new(&remote.clone_url, &error),
    };
    let tracking = format!("refs/remotes/{}/{branch}", remote.name);
    fetch_into(
        facts,
        Manner::Asked,
        &remote.name,
        &format!("refs/heads/{branch}"),
        &tracking,
    )
    .await
    .map_err(failed)?;
    let commit = Git::new(&facts.root)
        .args([
            "rev-parse",
            "--verify",
            "--end-of-options",
            &format!("{tracking}^{{commit}}"),
        ])
        .run()
        .await
        .map_err(failed)?;
    Ok(commit.text())
}

async fn fetch_into(
    facts: &Facts,
    manner: Manner,
    remote: &str,
    branch_ref: &str,
    tracking: &str,
) -> Result<(), GitError> {
    manner
        .git(&facts.root)
        .args([
            "fetch",
            "--quiet",
            "--no-auto-maintenance",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            remote,
        ])
        .arg(format!("+{branch_ref}:{tracking}"))
        .patience(TRANSFER)
        .run()
        .await
        .map(drop)
}

/// Commit of the branch, and default branch, of what `ls-remote --symref` printed.
fn read_listing(listing: &str, branch_ref: Option<&str>) -> (Option<String>, Option<String>) {
    let (mut commit, mut default_branch) = (None, None);
    for line in listing.lines() {
        let Some((left, name)) = line.split_once('\t') else {
            continue;
        };
        if let Some(target) = left.strip_prefix("ref: ") {
            default_branch = target.strip_prefix("refs/heads/").map(str::to_owned);
        } else if Some(name) == branch_ref {
            // ls-remote matches the ends of names: only this very one counts.
            commit = Some(left.to_owned());
        }
    }
    (commit, default_branch)
}

/// The bytes of a plan's blob; `None` when the repository has no such object, or one larger than a plan may be.
pub async fn blob(root: &Path, id: &str) -> Option<Vec<u8>> {
    let output = Git::new(root)
        .args(["cat-file", "blob", id])
        .output_limit(usize::try_from(tasks::MAX_FILE_SIZE).unwrap_or(usize::MAX))
        .run()
        .await
        .ok()?;
    Some(output.stdout)
}

#[cfg(test)]
mod access_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{
        fixture::{self, Fixture, PLAN, PLAN_PATH},
        read,
    };

    #[tokio::test]
    async fn a_remote_that_moved_is_fetched_and_described() {
        let fixture = Fixture::pushed().await;
        let colleague = fixture.colleague().await;
        fixture::write(
            &colleague,
            PLAN_PATH,
            &PLAN.replace("Set up", "Initialize Express"),
        );
        fixture::commit(&colleague, "Another plan").await;
        fixture::run(&colleague, &["push", "-q"]).await;
        fixture.write("mine", "x");
        fixture.commit("Mine").await;

        let before = read(&fixture.root).await.unwrap();
        assert_eq!(
            before
                .remote
                .as_ref()
                .unwrap()
                .known
                .as_ref()
                .unwrap()
                .behind,
            0
        );
        let answer = ask(&before).await.unwrap();
        let facts = read(&fixture.root).await.unwrap();
        let known = facts.remote.unwrap().known.unwrap();
        assert_eq!(answer.commit.as_ref(), Some(&known.commit));
        assert_eq!((known.ahead, known.behind), (1, 1));
        assert_ne!(known.plan_blob, facts.plan.disk_blob);
        let theirs = blob(&fixture.root, known.plan_blob.as_deref().unwrap())
            .await
            .unwrap();
        assert!(
            String::from_utf8(theirs)
                .unwrap()
                .contains("Initialize Express")
        );
    }

    #[tokio::test]
    async fn a_branch_the_remote_lacks_is_no_error() {
        let fixture = Fixture::pushed().await;
        fixture
            .git(&[
                "push",
                "-q",
                "origin",
                "HEAD:refs/heads/main",
                "HEAD:refs/heads/not/feature/y",
            ])
            .await;
        fixture.git(&["checkout", "-q", "-b", "feature/y"]).await;
        let answer = ask(&read(&fixture.root).await.unwrap()).await.unwrap();
        assert_eq!(
            (answer.commit, answer.default_branch.as_deref()),
            (None, Some("main"))
        );
    }

    #[tokio::test]
    async fn a_remote_that_is_not_there_is_named() {
        let fixture = Fixture::pushed().await;
        fixture
            .git(&["remote", "set-url", "origin", "../nowhere.git"])
            .await;
        let error = ask(&read(&fixture.root).await.unwrap()).await.unwrap_err();
        assert!(
            matches!(&error, RemoteError::NotFound { place } if place.ends_with("/nowhere.git")),
            "{error}"
        );
        fixture
            .git(&["remote", "set-url", "origin", "http://127.0.0.1:9/x"])
            .await;
        let error = ask(&read(&fixture.root).await.unwrap()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Network { .. }), "{error}");
    }

    #[test]
    fn troubles_are_told_apart_by_what_git_printed() {
        for (stderr, expected) in [
            (
                "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                "Auth",
            ),
            (
                "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                "Auth",
            ),
            (
                "fatal: unable to access 'https://u:secret@x/': The requested URL returned error: 403",
                "Auth",
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found",
                "NotFound",
            ),
            (
                "fatal: unable to access 'https://x/': Could not resolve host: x",
                "Network",
            ),
            (
                "ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.",
                "Network",
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                "HostKey",
            ),
            ("fatal: protocol error", "Other"),
        ] {
            let error = RemoteError::new(
                "x",
                &GitError::Failed {
                    command: String::new(),
                    code: Some(128),
                    stderr: stderr.into(),
                },
            );
            assert!(
                format!("{error:?}").starts_with(expected),
                "{stderr}: {error:?}"
            );
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
