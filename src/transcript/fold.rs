//! Totals of a run's transcript, folded line by line as they stream.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{Entry, Event, Outcome, Tokens, ToolUse, entries};
use crate::{resources::Usage, runs::DOCUMENTS};

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
    documents: BTreeSet<String>,
    /// Calls that wrote a document for the first time, by id: taken back when the tool answers with an error.
    unconfirmed: HashMap<String, String>,
    /// Of sessions that ended: what their results said.
    ended: Usage,
    /// Of the session under way: messages by id, since a message's lines repeat its tokens.
    messages: HashMap<String, (Tokens, bool)>,
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
        if let (Some(id), Some(tokens)) = (&entry.message, entry.tokens) {
            self.messages
                .insert(id.clone(), (tokens, entry.parent.is_none()));
            if entry.parent.is_none() {
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
            Event::ToolResult { id, is_error, .. } => {
                let document = self.unconfirmed.remove(id);
                if *is_error {
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
        let live = self.live();
        let tokens = outcome.tokens.unwrap_or(live.0);
        add(
            &mut self.ended,
            tokens,
            outcome.turns.unwrap_or(live.1),
            outcome.cost_micro_usd,
        );
        self.messages.clear();
        self.session = outcome.session.clone().or(self.session.take());
        self.outcome = Some(outcome.clone());
    }

    /// Tokens and turns of the session under way.
    fn live(&self) -> (Tokens, i64) {
        let mut sum = Tokens::default();
        let mut turns = 0;
        for (tokens, own) in self.messages.values() {
            sum += *tokens;
            turns += i64::from(*own);
        }
        (sum, turns)
    }

    /// Documents of tasks written so far, by their paths from `.taskmaster/docs/` on.
    pub const fn documents(&self) -> &BTreeSet<String> {
        &self.documents
    }

    /// What all sessions used so far, in the form of a run's status. Tokens written to the cache count as input. The cost is
    /// known only from results, so that it lags behind while a session runs.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = self.ended;
        let (tokens, turns) = self.live();
        add(&mut usage, tokens, turns, None);
        usage
    }
}

fn add(usage: &mut Usage, tokens: Tokens, turns: i64, cost: Option<i64>) {
    usage.input_tokens = usage
        .input_tokens
        .saturating_add(tokens.input)
        .saturating_add(tokens.cache_write);
    usage.output_tokens = usage.output_tokens.saturating_add(tokens.output);
    usage.cache_read_tokens = usage.cache_read_tokens.saturating_add(tokens.cache_read);
    usage.turns = usage.turns.saturating_add(turns);
    usage.cost_micro_usd = usage.cost_micro_usd.saturating_add(cost.unwrap_or(0));
}

/// The path of one of the four documents, from `.taskmaster/docs/` on.
fn document(path: &str) -> Option<&str> {
    let at = path.rfind(DOCUMENTS_DIRECTORY)?;
    let (directory, file) = path[at..].rsplit_once('/')?;
    let (_, task) = directory.rsplit_once('/')?;
    (task.starts_with("task-") && DOCUMENTS.contains(&file)).then_some(&path[at..])
}
