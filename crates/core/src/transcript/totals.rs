//! Totals of a transcript, updated line by line.

mod signals;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use self::signals::SignalTracker;
use super::{Event, SessionOutcome, StreamEvent, Tokens, ToolUse, parse_line};
use crate::{
    resources::Usage,
    runs::{DOCUMENTS, health::Signals},
};

/// Documents directory, relative to the project.
const DOCUMENTS_DIRECTORY: &str = ".taskmaster/docs/";

/// Last activity of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Log time; `None` for lines without a timestamp.
    pub at: Option<Timestamp>,
    /// One line. Remote text: sanitise before showing.
    pub what: String,
}

/// Totals of an agent log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    pub session: Option<String>,
    pub model: Option<String>,
    /// Tool calls, including those of sub-agents.
    pub tool_calls: usize,
    /// Failed tool calls.
    pub tool_errors: usize,
    /// Outcome of the last session; `None` while it runs.
    pub outcome: Option<SessionOutcome>,
    pub last: Option<Activity>,
    /// Context size of the main agent at its last message.
    pub context_tokens: i64,
    /// Size of the context window, once reported.
    pub context_window: Option<i64>,
    /// Health signals.
    pub signals: Signals,
    signal_tracker: SignalTracker,
    documents: BTreeSet<String>,
    /// Calls that wrote a document for the first time, by id. Reverted if the call fails.
    unconfirmed: HashMap<String, String>,
    /// Usage reported by results, per session id.
    ended: BTreeMap<Option<String>, SessionUsage>,
    /// Usage of messages since the last result.
    live: Tokens,
    live_turns: i64,
    /// Usage of those messages by id, because the lines of a message repeat it.
    messages: HashMap<String, Tokens>,
}

/// Usage of one session. Cost, and tokens reported per model, are cumulative in each result; turns, and other tokens,
/// are not.
#[derive(Clone, Debug, Default, PartialEq)]
struct SessionUsage {
    tokens: Tokens,
    turns: i64,
    cost_micro_usd: i64,
}

impl Transcript {
    /// Adds one line of the log of the agent stage.
    pub fn add(&mut self, at: Option<Timestamp>, line: &str) {
        for entry in parse_line(line) {
            self.add_entry(at, &entry);
        }
    }

    /// Adds one event.
    pub fn add_entry(&mut self, at: Option<Timestamp>, entry: &StreamEvent) {
        self.signals.last_at = at.or(self.signals.last_at);
        self.signal_tracker.observe(&mut self.signals, at, entry);
        if let (Some(id), Some(tokens)) = (&entry.message, entry.tokens) {
            let own = entry.parent.is_none();
            match self.messages.insert(id.clone(), tokens) {
                Some(before) => self.live -= before,
                None => self.live_turns += i64::from(own),
            }
            self.live += tokens;
            if own && tokens.context() > 0 {
                self.context_tokens = tokens.context();
            }
        }
        let what = match &entry.event {
            Event::Init { session, model, .. } => {
                self.session = session.clone().or(self.session.take());
                self.model = model.clone().or(self.model.take());
                self.outcome = None;
                None
            }
            Event::Text(text) => text.lines().next().map(str::to_owned),
            Event::ToolUse(tool) => {
                self.tool_calls += 1;
                self.note_document(tool);
                Some(format!("{} {}", tool.name, tool.summary))
            }
            Event::ToolResult(result) => {
                let document = self.unconfirmed.remove(&result.id);
                if result.is_error {
                    self.tool_errors += 1;
                    if let Some(document) = document {
                        self.documents.remove(&document);
                    }
                }
                None
            }
            Event::Result(outcome) => {
                self.end(outcome);
                Some(outcome.subtype.clone())
            }
            _ => None,
        };
        if let Some(what) = what {
            self.last = Some(Activity { at, what });
        }
    }

    fn note_document(&mut self, tool: &ToolUse) {
        let Some(document) = tool
            .path
            .as_deref()
            .filter(|_| tool.writes_file())
            .and_then(document)
        else {
            return;
        };
        if self.documents.insert(document.to_owned()) {
            self.unconfirmed
                .insert(tool.id.clone(), document.to_owned());
        }
    }

    fn end(&mut self, outcome: &SessionOutcome) {
        self.session = outcome.session.clone().or(self.session.take());
        let spent = self.ended.entry(self.session.clone()).or_default();
        match outcome.tokens {
            Some(tokens) if outcome.whole_session => spent.tokens = tokens,
            tokens => spent.tokens += tokens.unwrap_or(self.live),
        }
        spent.turns = spent
            .turns
            .saturating_add(outcome.turns.unwrap_or(self.live_turns));
        spent.cost_micro_usd = spent
            .cost_micro_usd
            .max(outcome.cost_micro_usd.unwrap_or_default());
        self.live = Tokens::default();
        self.live_turns = 0;
        self.messages.clear();
        self.context_window = outcome.context_window.or(self.context_window);
        self.outcome = Some(outcome.clone());
    }

    /// Returns the documents written so far, as paths starting with `.taskmaster/docs/`.
    pub const fn documents(&self) -> &BTreeSet<String> {
        &self.documents
    }

    /// Returns the usage of all sessions, as in the status of a run. Tokens written to the cache count as input. The
    /// cost comes from results only, so it lags during a session.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let live = SessionUsage {
            tokens: self.live,
            turns: self.live_turns,
            cost_micro_usd: 0,
        };
        let mut usage = Usage::default();
        for spent in self.ended.values().chain([&live]) {
            let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
            add(&mut usage.input_tokens, spent.tokens.input);
            add(&mut usage.input_tokens, spent.tokens.cache_write);
            add(&mut usage.output_tokens, spent.tokens.output);
            add(&mut usage.cache_read_tokens, spent.tokens.cache_read);
            add(&mut usage.turns, spent.turns);
            add(&mut usage.cost_micro_usd, spent.cost_micro_usd);
        }
        usage
    }
}

/// Returns the path of a task document, starting with `.taskmaster/docs/`.
fn document(path: &str) -> Option<&str> {
    let at = path.rfind(DOCUMENTS_DIRECTORY)?;
    let (directory, file) = path[at..].rsplit_once('/')?;
    let (_, task) = directory.rsplit_once('/')?;
    (task.starts_with("task-") && DOCUMENTS.contains(&file)).then_some(&path[at..])
}
