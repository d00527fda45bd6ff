//! Runs the `git` program, for everything that must match git exactly or contacts a remote.
//!
//! Each command has its own process group, no terminal for prompts, and a timeout. Dropping the future kills the
//! group.

mod running;
mod tail;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

pub use self::running::OutputLine;
use self::running::{Running, WaitError};
pub use self::tail::Tail;
use super::command_log::{CommandOutcome, Recording};

/// Default timeout of a command.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Default limit of standard output: enough for the file names of a very large repository, and for the largest plan.
pub const OUTPUT_LIMIT: usize = 128 << 20;

/// A `git` command, built and then run.
#[derive(Clone, Debug)]
pub struct Git {
    directory: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    removed: Vec<&'static str>,
    input: Option<Vec<u8>>,
    timeout: Duration,
    output_limit: usize,
    recorded: bool,
}

/// The output of a successful command.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub stdout: Vec<u8>,
    /// The end of standard error as text; invalid UTF-8 is replaced. Untrusted: sanitise before display.
    pub stderr: String,
}

impl Output {
    /// Returns standard output as text without trailing newlines; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout)
            .trim_end_matches('\n')
            .to_owned()
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot start git: {0}")]
    Start(#[source] std::io::Error),
    #[error("git {command}: no response within {seconds} s")]
    Timeout { command: String, seconds: u64 },
    #[error("git {command}: cancelled")]
    Cancelled { command: String },
    #[error("git {command}: stopped after printing more than {}", flightdeck_core::text::bytes(*.limit as u64))]
    TooMuchOutput {
        command: String,
        /// In bytes.
        limit: usize,
    },
    /// `stderr` is the end of it; the message shows its last line.
    #[error("git {command}: {}", last_line(stderr))]
    Failed {
        command: String,
        code: Option<i32>,
        stderr: String,
    },
}

impl GitError {
    /// Returns what git printed to standard error; empty if git did not run.
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
        .unwrap_or("failed without a message")
}

impl Git {
    /// Creates a command that runs in `directory` with the user's configuration.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            arguments: Vec::new(),
            environment: vec![
                ("GIT_TERMINAL_PROMPT".into(), "0".into()),
                ("GIT_OPTIONAL_LOCKS".into(), "0".into()),
                // In a partial clone, reading a missing object would contact the remote.
                ("GIT_NO_LAZY_FETCH".into(), "1".into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
            ],
            removed: vec!["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"],
            input: None,
            timeout: DEFAULT_TIMEOUT,
            output_limit: OUTPUT_LIMIT,
            recorded: false,
        }
    }

