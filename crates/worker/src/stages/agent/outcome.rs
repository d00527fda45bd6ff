//! Maps the agent's exit and final result to the stage's result. Pure.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use crate::stages::error::StageError;
use flightdeck_core::{
    runs::{StageReport, reason},
    text,
    transcript::Transcript,
};

/// Returns `report` if the agent succeeded by its exit status and its result event, else the failure with it.
pub(crate) fn result(
    transcript: &Transcript,
    report: StageReport,
    status: ExitStatus,
    stopped: bool,
) -> Result<StageReport, StageError> {
    match failure(transcript, status, stopped) {
        None => Ok(report),
        Some((reason, message)) => Err(StageError::Ended {
            reason,
            message,
            report: Box::new(report),
        }),
    }
}

fn failure(
    transcript: &Transcript,
    status: ExitStatus,
    stopped: bool,
) -> Option<(&'static str, String)> {
    if stopped {
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
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        for (line, status, stopped, expected) in [
            (result("success", false, "done"), exit(0), false, None),
            (String::new(), exit(0), false, None),
            (
                result("success", false, "done"),
                exit(1),
                false,
                Some(("AgentFailed", "exit code 1")),
            ),
            (
                result("success", true, "API Error: 529"),
                exit(0),
                false,
                Some(("AgentFailed", "API Error: 529")),
            ),
            (
                result("error_max_turns", false, ""),
                exit(1),
                false,
                Some(("AgentFailed", "turns")),
            ),
            (
                result("error_max_budget_usd", true, ""),
                exit(1),
                false,
                Some(("BudgetExceeded", "budget")),
            ),
            (
                String::new(),
                exit(127),
                false,
                Some(("AgentFailed", "not found")),
            ),
            (
                String::new(),
                ExitStatus::from_raw(9),
                false,
                Some(("AgentFailed", "signal 9")),
            ),
            (
                result("success", false, "done"),
                exit(0),
                true,
                Some(("AgentFailed", "stopped")),
            ),
        ] {
            let mut transcript = Transcript::default();
            transcript.add(None, &line);
            let failure = failure(&transcript, status, stopped);
            match (&failure, expected) {
                (None, None) => {}
                (Some((reason, message)), Some((expected, word))) => {
                    assert_eq!(*reason, expected, "{line}");
                    assert!(message.contains(word), "{message}");
                }
                _ => panic!("{line} {status}: {failure:?}"),
            }
        }
    }
}
