//! Command log: the commands run for the user that change something or contact a remote.
//!
//! Wrap work in [`CommandLog::record`] to record its commands; the work itself does not need to know.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::address;

/// Maximum size of recorded output, in bytes; the rest is dropped.
const OUTPUT: usize = 4096;

tokio::task_local! {
    static RECORDED: CommandLog;
}

/// A command that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// The program and its arguments; URLs without credentials.
    pub argv: Vec<String>,
    /// The command line as a user would type it.
    pub command: String,
    pub directory: PathBuf,
    pub began: Timestamp,
    pub took: Duration,
    pub end: CommandOutcome,
    /// Combined output, at most 4 KiB. May contain untrusted text.
    pub output: String,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    Exited(i32),
    /// By a signal that was not ours.
    Killed,
    TimedOut,
    /// Stopped for exceeding the output limit.
    TooMuchOutput,
    /// Cancelled by the user or by a later action.
    Cancelled,
    NotStarted(String),
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Killed => f.write_str("killed"),
            Self::TimedOut => f.write_str("timed out"),
            Self::TooMuchOutput => f.write_str("too much output"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// Receives an entry for each command that ends. Cheap to clone.
#[derive(Clone)]
pub struct CommandLog(Arc<dyn Fn(CommandRecord) + Send + Sync>);

impl CommandLog {
    /// Creates a log that passes each entry to `sink`, which must not block.
    pub fn new(sink: impl Fn(CommandRecord) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Runs `work` and records its commands.
    pub async fn record<T>(&self, work: impl Future<Output = T>) -> T {
        RECORDED.scope(self.clone(), work).await
    }
}

/// A running command. Dropping it without an end records it as cancelled.
pub(super) struct Recording {
    log: Option<CommandLog>,
    entry: CommandRecord,
}

impl Recording {
    /// Starts the entry of a command. Has no effect outside [`CommandLog::record`].
    pub(super) fn begin(argv: &[String], command: &str, directory: &Path) -> Self {
        let shown = |word: &String| address::without_credentials_in(word);
        Self {
            log: RECORDED.try_with(Clone::clone).ok(),
            entry: CommandRecord {
                argv: argv.iter().map(shown).collect(),
                command: address::without_credentials_in(command),
                directory: directory.to_owned(),
                began: Timestamp::now(),
                took: Duration::ZERO,
                end: CommandOutcome::Cancelled,
                output: String::new(),
            },
        }
    }

    /// Appends a line of output.
    pub(super) fn push_line(&mut self, line: &str) {
        let output = &mut self.entry.output;
        if self.log.is_some() && output.len() + line.len() < OUTPUT {
            output.push_str(line);
            output.push('\n');
        }
    }

    pub(super) fn end(mut self, end: CommandOutcome) {
        self.entry.end = end;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let Some(log) = self.log.take() else {
            return;
        };
        let mut entry = self.entry.clone();
        entry.took = Timestamp::now()
            .duration_since(entry.began)
            .try_into()
            .unwrap_or_default();
        (log.0)(entry);
    }
}
