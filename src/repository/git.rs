//! Runs the `git` program: for all that must be exactly as git does it, or that talks to a remote.
//!
//! Every call has a process group of its own, no terminal to prompt on, and a deadline; dropping the future ends the group.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{io::AsyncWriteExt, process::Command};

/// How long a call may take unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// One `git` command, built up and then run.
#[derive(Clone, Debug)]
pub struct Git {
    directory: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    removed: Vec<&'static str>,
    input: Option<Vec<u8>>,
    patience: Duration,
}

/// What a call that exited with 0 printed.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub stdout: Vec<u8>,
    /// Text; invalid UTF-8 replaced. May hold remote text: sanitise before showing.
    pub stderr: String,
}

impl Output {
    /// Standard output as text without the final line break; invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout)
            .trim_end_matches('\n')
            .to_owned()
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot start git: {0}")]
    Start(#[source] std::io::Error),
    #[error("git {command}: no answer within {seconds} s")]
    Timeout { command: String, seconds: u64 },
    /// `stderr` is whole; the message shows its last line.
    #[error("git {command}: {}", last_line(stderr))]
    Failed {
        command: String,
        code: Option<i32>,
        stderr: String,
    },
}

impl GitError {
    /// What git printed, empty when it never ran.
    #[must_use]
    pub fn stderr(&self) -> &str {
        match self {
            Self::Failed { stderr, .. } => stderr,
            _ => "",
        }
    }
}

fn last_line(stderr: &str) -> &str {
    stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("failed without a word")
}

impl Git {
    /// A command that runs in `directory`, with the person's own configuration.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            arguments: Vec::new(),
            environment: vec![
                ("GIT_TERMINAL_PROMPT".into(), "0".into()),
                ("GIT_OPTIONAL_LOCKS".into(), "0".into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
            ],
            removed: vec!["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"],
            input: None,
            patience: PATIENCE,
        }
    }

    /// Cuts off every configuration but the repository's own, and every hook: for stages and fixtures.
    #[must_use]
    pub fn isolated(mut self) -> Self {
        self.environment
            .push(("GIT_CONFIG_NOSYSTEM".into(), "1".into()));
        self.environment
            .push(("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()));
        self.config("core.hooksPath", "/dev/null")
    }

    /// `-c key=value`, before the subcommand.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.arguments.insert(0, format!("{key}={value}").into());
        self.arguments.insert(0, "-c".into());
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Withholds variables of this process: a program that git starts must not see what it does not need.
    #[must_use]
    pub fn without(mut self, names: &[&'static str]) -> Self {
        self.removed.extend(names);
        self
    }

    /// Text for its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How long it may take.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The command as a person would type it, for command logs and errors.
    #[must_use]
    pub fn command_line(&self) -> String {
        let words = self
            .arguments
            .iter()
            .map(|argument| quote(&argument.to_string_lossy()));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When git cannot be started, does not end in time, or exits with anything but 0.
    pub async fn run(self) -> Result<Output, GitError> {
        let command_line = self.command_line();
        let mut command = Command::new("git");
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in &self.removed {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(GitError::Start)?;
        let group = GroupGuard(child.id());
        if let (Some(input), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // A git that does not read its input closes the pipe; its exit code tells the story.
            tokio::spawn(async move { drop(stdin.write_all(&input).await) });
        }
        let waited = tokio::time::timeout(self.patience, child.wait_with_output()).await;
        let Ok(ended) = waited else {
            drop(group);
            return Err(GitError::Timeout {
                command: command_line,
                seconds: self.patience.as_secs(),
            });
        };
        group.forget();
        let ended = ended.map_err(GitError::Start)?;
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        if ended.status.success() {
            Ok(Output {
                stdout: ended.stdout,
                stderr,
            })
        } else {
            Err(GitError::Failed {
                command: command_line,
                code: ended.status.code(),
                stderr,
            })
        }
    }
}

/// Ends a whole process group unless told that it has ended by itself.
struct GroupGuard(Option<u32>);

impl GroupGuard {
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        if let Some(id) = self.0.take().and_then(|id| i32::try_from(id).ok()) {
            // The group may be gone already, which is what is wanted.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// A word as a shell would need it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%^~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_command_names_itself_and_says_why() {
        let error = Git::new("/")
            .isolated()
            .args(["rev-parse", "--verify", "no such"])
            .run()
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("git -c core.hooksPath=/dev/null rev-parse --verify 'no such': fatal"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended() {
        let git = Git::new("/")
            .config("alias.hang", "!sleep 600")
            .arg("hang")
            .patience(Duration::from_millis(50));
        assert!(matches!(git.run().await, Err(GitError::Timeout { .. })));
    }

    #[tokio::test]
    async fn input_reaches_git() {
        let directory = tempfile::tempdir().unwrap();
        let git = Git::new(directory.path())
            .isolated()
            .args(["hash-object", "--stdin"])
            .input("hello\n");
        assert_eq!(
            git.run().await.unwrap().text(),
            "ce013625030ba8dba906f756967f9e9ca394464a"
        );
    }
}
