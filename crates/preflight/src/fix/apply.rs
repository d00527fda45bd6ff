//! Runs a sheet, step by step.

use std::fmt;

use tokio_util::sync::CancellationToken;

use super::{FixError, FixSheet, steps};
use flightdeck_host::repository::git::{Git, GitError, Line, Tail};

/// What is heard of a fix while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A command begins, as a person would type it.
    Begins(String),
    /// It printed something; may hold remote text.
    Said(Line),
}

/// A command that has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanCommand {
    pub command: String,
    /// What it printed; may hold remote text.
    pub output: String,
}

/// A fix that did not come to its end, and what of it is done nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unfinished {
    #[source]
    pub why: FixError,
    /// What stays: `the commit is made`.
    pub done: Vec<&'static str>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)?;
        match self.done.as_slice() {
            [] => Ok(()),
            done => write!(f, "; before that, {}", done.join(" and ")),
        }
    }
}

/// Runs what the sheet says, unless HEAD has moved since it was made. Cancelling ends the command under way and what it started;
/// what ran before stays done, and the error says so.
///
/// # Errors
/// When HEAD has moved, a command fails (what git, a hook or the remote said is told apart), or it is cancelled.
pub async fn apply(
    sheet: &FixSheet,
    cancel: &CancellationToken,
    mut tell: impl FnMut(Progress) + Send,
) -> Result<Vec<RanCommand>, Unfinished> {
    let nothing = |why| Unfinished {
        why,
        done: Vec::new(),
    };
    unmoved(sheet).await.map_err(nothing)?;
    let mut ran: Vec<RanCommand> = Vec::new();
    let mut done = Vec::new();
    let mut undo: Option<&[String]> = None;
    for step in &sheet.steps {
        let command = step.command_line(&sheet.root);
        tell(Progress::Begins(command.clone()));
        let mut output = Tail::default();
        let mut heard = |line: Line| {
            if !line.overwritten {
                output.push(line.text.as_bytes());
                output.push(b"\n");
            }
            tell(Progress::Said(line));
        };
        let result = step
            .git(&sheet.root)
            .run_streaming(&mut heard, cancel)
            .await;
        let output = output.into_text();
        if let Err(error) = result {
            if let Some(undo) = undo {
                // Said in the command log; what failed first is what the person needs to know.
                let _ = steps::command(&sheet.root, undo).run().await;
            }
            let why = FixError::of_step(step.act, &sheet.place, &output, &error);
            return Err(Unfinished { why, done });
        }
        undo = step.undo.as_deref();
        done.extend(Some(step.act.done()).filter(|words| !words.is_empty()));
        ran.push(RanCommand {
            command,
            output: output.trim_end().to_owned(),
        });
    }
    Ok(ran)
}

/// Refuses when HEAD is not where it was when the person was shown what would be done.
async fn unmoved(sheet: &FixSheet) -> Result<(), FixError> {
    let asked = |words: &[&str]| Git::new(&sheet.root).args(words).run();
    let known = |answer: Result<flightdeck_host::repository::git::Output, GitError>| match answer {
        Ok(output) => Ok(Some(output.text())),
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(FixError::Other(error.to_string())),
    };
    let (at, on) = tokio::join!(
        asked(&["rev-parse", "--verify", "--quiet", "HEAD"]),
        asked(&["symbolic-ref", "--quiet", "HEAD"])
    );
    let on = known(on)?.map(|on| on.trim_start_matches("refs/heads/").to_owned());
    if known(at)? == sheet.at && on == sheet.on {
        Ok(())
    } else {
        Err(FixError::Moved)
    }
}
