//! The sources of a log: containers of the stages, each with its attempts and restarts.

use crate::{detail_io::LineSource, theme::Scope};
use flightdeck_core::{runs::Stage, text};

impl LineSource {
    /// Returns the container name without its restart count.
    pub(super) fn name(&self) -> &str {
        self.container
            .split_once('+')
            .map_or(&self.container, |(name, _)| name)
    }

    /// Returns the order of the instances of a container.
    pub(super) fn instance(&self) -> (i32, i32, u32) {
        let restarts = self.container.split_once('+');
        let restarts = restarts.and_then(|(_, count)| count.parse().ok());
        (self.version, self.attempt, restarts.unwrap_or(0))
    }

    /// Returns the label of its lines: `agent`, with `@2` for a later context version and `#2` for a later attempt.
    pub(super) fn label(&self) -> String {
        let name = text::sanitize(&self.container);
        let number = |sign: &str, n: i32| {
            if n > 1 {
                format!("{sign}{n}")
            } else {
                String::new()
            }
        };
        format!(
            "{name}{}{}",
            number("@", self.version),
            number("#", self.attempt)
        )
    }
}

/// Tag of notices. The tags of sources are their indices, below this.
pub(super) const NOTICE_TAG: u16 = 63;

/// A choice in the Sources overlay, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceChoice {
    Toggle(usize),
    Only(usize),
    All,
}

/// Describes a source for the Sources overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// The label of its lines.
    pub label: String,
    /// The stage, and later versions and attempts.
    pub about: String,
    pub scope: Scope,
    pub shown: bool,
}

/// Returns the tag of a source. Sources above the limit share the last tag.
pub(super) fn source_tag(index: usize) -> u16 {
    (index as u16).min(NOTICE_TAG - 1)
}

/// Returns the colour of a source: one per container, the same in all attempts.
pub(super) fn source_scope(sources: &[LineSource], index: usize) -> Scope {
    let mut containers: Vec<(Stage, &str)> = Vec::new();
    for source in &sources[..=index] {
        let container = (source.stage, source.name());
        if !containers.contains(&container) {
            containers.push(container);
        }
    }
    let own = (sources[index].stage, sources[index].name());
    let index = containers.iter().position(|other| *other == own);
    Scope::log_source(index.unwrap_or_default())
}
