//! The Events tab: a run's attempts, its conditions, and what the cluster said of everything it owns.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    console::{widgets::markdown, world::Entry},
    text,
};

use super::{
    Fetched,
    page::{Content, Lines, Reading},
    task::{field, heading},
};

/// Something the cluster said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When it was last seen.
    pub at: Option<Timestamp>,
    pub warning: bool,
    /// `Pod docs-x-agent-1-abcde`.
    pub object: String,
    pub reason: String,
    pub message: String,
    /// How often.
    pub count: i32,
}

/// What is said of a run; `found` are the cluster's events, oldest first.
pub fn content(entry: &Entry, found: &Fetched<Vec<Happening>>, zone: &TimeZone) -> Content {
    let status = &entry.run.status;
    let clock = |at: Option<Timestamp>| {
        at.map_or_else(String::new, |at| {
            at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
        })
    };
    let parsed = |at: &Option<String>| at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    let mut lines: Lines = Vec::new();
    if let Some(trouble) = &entry.trouble {
        field(&mut lines, "Trouble", trouble);
    }
    if !status.attempts.is_empty() {
        heading(&mut lines, "Attempts");
        let mut rows = vec![row(
            ["Stage", "Try", "Began", "Took", "Exit", "Job"].map(str::to_owned)
        )];
        for attempt in &status.attempts {
            let (began, ended) = (parsed(&attempt.started_at), parsed(&attempt.finished_at));
            let took = began
                .zip(ended)
                .map(|(began, ended)| text::duration(ended.duration_since(began).as_secs()));
            let exit = match (attempt.exit_code, attempt.reason.as_deref()) {
                (Some(code), None) => code.to_string(),
                (Some(code), Some(reason)) => format!("{code} {reason}"),
                (None, reason) => reason.unwrap_or_default().to_owned(),
            };
            rows.push(row([
                attempt.stage.clone(),
                attempt.attempt.to_string(),
                clock(began),
                took.unwrap_or_default(),
                exit,
                attempt.job_name.clone(),
            ]));
        }
        lines.extend(markdown::table(rows));
    }
    if !status.conditions.is_empty() {
        heading(&mut lines, "Conditions");
        let mut rows = vec![row(
            ["Condition", "Is", "Since", "Reason", "Message"].map(str::to_owned)
        )];
        for condition in &status.conditions {
            rows.push(row([
                condition.r#type.clone(),
                format!("{:?}", condition.status),
                clock(condition.last_transition_time.parse().ok()),
                condition.reason.clone(),
                condition.message.clone(),
            ]));
        }
        lines.extend(markdown::table(rows));
    }
    heading(&mut lines, "Events");
    match found {
        Fetched::Waiting => lines.push(("asking the cluster ...".into(), markdown::tag::MUTED)),
        Fetched::Failed(reason) => field(&mut lines, "Unknown", reason),
        Fetched::Ready(events) if events.is_empty() => {
            lines.push((
                "The cluster keeps no events of this run; they fade after about an hour.".into(),
                markdown::tag::MUTED,
            ));
        }
        Fetched::Ready(events) => {
            let mut rows = vec![row(
                ["Seen", "", "Reason", "Object", "Message"].map(str::to_owned)
            )];
            for event in events {
                let times = if event.count > 1 {
                    format!(" (x{})", event.count)
                } else {
                    String::new()
                };
                rows.push(row([
                    clock(event.at),
                    if event.warning { "!" } else { " " }.to_owned(),
                    event.reason.clone(),
                    event.object.clone(),
                    format!("{}{times}", event.message),
                ]));
            }
            lines.extend(markdown::table(rows));
        }
    }
    Content::Text(Reading::Document, lines)
}

/// Cells are one line each.
fn row<const N: usize>(cells: [String; N]) -> Vec<String> {
    cells
        .into_iter()
        .map(|cell| text::sanitize(cell.trim_end()).into_owned())
        .collect()
}
