//! Totals of a run's transcript, folded line by line as they stream.

mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use self::watch::Watch;
use super::{Entry, Event, Outcome, Tokens, ToolUse, entries};
use crate::{
    resources::Usage,
    runs::{DOCUMENTS, health::Signals},
};

/// Where documents of tasks live, from the project directory.
const DOCUMENTS_DIRECTORY: &str = ".taskmaster/docs/";

/// What an agent did last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// When the log said so; absent for lines without a time.
    pub at: Option<Timestamp>,
    /// On one line; remote text: sanitise before showing.
    pub what: String,
}

/// What is known of a run from its agent's log so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    pub session: Option<String>,
    pub model: Option<String>,
    /// Calls of tools, sub-agents' included.
    pub tool_calls: usize,
    /// Tool calls that failed.
    pub tool_errors: usize,
    /// How the last session ended; absent while it runs.
    pub outcome: Option<Outcome>,
    pub last: Option<Activity>,
    /// Tokens that stood in the agent's own context at its last message.
    pub context_tokens: i64,
    /// Tokens the model's context holds, once the stream has said so.
    pub context_window: Option<i64>,
    /// How the agent is.
    pub signals: Signals,
    watch: Watch,
    documents: BTreeSet<String>,
    /// Calls that wrote a document for the first time, by id: taken back when the tool answers with an error.
    unconfirmed: HashMap<String, String>,
    /// What the results of each session said, by the session's id.
    ended: BTreeMap<Option<String>, Spent>,
    /// Of messages since the last result.
    live: Tokens,
    live_turns: i64,
    /// Those messages' tokens by their ids, since a message's lines repeat them.
    messages: HashMap<String, Tokens>,
}

/// What results of one session said. Of cost, and of tokens that are told model by model, each result says what the whole
/// session used so far; turns, and other tokens, are each result's own.
#[derive(Clone, Debug, Default, PartialEq)]
struct Spent {
    tokens: Tokens,
    turns: i64,
    cost_micro_usd: i64,
}

impl Transcript {
    /// Takes one line of the agent stage's log.
    pub fn add(&mut self, at: Option<Timestamp>, line: &str) {
        for entry in entries(line) {
            self.add_entry(at, &entry);
        }
    }

    /// Takes one event.
    pub fn add_entry(&mut self, at: Option<Timestamp>, entry: &Entry) {
        self.signals.last_at = at.or(self.signals.last_at);
        self.watch.see(&mut self.signals, at, entry);
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
            .filter(|_| tool.writes())
            .and_then(document)
        else {
            return;
        };
        if self.documents.insert(document.to_owned()) {
            self.unconfirmed
                .insert(tool.id.clone(), document.to_owned());
        }
    }

    fn end(&mut self, outcome: &Outcome) {
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

    /// Documents of tasks written so far, by their paths from `.taskmaster/docs/` on.
    pub const fn documents(&self) -> &BTreeSet<String> {
        &self.documents
    }

    /// What all sessions used so far, in the form of a run's status. Tokens written to the cache count as input. The cost is
    /// known only from results, so that it lags behind while a session runs.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let live = Spent {
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

/// The path of one of the four documents, from `.taskmaster/docs/` on.
fn document(path: &str) -> Option<&str> {
    let at = path.rfind(DOCUMENTS_DIRECTORY)?;
    let (directory, file) = path[at..].rsplit_once('/')?;
    let (_, task) = directory.rsplit_once('/')?;
    (task.starts_with("task-") && DOCUMENTS.contains(&file)).then_some(&path[at..])
}
