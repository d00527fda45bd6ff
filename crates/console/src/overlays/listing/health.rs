//! Problems of active runs, and the key that helps.

use super::row::{Link, Row};
use crate::{
    command::Context,
    model::{Model, remedy_command},
    theme::Scope,
};
use flightdeck_core::{
    runs::health::{DETECTORS, Finding},
    text,
};

/// Columns of a run's name.
const NAME: usize = 26;

/// In the order of the Runs panel, the most severe problem of each run first.
pub(super) fn rows(model: &Model) -> Vec<Row> {
    let runs = model.runs.list.rows().iter();
    let found = runs.filter_map(|id| Some((id, model.world.runs.get(id)?)));
    found
        .flat_map(|(id, entry)| {
            let findings = model.health.of(id).iter();
            findings.map(move |finding| row(model, id, entry.run.name(), finding))
        })
        .collect()
}

fn row(model: &Model, id: &str, name: &str, finding: &Finding) -> Row {
    let scope = if finding.needs_action {
        Scope::Warn
    } else {
        Scope::Muted
    };
    let sentence = text::sanitize(&finding.message).into_owned();
    let detector = DETECTORS
        .iter()
        .find(|detector| detector.id == finding.detector);
    let about = detector.map_or("", |detector| detector.about);
    let help = finding.remedy.and_then(|remedy| {
        let (command, words) = remedy_command(remedy);
        let key = model.keymap.key_for(&Context::ALL, command)?;
        Some(format!(" {key}: {words}."))
    });
    Row {
        pieces: vec![
            (text::sanitize(name).into_owned(), Scope::Strong, Some(NAME)),
            (format!(" {} ", model.glyphs.warning), scope, None),
            (sentence, Scope::Text, None),
        ],
        full: vec![
            (finding.message.clone(), Scope::Text),
            (
                format!("{about}.{}", help.unwrap_or_default()),
                Scope::Muted,
            ),
        ],
        link: Some(Link::Run(id.to_owned())),
    }
}
