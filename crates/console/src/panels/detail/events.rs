//! The Events tab: a run's attempts, its conditions, and what the cluster said of everything it owns.

use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::api::core::v1::Event;

use crate::{widgets::markdown, world::Entry};
use flightdeck_core::{resources::ConditionStatus, text};

use super::{
    page::{Content, Lines, Reading},
    task::{field, heading},
};

/// What is said of a run; `found` are the cluster's events, newest first.
pub fn content(entry: &Entry, found: &[&Event], zone: &TimeZone) -> Content {
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
        let rows = status.attempts.iter().map(|attempt| {
            let (began, ended) = (parsed(&attempt.started_at), parsed(&attempt.finished_at));
            let took = began
                .zip(ended)
                .map(|(began, ended)| text::duration(ended.duration_since(began).as_secs()));
            let exit = attempt
                .exit_code
                .map_or_else(String::new, |code| code.to_string());
            let why = attempt.reason.as_deref().unwrap_or_default();
            let cells = [
                clock(began),
                one_line(&attempt.stage),
                attempt.attempt.to_string(),
                took.unwrap_or_default(),
                exit,
                one_line(why),
                one_line(&attempt.job_name),
            ];
            (cells, attempt.exit_code.is_some_and(|code| code != 0))
        });
        let head = ["Began", "Stage", "Try", "Took", "Exit", "Reason", "Job"];
        lines.extend(markdown::rows(head, &rows.collect::<Vec<_>>()));
    }
    if !status.conditions.is_empty() {
        heading(&mut lines, "Conditions");
        let rows = status.conditions.iter().map(|condition| {
            let cells = [
                clock(condition.last_transition_time.parse().ok()),
                one_line(&condition.r#type),
                format!("{:?}", condition.status),
                one_line(&condition.reason),
                one_line(&condition.message),
            ];
            (cells, condition.status == ConditionStatus::False)
        });
        lines.extend(markdown::rows(
            ["Since", "Condition", "Is", "Reason", ""],
            &rows.collect::<Vec<_>>(),
        ));
    }
    heading(&mut lines, "Events");
    if found.is_empty() {
        let sentence = "The cluster keeps no events of this run; they fade after about an hour.";
        lines.push((sentence.into(), markdown::tag::MUTED));
    } else {
        let rows = found.iter().map(|event| {
            let words = |text: &Option<String>| one_line(text.as_deref().unwrap_or_default());
            let times = event.count.filter(|count| *count > 1);
            let times = times.map_or_else(String::new, |count| format!(" ({count} times)"));
            let about = &event.involved_object;
            // Of the run itself nothing need be named.
            let about = if about.uid.as_deref() == Some(entry.run.uid()) {
                String::new()
            } else {
                format!(" ({} {})", words(&about.kind), words(&about.name))
            };
            let said = format!("{}{times}{about}", words(&event.message));
            let warning = event.type_.as_deref() == Some("Warning");
            ([clock(seen(event)), words(&event.reason), said], warning)
        });
        lines.extend(markdown::rows(
            ["Seen", "Reason", "Message (object)"],
            &rows.collect::<Vec<_>>(),
        ));
    }
    Content::Text(Reading::Document, lines)
}

fn one_line(text: &str) -> String {
    text::sanitize(text.trim()).into_owned()
}

/// When an event was seen last.
fn seen(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let created = || {
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
    };
    last.or_else(created)
}
