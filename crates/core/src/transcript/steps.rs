//! The steps of an agent, folded line by line as they stream: calls know their answers, steps of sub-agents the call that
//! started them. Folding line by line gives what folding at once gives.

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

use super::{
    AgentSoFar, Answer, Call, Entry, Event, RateLimit, Retry, Step, ToolResult, What, entries,
    event::start_of,
};

/// Most steps kept; of a longer stream the latest. The log has them all.
const KEPT: usize = 100_000;
/// Most bytes kept of one text.
const TEXT_LIMIT: usize = 64 * 1024;
/// Sub-agents of sub-agents that are told apart.
const DEEPEST: usize = 8;
/// Lines of one step of a shell's output; more begin another step.
const OUTPUT_LINES: usize = 200;
/// Most bytes kept of what shells wrote; of more the latest. The log has it all.
const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;

/// Most bytes kept of what the agent said and did, and of what its tools answered; of more the latest. The log has it all.
const BYTES_LIMIT: usize = 64 * 1024 * 1024;

/// The steps so far. Each has a number, which it keeps: the first is 0, also after older ones have been dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Number of the oldest step kept.
    first: usize,
    kept: VecDeque<Step>,
    /// Steps of calls by the calls' ids.
    calls: HashMap<String, usize>,
    /// Calls of the session under way that have not been answered.
    unanswered: BTreeSet<usize>,
    /// Steps that were added or changed since somebody asked.
    changed: BTreeSet<usize>,
    message: Option<String>,
    turn: usize,
    /// The step of requests being tried again, while nothing came after it.
    retrying: Option<usize>,
    /// Steps of a shell's output whose lines are kept, the oldest first, and the bytes of each.
    outputs: VecDeque<(usize, usize)>,
    output_bytes: usize,
    /// Number of the oldest step whose texts are whole, and the bytes of them and of those of later ones.
    whole: usize,
    bytes: usize,
}

impl Steps {
    /// Takes one line of the agent stage's log.
    pub fn add(&mut self, at: Option<Timestamp>, line: &str) {
        self.add_entries(at, line, &entries(line));
    }

    /// Takes one line that has been read already.
    pub fn add_entries(&mut self, at: Option<Timestamp>, line: &str, entries: &[Entry]) {
        for entry in entries {
            self.add_entry(at, line, entry);
        }
        self.let_go_of_texts(BYTES_LIMIT);
        self.drop_oldest(KEPT);
    }

    fn add_entry(&mut self, at: Option<Timestamp>, line: &str, entry: &Entry) {
        if entry.parent.is_none() && entry.message.is_some() && entry.message != self.message {
            self.message.clone_from(&entry.message);
            self.turn += 1;
        }
        let retried = self.retrying.take();
        let what = match &entry.event {
            Event::Init { session, model, .. } => {
                self.unanswered.clear();
                What::Session {
                    id: session.clone(),
                    model: model.clone(),
                }
            }
            Event::Text(words) if words.trim().is_empty() => return,
            Event::Text(words) => What::Text { text: kept(words) },
            Event::Thinking(words) => What::Thinking { text: kept(words) },
            Event::Prompt(words) => What::Prompt { text: kept(words) },
            Event::ToolUse(tool) => {
                let number = self.end();
                self.calls.insert(tool.id.clone(), number);
                self.unanswered.insert(number);
                What::Call(Box::new(Call {
                    tool: (**tool).clone(),
                    ..Call::default()
                }))
            }
            Event::ToolResult(result) => {
                if self.answered(at, result) {
                    return;
                }
                raw("tool_result", line)
            }
            Event::Denied { tool, id, why } => {
                if self.change_call(id, |call| call.denied = Some(kept(why))) {
                    return;
                }
                trouble(format!("{tool} was refused"), why)
            }
            Event::SubAgent(news) => {
                let ended = news.ended.as_deref();
                self.change_call(&news.id, |call| {
                    let known = call.agent.unwrap_or_default();
                    call.agent = Some(AgentSoFar {
                        tokens: news.tokens.unwrap_or(known.tokens),
                        tool_calls: news.tool_calls.unwrap_or(known.tool_calls),
                    });
                });
                match ended {
                    Some("failed" | "stopped") => {
                        trouble(format!("a sub-agent {}", ended.unwrap_or_default()), "")
                    }
                    _ => return,
                }
            }
            Event::Retry(retry) => {
                let what = trouble(retry.words(), "");
                self.retrying = Some(retried.unwrap_or_else(|| self.end()));
                if let Some(number) = retried {
                    self.change(number, |step| step.what = what);
                    return;
                }
                what
            }
            Event::RateLimit(limit) if limit.status == "allowed" => {
                self.retrying = retried;
                return;
            }
            Event::RateLimit(limit) if limit.rejects() => trouble(limit.words(), ""),
            Event::RateLimit(limit) => What::Notice {
                text: limit.words(),
            },
            Event::ApiError { kind, text } => trouble(kind.replace('_', " "), text),
            Event::Waiting(Some(what)) => trouble(format!("waits for {what}"), ""),
            Event::Compacted { before, after } => What::Notice {
                text: compacted(*before, *after),
            },
            Event::Notice { text, grave: true } => {
                let mut lines = text.trim().splitn(2, '\n');
                let first = lines.next().unwrap_or_default().to_owned();
                trouble(first, lines.next().unwrap_or_default())
            }
            Event::Notice { text, .. } => What::Notice { text: kept(text) },
            Event::Result(outcome) => {
                self.unanswered.clear();
                What::End(outcome.clone())
            }
            Event::Other(name) => raw(name, line),
            Event::Plain(text) => {
                self.output(at, text);
                return;
            }
            Event::Waiting(None) | Event::Partial => {
                self.retrying = retried;
                return;
            }
        };
        let parent = entry.parent.as_ref();
        let parent = parent.and_then(|id| self.calls.get(id)).copied();
        // A damaged stream may name the very call as the one that started it.
        let parent = parent.filter(|parent| *parent < self.end());
        // Whoever draws them goes down from step to step: what a stream nests deeper stands beside its parent.
        let parent = parent.and_then(|parent| {
            if self.depth(parent) < DEEPEST {
                Some(parent)
            } else {
                self.get(parent)?.parent
            }
        });
        self.push(at, parent, what);
    }

