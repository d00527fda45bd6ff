//! Git commands that changed something or contacted a remote, the latest first.

use super::row::Row;
use crate::{model::Model, theme::Scope, world::CommandRecord};
use flightdeck_core::text;
use flightdeck_host::repository::CommandOutcome;

/// Columns of the duration.
const DURATION: usize = 8;
/// Columns of the result.
const RESULT: usize = 10;
/// Lines of output shown.
const OUTPUT: usize = 6;

pub(super) fn rows(model: &Model) -> Vec<Row> {
    let commands = model.world.commands.iter();
    commands.map(|command| row(model, command)).collect()
}

fn row(model: &Model, command: &CommandRecord) -> Row {
    let clock = command.began.to_zoned(model.zone.clone());
    let clock = clock.strftime("%H:%M:%S ").to_string();
    let millis = command.took.as_millis();
    let took = if millis < 10_000 {
        format!("{}.{}s", millis / 1_000, millis / 100 % 10)
    } else {
        text::duration(command.took.as_secs() as i64)
    };
    let (sign, scope) = match &command.end {
        CommandOutcome::Exited(0) => (model.glyphs.done, Scope::Good),
        CommandOutcome::Cancelled => (model.glyphs.cancelled, Scope::Muted),
        _ => (model.glyphs.failed, Scope::Bad),
    };
    let ended = command.end.to_string();
    let line = text::sanitize(&command.command).into_owned();
    let mut full = vec![
        (line.clone(), Scope::Text),
        (
            format!("in {}: {ended}", command.directory.display()),
            Scope::Muted,
        ),
    ];
    let printed = command
        .output
        .lines()
        .filter(|line| !line.trim().is_empty());
    full.extend(
        printed
            .take(OUTPUT)
            .map(|line| (line.to_owned(), Scope::Muted)),
    );
    Row {
        pieces: vec![
            (clock, Scope::LogTimestamp, None),
            (took, Scope::Muted, Some(DURATION)),
            (format!("{sign} "), scope, None),
            (
                text::sanitize(&ended).into_owned(),
                Scope::Muted,
                Some(RESULT),
            ),
            (line, Scope::Text, None),
        ],
        full,
        link: None,
    }
}
