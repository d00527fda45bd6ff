//! Maps the agent's exit and final result to the stage's result. Pure.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use crate::stages::error::StageError;
use flightdeck_core::{
    runs::{StageReport, reason},
    text,
    transcript::Transcript,
};

/// How the agent's process ended.
#[derive(Clone, Debug)]
pub(crate) enum Exit {
    Status(ExitStatus),
    /// It was asked to stop.
    Stopped,
    /// It was ended after its result, which it had reported without exiting.
    Dismissed,
    /// It exited with success, but started no session and changed nothing. With its last line.
    DidNothing(String),
}

/// Returns `report` if the agent succeeded by its exit and its result event, else the failure with it.
pub(crate) fn result(
    transcript: &Transcript,
    report: StageReport,
    exit: Exit,
) -> Result<StageReport, StageError> {
    match failure(transcript, exit) {
        None => Ok(report),
        Some((reason, message)) => Err(StageError::Ended {
            reason,
            message,
            report: Box::new(report),
        }),
    }
}

fn failure(transcript: &Transcript, exit: Exit) -> Option<(&'static str, String)> {
    if matches!(exit, Exit::Stopped) {
        return Some((
            reason::AGENT_FAILED,
            "the agent was stopped before it finished".into(),
        ));
    }
    let failed = transcript
        .outcome
        .as_ref()
        .filter(|outcome| outcome.is_error || outcome.subtype.starts_with("error"));
    if let Some(outcome) = failed {
        let detail = outcome.text.as_deref().and_then(|text| text.lines().next());
        let detail = detail.map(|text| format!(": {}", text::cut_end(text, 300)));
        let detail = detail.unwrap_or_default();
        return Some(match outcome.subtype.as_str() {
            "error_max_budget_usd" => (
                reason::BUDGET_EXCEEDED,
                format!("the agent used up its budget before it finished{detail}"),
            ),
            "error_max_turns" => (
                reason::AGENT_FAILED,
                format!("the agent used up its turns before it finished{detail}"),
            ),
            _ => (
                reason::AGENT_FAILED,
                format!("the agent reported an error{detail}"),
            ),
        });
    }
    let status = match exit {
        Exit::Status(status) => status,
        Exit::Stopped | Exit::Dismissed => return None,
        Exit::DidNothing(line) => {
            let line = if line.is_empty() {
                "it printed nothing".to_owned()
            } else {
                format!("its last line: {}", text::sanitize(&line))
            };
            return Some((
                reason::AGENT_NOT_STARTED,
                format!("the agent exited without starting its work; {line}"),
            ));
        }
    };
    let how = match (status.code(), status.signal()) {
        (Some(0), _) => return None,
        (Some(127), _) => "command not found (exit code 127)".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "unknown exit status".to_owned(),
    };
    Some((
        reason::AGENT_FAILED,
        format!("the agent failed: {how}; see its log"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(subtype: &str, is_error: bool, text: &str) -> String {
        serde_json::json!({"type": "result", "subtype": subtype, "is_error": is_error, "result": text, "session_id": "s"}).to_string()
    }

    #[test]
    fn succeeds_only_if_exit_and_result_agree() {
        let exit = |code: i32| Exit::Status(ExitStatus::from_raw(code << 8));
        for (line, exit, expected) in [
            (result("success", false, "done"), exit(0), None),
            (String::new(), exit(0), None),
            (
                result("success", false, "done"),
                exit(1),
                Some(("AgentFailed", "exit code 1")),
            ),
            (
                result("success", true, "API Error: 529"),
                exit(0),
                Some(("AgentFailed", "API Error: 529")),
            ),
            (
                result("error_max_turns", false, ""),
                exit(1),
                Some(("AgentFailed", "turns")),
            ),
            (
                result("error_max_budget_usd", true, ""),
                exit(1),
                Some(("BudgetExceeded", "budget")),
            ),
            (String::new(), exit(127), Some(("AgentFailed", "not found"))),
            (
                String::new(),
                Exit::Status(ExitStatus::from_raw(9)),
                Some(("AgentFailed", "signal 9")),
            ),
            (
                result("success", false, "done"),
                Exit::Stopped,
                Some(("AgentFailed", "stopped")),
            ),
            (result("success", false, "done"), Exit::Dismissed, None),
            (
                result("success", true, "API Error: 529"),
                Exit::Dismissed,
                Some(("AgentFailed", "API Error: 529")),
            ),
            (
                String::new(),
                Exit::DidNothing("usage limit reached".into()),
                Some(("AgentNotStarted", "usage limit reached")),
            ),
        ] {
            let mut transcript = Transcript::default();
            transcript.add(None, &line);
            let failure = failure(&transcript, exit);
            match (&failure, expected) {
                (None, None) => {}
                (Some((reason, message)), Some((expected, word))) => {
                    assert_eq!(*reason, expected, "{line}");
                    assert!(message.contains(word), "{message}");
                }
                _ => panic!("{line}: {failure:?}"),
            }
        }
    }
}