    /// In how many sub-agents a step is.
    #[must_use]
    pub fn depth(&self, number: usize) -> usize {
        let parent = |number: usize| self.get(number)?.parent;
        std::iter::successors(parent(number), |number| parent(*number)).count()
    }

    fn push(&mut self, at: Option<Timestamp>, parent: Option<usize>, what: What) {
        self.changed.insert(self.end());
        let step = Step {
            at,
            turn: self.turn,
            parent,
            what,
        };
        self.bytes += step.bytes();
        self.kept.push_back(step);
    }

    /// Changes a step, if it is kept, and counts its texts anew; one whose texts were let go gets no longer by it.
    fn change(&mut self, number: usize, change: impl FnOnce(&mut Step)) {
        let whole = number >= self.whole;
        let Some(step) = self.get_mut(number) else {
            return;
        };
        let before = step.bytes();
        change(step);
        if whole {
            let after = step.bytes();
            self.bytes = self.bytes - before + after;
        } else {
            step.let_go();
        }
    }

    fn get_mut(&mut self, number: usize) -> Option<&mut Step> {
        let step = self.kept.get_mut(number.checked_sub(self.first)?)?;
        self.changed.insert(number);
        Some(step)
    }

    /// Changes a call; `false` when it is not known.
    fn change_call(&mut self, id: &str, change: impl FnOnce(&mut Call)) -> bool {
        let Some(number) = self.calls.get(id).copied() else {
            return false;
        };
        self.change(number, |step| {
            if let What::Call(call) = &mut step.what {
                change(call);
            }
        });
        true
    }

    /// Puts an answer to its call; `false` when the call is not known.
    fn answered(&mut self, at: Option<Timestamp>, result: &ToolResult) -> bool {
        let Some(number) = self.calls.get(&result.id).copied() else {
            return false;
        };
        self.unanswered.remove(&number);
        let called = self.get(number).and_then(|step| step.at);
        self.change_call(&result.id, |call| {
            call.answer = Some(Answer::new(result, called, at));
            if result.patch.is_some() && !result.is_error {
                // The tool says the same with the file's own line numbers.
                call.tool.edits.clear();
            }
        })
    }

    fn output(&mut self, at: Option<Timestamp>, line: &str) {
        let last = self.kept.back_mut().map(|step| &mut step.what);
        if let Some(What::Output { lines }) = last
            && lines.len() < OUTPUT_LINES
        {
            lines.push(kept(line));
            self.changed.insert(self.end() - 1);
            if let Some((_, bytes)) = self.outputs.back_mut() {
                *bytes += line.len();
            }
        } else if !line.trim().is_empty() {
            self.outputs.push_back((self.end(), line.len()));
            let lines = vec![kept(line)];
            self.push(at, None, What::Output { lines });
        } else {
            return;
        }
        self.output_bytes += line.len();
        self.let_go_of_output(OUTPUT_LIMIT);
    }

