//! The Events tab: a run's attempts and conditions, and the events of the objects it owns.

use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::api::core::v1::Event;

use super::{
    page::{PageContent, PageFormat, TaggedLines, field, heading},
    tab::{Tab, run_content},
};
use crate::{ids::TabId, model::Model, widgets::markdown, world::RunEntry};
use flightdeck_core::{
    resources::{Attempt, Condition, ConditionStatus},
    text,
};

pub(super) struct EventsTab;

impl Tab for EventsTab {
    fn id(&self) -> TabId {
        TabId::Events
    }

    fn title(&self) -> &'static str {
        "Events"
    }

    fn content(&self, model: &Model) -> Option<PageContent> {
        let events = model.world.owned.events_of(model.detail.run()?);
        run_content(model, |entry| content(entry, &events, &model.zone))
    }
}

/// Returns the content. `events` are sorted newest first.
fn content(entry: &RunEntry, events: &[&Event], zone: &TimeZone) -> PageContent {
    let status = &entry.run.status;
    let mut lines = TaggedLines::new();
    if let Some(trouble) = &entry.trouble {
        field(&mut lines, "Problem", trouble);
    }
    if !status.attempts.is_empty() {
        heading(&mut lines, "Attempts");
        attempts(&mut lines, &status.attempts, zone);
    }
    if !status.conditions.is_empty() {
        heading(&mut lines, "Conditions");
        conditions(&mut lines, &status.conditions, zone);
    }
    heading(&mut lines, "Events");
    if events.is_empty() {
        let sentence = "No events in the cluster. Kubernetes deletes them after about an hour.";
        lines.push((sentence.into(), markdown::tag::MUTED));
    } else {
        let rows = events.iter().map(|event| {
            let words = |text: &Option<String>| one_line(text.as_deref().unwrap_or_default());
            let times = event.count.filter(|count| *count > 1);
            let times = times.map_or_else(String::new, |count| format!(" ({count} times)"));
            let object = &event.involved_object;
            // Name the object unless it is the run itself.
            let about = if object.uid.as_deref() == Some(entry.run.uid()) {
                String::new()
            } else {
                format!(" ({} {})", words(&object.kind), words(&object.name))
            };
            let message = format!("{}{times}{about}", words(&event.message));
            let warning = event.type_.as_deref() == Some("Warning");
            let cells = [clock(last_seen(event), zone), words(&event.reason), message];
            (cells, warning)
        });
        let head = ["Last seen", "Reason", "Message (object)"];
        lines.extend(markdown::rows(head, &rows.collect::<Vec<_>>()));
    }
    PageContent::Text(PageFormat::Document, lines)
}

fn attempts(lines: &mut TaggedLines, attempts: &[Attempt], zone: &TimeZone) {
    let parsed = |at: &Option<String>| at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    let rows = attempts.iter().map(|attempt| {
        let (started, finished) = (parsed(&attempt.started_at), parsed(&attempt.finished_at));
        let duration = started
            .zip(finished)
            .map(|(started, finished)| text::duration(finished.duration_since(started).as_secs()));
        let exit = attempt
            .exit_code
            .map_or_else(String::new, |code| code.to_string());
        let cells = [
            clock(started, zone),
            one_line(&attempt.stage),
            attempt.attempt.to_string(),
            duration.unwrap_or_default(),
            exit,
            one_line(attempt.reason.as_deref().unwrap_or_default()),
            one_line(&attempt.job_name),
        ];
        (cells, attempt.exit_code.is_some_and(|code| code != 0))
    });
    let head = [
        "Started", "Stage", "Attempt", "Duration", "Exit", "Reason", "Job",
    ];
    lines.extend(markdown::rows(head, &rows.collect::<Vec<_>>()));
}

fn conditions(lines: &mut TaggedLines, conditions: &[Condition], zone: &TimeZone) {
    let rows = conditions.iter().map(|condition| {
        let cells = [
            clock(condition.last_transition_time.parse().ok(), zone),
            one_line(&condition.r#type),
            format!("{:?}", condition.status),
            one_line(&condition.reason),
            one_line(&condition.message),
        ];
        (cells, condition.status == ConditionStatus::False)
    });
    let head = ["Since", "Condition", "Status", "Reason", "Message"];
    lines.extend(markdown::rows(head, &rows.collect::<Vec<_>>()));
}

/// Formats a time of day; empty for none.
fn clock(at: Option<Timestamp>, zone: &TimeZone) -> String {
    at.map_or_else(String::new, |at| {
        at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
    })
}

fn one_line(text: &str) -> String {
    text::sanitize(text.trim()).into_owned()
}

/// Returns when an event occurred last.
fn last_seen(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let created = || {
        let created = event.metadata.creation_timestamp.as_ref();
        created.map(|time| time.0)
    };
    last.or_else(created)
}