    /// Ignores hooks and all configuration except the repository's own; for stages and fixtures.
    #[must_use]
    pub fn isolated(mut self) -> Self {
        self.environment
            .push(("GIT_CONFIG_NOSYSTEM".into(), "1".into()));
        self.environment
            .push(("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()));
        self.config("core.hooksPath", "/dev/null")
    }

    /// Adds `-c key=value` before the subcommand.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.arguments.insert(0, format!("{key}={value}").into());
        self.arguments.insert(0, "-c".into());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes environment variables, so that programs started by git do not see them.
    #[must_use]
    pub fn env_remove(mut self, names: &[&'static str]) -> Self {
        self.removed.extend(names);
        self
    }

    /// Uses another index than the repository's.
    #[must_use]
    pub fn index_file(mut self, path: &Path) -> Self {
        self.removed.retain(|name| *name != "GIT_INDEX_FILE");
        self.env("GIT_INDEX_FILE", path)
    }

    /// Sets the standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Sets the timeout.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Limits standard output; a command that exceeds the limit is stopped.
    #[must_use]
    pub const fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Records the command in the command log, if there is one; for commands that change something or contact a
    /// remote.
    #[must_use]
    pub const fn recorded(mut self) -> Self {
        self.recorded = true;
        self
    }

    /// Returns the working directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the arguments as a user would type them, for command logs and errors.
    #[must_use]
    pub fn command_line(&self) -> String {
        let words = self
            .arguments
            .iter()
            .map(|argument| quote(&argument.to_string_lossy()));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Runs the command to completion.
    ///
    /// # Errors
    /// If git cannot be started, times out, prints too much, or exits with a code other than 0.
    pub async fn run(self) -> Result<Output, GitError> {
        self.run_streaming(&mut |_| {}, &CancellationToken::new())
            .await
    }

    /// Runs the command to completion or until `cancel`, and calls `on_line` for each line of output. Cancelling sends
    /// SIGTERM to the process group, then SIGKILL.
    ///
    /// # Errors
    /// As [`Git::run`], and if cancelled.
    pub async fn run_streaming(
        mut self,
        on_line: &mut (dyn FnMut(OutputLine) + Send),
        cancel: &CancellationToken,
    ) -> Result<Output, GitError> {
        let line = self.command_line();
        let mut recording = self.recorded.then(|| {
            let words = self.arguments.iter();
            let words = words.map(|word| word.to_string_lossy().into_owned());
            let argv: Vec<String> = std::iter::once("git".to_owned()).chain(words).collect();
            Recording::begin(&argv, &format!("git {line}"), &self.directory)
        });
        let input = self.input.take();
        let mut running = match Running::start(self.command(), input) {
            Ok(running) => running,
            Err(error) => {
                end(recording, CommandOutcome::NotStarted(error.to_string()));
                return Err(GitError::Start(error));
            }
        };
        let mut on_output = |line: OutputLine| {
            if let Some(recording) = recording.as_mut().filter(|_| !line.overwritten) {
                recording.push_line(&line.text);
            }
            on_line(line);
        };
        let ended = tokio::select! {
            ended = running.wait(self.output_limit, &mut on_output) => ended,
            () = tokio::time::sleep(self.timeout) => {
                running.end().await;
                end(recording, CommandOutcome::TimedOut);
                return Err(GitError::Timeout { command: line, seconds: self.timeout.as_secs() });
            }
            () = cancel.cancelled() => {
                running.end().await;
                end(recording, CommandOutcome::Cancelled);
                return Err(GitError::Cancelled { command: line });
            }
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(WaitError::TooMuchOutput) => {
                running.end().await;
                end(recording, CommandOutcome::TooMuchOutput);
                return Err(GitError::TooMuchOutput {
                    command: line,
                    limit: self.output_limit,
                });
            }
            Err(WaitError::Io(error)) => return Err(GitError::Start(error)),
        };
        let code = ended.status.code();
        end(
            recording,
            code.map_or(CommandOutcome::Killed, CommandOutcome::Exited),
        );
        let stderr = ended.stderr.into_text();
        if ended.status.success() {
            Ok(Output {
                stdout: ended.stdout,
                stderr,
            })
        } else {
            Err(GitError::Failed {
                command: line,
                code,
                stderr,
            })
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        for name in &self.removed {
            command.env_remove(name);
        }
        command
    }
}

fn end(recording: Option<Recording>, how: CommandOutcome) {
    if let Some(recording) = recording {
        recording.end(how);
    }
}

/// Quotes a word for a shell if needed.
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
    use crate::repository::{CommandLog, CommandOutcome, CommandRecord};

    #[tokio::test]
    async fn error_has_command_and_reason() {
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
    async fn stops_command_with_endless_output() {
        let git = Git::new("/")
            .config("alias.flood", "!yes")
            .arg("flood")
            .output_limit(20_000);
        let error = git.run().await.unwrap_err().to_string();
        assert!(
            error.ends_with("stopped after printing more than 19 KiB"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn keeps_end_of_long_stderr() {
        let flood =
            "!yes progress | tr '\\n' '\\r' | head -c 2000000 >&2; echo fatal: why >&2; exit 1";
        let git = Git::new("/").config("alias.flood", flood).arg("flood");
        let error = git.run().await.unwrap_err();
        assert!(error.stderr().len() < 500_000, "{}", error.stderr().len());
        assert!(error.stderr().ends_with("fatal: why\n"));
    }

    #[tokio::test]
    async fn times_out() {
        let git = Git::new("/")
            .config("alias.hang", "!sleep 600")
            .arg("hang")
            .timeout(Duration::from_millis(50));
        assert!(matches!(git.run().await, Err(GitError::Timeout { .. })));
    }

    #[tokio::test]
    async fn cancel_ends_the_group_after_cleanup() {
        let directory = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let begun = cancel.clone();
        // The helper would run for 600 s; the shell removes its lock on SIGTERM.
        let script = "!touch lock; trap 'rm lock; exit 1' TERM; sleep 600 & echo $! >&2; wait";
        let git = Git::new(directory.path())
            .config("alias.hang", script)
            .arg("hang");
        let mut helper = 0;
        let mut on_line = |line: OutputLine| {
            helper = line.text.parse().unwrap();
            begun.cancel();
        };
        let ended = git.run_streaming(&mut on_line, &cancel).await;
        assert!(
            matches!(ended, Err(GitError::Cancelled { .. })),
            "{ended:?}"
        );
        assert!(!directory.path().join("lock").exists());
        // The process may take a moment to exit.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{helper}/stat"));
            state.map_or(true, |state| state.contains(") Z "))
        };
        while !gone() && std::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        assert!(gone());
    }

    #[tokio::test]
    async fn does_not_wait_for_helper_holding_the_pipes() {
        let git = Git::new("/")
            .config("alias.leave", "!sleep 3 & echo left")
            .arg("leave");
        let began = std::time::Instant::now();
        assert_eq!(git.run().await.unwrap().text(), "left");
        assert!(began.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test]
    async fn records_commands_on_request() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let log = CommandLog::new(move |entry| sender.send(entry).unwrap());
        let git = |word: &str| Git::new("/").config("alias.say", "!echo hello").arg(word);
        log.record(async {
            git("say").run().await.unwrap();
            git("say").recorded().run().await.unwrap();
            git("no such").recorded().run().await.unwrap_err();
            let hang = git("hang").config("alias.hang", "!sleep 600").recorded();
            let hang = tokio::time::timeout(Duration::from_millis(50), hang.run());
            hang.await.unwrap_err();
        })
        .await;
        git("say").recorded().run().await.unwrap();
        let entries: Vec<CommandRecord> = receiver.try_iter().collect();
        let ends: Vec<&CommandOutcome> = entries.iter().map(|entry| &entry.end).collect();
        assert_eq!(
            ends,
            [
                &CommandOutcome::Exited(0),
                &CommandOutcome::Exited(1),
                &CommandOutcome::Cancelled
            ]
        );
        assert_eq!(entries[0].argv[3], "say");
        assert_eq!(entries[0].command, "git -c 'alias.say=!echo hello' say");
        assert_eq!(
            entries[0].output,
            "hello
"
        );
    }

    #[tokio::test]
    async fn passes_input_to_git() {
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