    /// Of too much output the oldest steps say how long they were, and no more.
    fn let_go_of_output(&mut self, most: usize) {
        while self.output_bytes > most && self.outputs.len() > 1 {
            let Some((number, bytes)) = self.outputs.pop_front() else {
                return;
            };
            self.output_bytes -= bytes;
            if let Some(step) = self.get_mut(number)
                && let What::Output { lines } = &mut step.what
            {
                *lines = vec![format!("(lines: {}; the log has them)", lines.len())];
            }
        }
    }

    /// Of too many bytes the oldest steps keep how their texts begin, and no more.
    fn let_go_of_texts(&mut self, most: usize) {
        while self.bytes > most && self.whole + 1 < self.end() {
            let number = self.whole;
            self.whole += 1;
            let Some(step) = self.get(number) else {
                continue;
            };
            let bytes = step.bytes();
            self.bytes -= bytes;
            // One without texts did not change.
            if bytes > 0
                && let Some(step) = self.get_mut(number)
            {
                step.let_go();
            }
        }
    }

    fn drop_oldest(&mut self, most: usize) {
        if self.kept.len() <= most {
            return;
        }
        // Many at once: what follows goes over all that is known of calls.
        let surplus = self.kept.len() - most + most / 10;
        let counted = self.whole.saturating_sub(self.first);
        for (place, step) in self.kept.drain(..surplus).enumerate() {
            if place >= counted {
                self.bytes -= step.bytes();
            }
        }
        self.first += surplus;
        self.whole = self.whole.max(self.first);
        let first = self.first;
        self.calls.retain(|_, number| *number >= first);
        self.unanswered.retain(|number| *number >= first);
        self.changed.retain(|number| *number >= first);
    }

    /// Number of the step that comes next.
    #[must_use]
    pub fn end(&self) -> usize {
        self.first + self.kept.len()
    }

    /// Steps that were dropped because there were too many.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.first
    }

    /// The step of that number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Step> {
        self.kept.get(number.checked_sub(self.first)?)
    }

    /// Every step that is kept, with its number, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Step)> {
        (self.first..).zip(&self.kept)
    }

    /// Whether the tool of that step's call has still to answer.
    #[must_use]
    pub fn waits(&self, number: usize) -> bool {
        self.unanswered.contains(&number)
    }

    /// Numbers of the steps that were added or changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }
}

impl Retry {
    /// `a request to the model failed (overloaded); attempt 3 of 10 in 12 s`
    #[must_use]
    pub fn words(&self) -> String {
        let most = if self.most > 0 {
            format!(" of {}", self.most)
        } else {
            String::new()
        };
        format!(
            "a request to the model failed ({}); attempt {}{most} in {} s",
            self.error.replace('_', " "),
            self.attempt,
            self.delay_ms.saturating_add(999) / 1_000,
        )
    }
}

impl RateLimit {
    /// Whether requests are refused.
    #[must_use]
    pub fn rejects(&self) -> bool {
        self.status == "rejected"
    }

    /// Whether it is worth a word.
    #[must_use]
    pub fn matters(&self) -> bool {
        self.status != "allowed"
    }

    /// `rate limit reached (five hour)`
    #[must_use]
    pub fn words(&self) -> String {
        let said = match self.status.as_str() {
            "rejected" => "rate limit reached".to_owned(),
            "allowed_warning" => "rate limit nearly reached".to_owned(),
            other => format!("rate limit: {other}"),
        };
        match &self.window {
            Some(window) => format!("{said} ({})", window.replace('_', " ")),
            None => said,
        }
    }
}

fn compacted(before: Option<i64>, after: Option<i64>) -> String {
    let said = match (before, after) {
        (Some(before), Some(after)) => format!(": {before} tokens before, {after} after"),
        (Some(before), None) => format!(": {before} tokens before"),
        _ => String::new(),
    };
    format!("the context was compacted{said}")
}

fn kept(text: &str) -> String {
    start_of(text, TEXT_LIMIT).to_owned()
}

fn raw(name: &str, line: &str) -> What {
    What::Raw {
        name: name.to_owned(),
        line: kept(line),
    }
}

