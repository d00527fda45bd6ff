//! What was run on the person's behalf: the commands that change something or talk to a remote, as they went.
//!
//! Whoever wants to know wraps the work in [`CommandLog::record`]; the work itself knows nothing of it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::address;

/// Most bytes of what a command printed that are kept; the end is what is dropped.
const OUTPUT: usize = 4096;

tokio::task_local! {
    static RECORDED: CommandLog;
}

/// A command that has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The program and its arguments, as they were given; addresses without credentials.
    pub argv: Vec<String>,
    /// The same as a person would type it.
    pub command: String,
    pub directory: PathBuf,
    pub began: Timestamp,
    pub took: Duration,
    pub end: End,
    /// What it printed on both streams, at most 4 KiB; may hold remote text.
    pub output: String,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    /// By a signal nobody here sent.
    Killed,
    TimedOut,
    /// It printed more than is kept, and was ended.
    TooMuchOutput,
    /// The person, or what they did next, ended it.
    Cancelled,
    NotStarted(String),
}

impl fmt::Display for End {
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

/// Takes an entry for every command that ends; cheap to clone.
#[derive(Clone)]
pub struct CommandLog(Arc<dyn Fn(Entry) + Send + Sync>);

impl CommandLog {
    /// A log that hands each entry to `sink`, which must not block.
    pub fn new(sink: impl Fn(Entry) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Does the work and takes down the commands it runs on the person's behalf.
    pub async fn record<T>(&self, work: impl Future<Output = T>) -> T {
        RECORDED.scope(self.clone(), work).await
    }
}

/// One command under way; dropping it unended says that it was cancelled.
pub(super) struct Recording {
    log: Option<CommandLog>,
    entry: Entry,
}

impl Recording {
    /// Begins the entry of a command; nothing comes of it where nobody records.
    pub(super) fn begin(argv: &[String], command: &str, directory: &Path) -> Self {
        let shown = |word: &String| address::without_credentials_in(word);
        Self {
            log: RECORDED.try_with(Clone::clone).ok(),
            entry: Entry {
                argv: argv.iter().map(shown).collect(),
                command: address::without_credentials_in(command),
                directory: directory.to_owned(),
                began: Timestamp::now(),
                took: Duration::ZERO,
                end: End::Cancelled,
                output: String::new(),
            },
        }
    }

    /// One more piece of what it printed.
    pub(super) fn printed(&mut self, line: &str) {
        let output = &mut self.entry.output;
        if self.log.is_some() && output.len() + line.len() < OUTPUT {
            output.push_str(line);
            output.push('\n');
        }
    }

    pub(super) fn end(mut self, end: End) {
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
