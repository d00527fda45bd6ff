//! Runs the commands of a fix.

use std::fmt;

use tokio_util::sync::CancellationToken;

use super::{FixError, FixPlan, steps};
use flightdeck_host::repository::git::{Git, GitError, OutputLine, Tail};

/// Progress of a running fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A command starts; its command line.
    Started(String),
    /// A line of output. May contain remote text.
    Output(OutputLine),
}

/// A finished command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanCommand {
    pub command: String,
    /// Its output. May contain remote text.
    pub output: String,
}

/// A fix that failed halfway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PartialFix {
    #[source]
    pub why: FixError,
    /// Completed steps: `commit`.
    pub done: Vec<&'static str>,
}

impl fmt::Display for PartialFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)?;
        match self.done.as_slice() {
            [] => Ok(()),
            done => write!(f, "; already done: {}", done.join(", ")),
        }
    }
}

/// Runs the commands of a plan. Cancelling kills the current command's process group; earlier steps are not undone.
///
/// # Errors
/// If HEAD has moved, a command fails, or the fix is cancelled.
pub async fn apply(
    sheet: &FixPlan,
    cancel: &CancellationToken,
    mut tell: impl FnMut(Progress) + Send,
) -> Result<Vec<RanCommand>, PartialFix> {
    let nothing = |why| PartialFix {
        why,
        done: Vec::new(),
    };
    unmoved(sheet).await.map_err(nothing)?;
    let mut ran: Vec<RanCommand> = Vec::new();
    let mut done = Vec::new();
    let mut undo: Option<&[String]> = None;
    for step in &sheet.steps {
        let command = step.command_line(&sheet.root);
        tell(Progress::Started(command.clone()));
        let mut output = Tail::default();
        let mut heard = |line: OutputLine| {
            if !line.overwritten {
                output.push(line.text.as_bytes());
                output.push(b"\n");
            }
            tell(Progress::Output(line));
        };
        let result = step
            .git(&sheet.root)
            .run_streaming(&mut heard, cancel)
            .await;
        let output = output.into_text();
        if let Err(error) = result {
            if let Some(undo) = undo {
                // Report the original error; the command log has the result of the undo.
                let _ = steps::command(&sheet.root, undo).run().await;
            }
            let why = FixError::of_step(step.act, &sheet.place, &output, &error);
            return Err(PartialFix { why, done });
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

/// Fails if HEAD has moved since the plan was made.
async fn unmoved(sheet: &FixPlan) -> Result<(), FixError> {
    let asked = |words: &[&str]| Git::new(&sheet.root).args(words).run();
    let known = |answer: Result<flightdeck_host::repository::git::Output, GitError>| match answer {
        Ok(output) => Ok(Some(output.text())),
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(FixError::Failed(error.to_string())),
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