fn trouble(text: String, details: &str) -> What {
    What::Trouble {
        text,
        details: kept(details),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_steps_the_latest_are_kept_under_their_numbers() {
        let mut steps = Steps::default();
        for n in 0..50 {
            let call = format!(
                r#"{{"type":"assistant","message":{{"id":"m{n}","content":[{{"type":"tool_use","id":"t{n}","name":"Bash","input":{{"command":"step {n}"}}}}]}}}}"#
            );
            steps.add(None, &call);
            steps.drop_oldest(20);
        }
        assert_eq!(steps.end(), 50);
        assert!(steps.dropped() >= 30 && steps.get(0).is_none());
        let step = steps.get(49).unwrap();
        assert!(matches!(&step.what, What::Call(call) if call.tool.summary == "step 49"));
        steps.add(
            None,
            r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t49","content":"done"}]}}"#,
        );
        assert!(!steps.waits(49) && steps.waits(48));
    }

    #[test]
    fn of_too_much_output_the_latest_is_kept_and_the_agents_own_steps_all() {
        let mut steps = Steps::default();
        steps.add(None, "first");
        steps.add(None, r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"Building."}]}}"#);
        for n in 0..OUTPUT_LINES * 5 {
            steps.add(None, &format!("{n:0100}"));
        }
        steps.let_go_of_output(OUTPUT_LINES * 250);
        let said: Vec<String> = steps.iter().map(|(_, step)| step.full_text()).collect();
        assert_eq!(said[0], "(lines: 1; the log has them)");
        assert_eq!(said[1], "Building.");
        assert_eq!(said[2], "(lines: 200; the log has them)");
        assert!(said[6].ends_with("999") && said[5].lines().count() == 200);
        // What was let go is gone for good, and the rest counts on.
        steps.let_go_of_output(0);
        assert_eq!(steps.output_bytes, OUTPUT_LINES * 100);
        assert!(steps.get(6).unwrap().full_text().ends_with("999"));
    }

    #[test]
    fn of_too_many_texts_the_latest_are_kept_whole_and_of_the_others_it_is_said_where_they_are() {
        let mut steps = Steps::default();
        let long = "word ".repeat(1_000);
        for n in 0..20 {
            for content in [
                format!(r#"{{"type":"text","text":"{n} {long}"}}"#),
                format!(
                    r#"{{"type":"tool_use","id":"t{n}","name":"Write","input":{{"file_path":"{n}.md","content":"{long}"}}}}"#
                ),
            ] {
                let line = format!(
                    r#"{{"type":"assistant","message":{{"id":"m{n}","content":[{content}]}}}}"#
                );
                steps.add(None, &line);
            }
            steps.let_go_of_texts(20_000);
        }
        let counted = |steps: &Steps| {
            let whole = steps.iter().filter(|(number, _)| *number >= steps.whole);
            whole.map(|(_, step)| step.bytes()).sum::<usize>()
        };
        assert!(steps.bytes <= 20_000 && steps.bytes == counted(&steps));
        let all: usize = steps.iter().map(|(_, step)| step.bytes()).sum();
        assert!(all < 20_000 + 40 * 400, "{all}");
        let text = |number| steps.get(number).unwrap().full_text();
        assert!(text(0).starts_with("0 word") && text(0).ends_with("the log has them)"));
        assert!(text(1).starts_with("Write 0.md") && text(1).ends_with("the log has them)"));
        assert_eq!(text(38), format!("19 {long}"));
        // An answer that comes late is not kept whole either, and a step that is dropped counts no more.
        let answer = format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t0","content":"{long}"}}]}}}}"#
        );
        steps.add(None, &answer);
        assert!(steps.get(1).unwrap().bytes() < 1_000);
        assert_eq!(steps.bytes, counted(&steps));
        steps.drop_oldest(2);
        assert_eq!(steps.bytes, counted(&steps));
    }

    #[test]
    fn a_call_that_names_itself_as_its_parent_has_none() {
        let mut steps = Steps::default();
        steps.add(
            None,
            r#"{"type":"assistant","parent_tool_use_id":"t1","message":{"id":"m1","content":[{"type":"tool_use","id":"t1","name":"Agent","input":{}}]}}"#,
        );
        assert_eq!((steps.get(0).unwrap().parent, steps.depth(0)), (None, 0));
    }

    #[test]
    fn a_stream_cannot_nest_deeper_than_can_be_drawn() {
        let mut steps = Steps::default();
        for n in 1..=5_000 {
            let call = format!(
                r#"{{"type":"assistant","parent_tool_use_id":"t{}","message":{{"id":"m{n}","content":[{{"type":"tool_use","id":"t{n}","name":"Agent","input":{{}}}}]}}}}"#,
                n - 1
            );
            steps.add(None, &call);
        }
        let depths = (0..5_000).map(|number| steps.depth(number));
        assert_eq!(depths.max(), Some(DEEPEST));
    }
}
