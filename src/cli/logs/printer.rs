//! Writes the events of a log to stdout in the form that was asked for; what is about the log goes to stderr.

use std::{collections::VecDeque, io};

use jiff::Timestamp;
use serde_json::json;

use super::{LogFormat, Logs, timeline::Timeline};
use crate::cli::output;
use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource, Notice},
    runs::Stage,
    text, transcript,
};

/// Prints lines that pass, in their order.
pub(super) struct Printer {
    stage: Option<Stage>,
    since: Timestamp,
    json: bool,
    /// An agent's JSON is told in words.
    readable: bool,
    prefix: bool,
    timestamps: bool,
    terminal: bool,
    colours: bool,
    /// The last lines so far, at most so many; `None` once they may go.
    held: Option<(usize, VecDeque<LogLine>)>,
    /// The agent's steps are printed instead of lines.
    timeline: Option<Timeline>,
    /// Everything that was asked for could be read.
    pub(super) complete: bool,
}

impl Printer {
    pub(super) fn new(logs: &Logs) -> Self {
        let terminal = output::on_a_terminal();
        let json = logs.output == LogFormat::Json;
        Self {
            stage: logs.stage,
            since: logs.since().unwrap_or(Timestamp::MIN),
            json,
            readable: terminal && !logs.raw && !json,
            prefix: logs.prefix || (terminal && !logs.raw),
            timestamps: logs.timestamps,
            terminal,
            colours: colours(terminal, |name| std::env::var(name).ok()),
            held: logs.tail().map(|lines| (lines, VecDeque::new())),
            timeline: logs
                .timeline
                .then(|| Timeline::new(logs.follow, logs.since())),
            complete: true,
        }
    }

    /// Takes one event.
    pub(super) fn event(&mut self, event: &LogEvent) -> io::Result<()> {
        match event {
            LogEvent::Line(line) if self.timeline.is_some() => self.step(line),
            LogEvent::Line(line) if !self.wants(&line.source) || line.at < self.since => Ok(()),
            LogEvent::Line(line) => match &mut self.held {
                Some((most, lines)) => {
                    lines.push_back(line.clone());
                    if lines.len() > *most {
                        lines.pop_front();
                    }
                    Ok(())
                }
                None => self.line(line),
            },
            LogEvent::Notice(source, notice) => {
                if self.wants(source) || source.pod.is_empty() {
                    self.complete &= !matches!(notice, Notice::Unreachable(_));
                    output::notice(&format!("{}: {notice}", source.tag()));
                }
                Ok(())
            }
            LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) | LogEvent::RunEnded => Ok(()),
        }
    }

    fn step(&mut self, line: &LogLine) -> io::Result<()> {
        if line.source.stage == Some(Stage::Agent)
            && let Some(timeline) = &mut self.timeline
        {
            timeline.add(line);
        }
        if self.held.is_some() {
            return Ok(());
        }
        self.steps(false)
    }

    /// Prints the steps that are new.
    fn steps(&mut self, over: bool) -> io::Result<()> {
        let news = self.timeline.as_mut().map(|timeline| timeline.news(over));
        for told in news.into_iter().flatten() {
            if self.json {
                output::json_line(&told.json())?;
                continue;
            }
            let at = told.at().filter(|_| self.timestamps);
            let stamp = at.map_or_else(String::new, |at| format!("{at:.9} "));
            for line in told.lines() {
                output::line(&format!("{stamp}{line}"))?;
            }
        }
        Ok(())
    }

    fn wants(&self, source: &LogSource) -> bool {
        self.stage.is_none_or(|stage| source.stage == Some(stage))
    }

    /// Prints the lines that were held back; from now on none are.
    pub(super) fn release(&mut self) -> io::Result<()> {
        let Some((most, lines)) = self.held.take() else {
            return Ok(());
        };
        if let Some(timeline) = &mut self.timeline {
            timeline.keep_last(most);
        }
        lines.iter().try_for_each(|line| self.line(line))?;
        self.steps(false)
    }

    /// The last word.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.release()?;
        self.steps(true)
    }

    fn line(&self, line: &LogLine) -> io::Result<()> {
        let tag = line.source.tag();
        if line.left_out > 0 {
            let bytes = text::bytes(line.left_out);
            output::notice(&format!("{tag}: {bytes} of a line were left out"));
        }
        if self.json {
            return output::json_line(&object(line));
        }
        if let Some(bytes) = line.bytes.as_deref().filter(|_| !self.terminal) {
            return output::bytes(&self.before(&tag, line.at), bytes);
        }
        if !self.readable {
            return self.put(&tag, line.at, &line.text);
        }
        let said = transcript::readable(&line.text);
        said.iter()
            .try_for_each(|said| self.put(&tag, line.at, &said.to_string()))
    }

    /// Prints a line after where it comes from and when it was written, as far as these were asked for.
    fn put(&self, tag: &str, at: Timestamp, words: &str) -> io::Result<()> {
        if self.prefix && self.terminal && self.colours {
            let stamp = self.stamp(at);
            return output::line_after(&format!("{tag:<15} │"), &format!("{stamp}{words}"));
        }
        output::line(&format!("{}{words}", self.before(tag, at)))
    }

    fn before(&self, tag: &str, at: Timestamp) -> String {
        let stamp = self.stamp(at);
        match (self.prefix, self.terminal) {
            (false, _) => stamp,
            (true, false) => format!("[{tag}] {stamp}"),
            (true, true) => format!("{tag:<15} │ {stamp}"),
        }
    }

    /// As kubectl prints them, whatever the digits.
    fn stamp(&self, at: Timestamp) -> String {
        if self.timestamps {
            format!("{at:.9} ")
        } else {
            String::new()
        }
    }
}

fn object(line: &LogLine) -> serde_json::Value {
    let source = &line.source;
    let mut object = json!({
        "time": line.at,
        "stage": source.stage,
        "contextVersion": source.context_version,
        "attempt": source.attempt,
        "pod": source.pod,
        "container": source.container,
        "restart": source.restart,
        "text": line.text,
    });
    if line.left_out > 0 {
        object["leftOut"] = line.left_out.into();
    }
    object
}

/// Whether to colour: on a terminal that can, unless the person says otherwise (no-color.org, bixense.com/clicolors).
fn colours(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    let forced = variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
    forced || (terminal && variable("TERM").is_none_or(|term| term != "dumb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_for_those_who_ask() {
        let with = |terminal, name: &str, value: &str| {
            colours(terminal, |asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(with(true, "TERM", "xterm"));
        assert!(!with(false, "TERM", "xterm"));
        assert!(!with(true, "TERM", "dumb"));
        assert!(!with(true, "NO_COLOR", "1"));
        assert!(with(true, "NO_COLOR", ""));
        assert!(with(false, "CLICOLOR_FORCE", "1"));
        assert!(!with(false, "CLICOLOR_FORCE", "0"));
    }
}
