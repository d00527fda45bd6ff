//! Looking for something in the text: search, filter, errors, and the prompt a person types it in.
//!
//! What is looked for is found in slices, so a jump may have to wait for its answer.

use super::{
    LineId, Pattern, Place, TextView,
    scan::{self, Answer, Scan, Wanted},
};

/// What is being typed below the text.
#[derive(Clone, Debug)]
pub struct Prompt {
    kind: PromptKind,
    text: String,
    /// Where the person was when they began to type: what Escape goes back to.
    origin: Place,
    following: bool,
    before: String,
}

/// What a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    Search,
    Filter,
}

impl Prompt {
    /// Search or filter.
    #[must_use]
    pub const fn kind(&self) -> PromptKind {
        self.kind
    }

    /// As typed so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A jump that waits for a scan.
#[derive(Clone, Copy, Debug)]
pub(super) enum Jump {
    Match { forward: bool, from: LineId },
    Error { from: LineId },
}

impl TextView {
    pub(super) fn try_jump(&mut self) {
        let answer = match (self.jump, &self.search, &self.errors) {
            (
                Some(Jump::Match {
                    forward: true,
                    from,
                }),
                Some(scan),
                _,
            )
            | (Some(Jump::Error { from }), _, Some(scan)) => scan.following(from, &self.store),
            (
                Some(Jump::Match {
                    forward: false,
                    from,
                }),
                Some(scan),
                _,
            ) => scan.preceding(from, &self.store),
            _ => return,
        };
        if answer != Answer::NotYet {
            self.jump = None;
        }
        if let Answer::At(line) = answer {
            self.current = Some(line);
            self.reveal(line);
        }
    }

    /// Shows or hides the lines of a tag below 64.
    pub fn toggle_tag(&mut self, tag: u16) {
        self.hidden ^= 1u64.checked_shl(u32::from(tag)).unwrap_or_default();
        self.refilter();
    }

    /// Whether the lines of a tag are hidden.
    #[must_use]
    pub const fn hides(&self, tag: u16) -> bool {
        tag < 64 && self.hidden & (1 << tag) != 0
    }

    fn refilter(&mut self) {
        let terms = scan::terms(&self.filter_text);
        let hidden = self.hidden;
        self.filter = (!terms.is_empty() || hidden != 0)
            .then(|| Scan::new(Wanted::Filter { terms, hidden }, self.anchor()));
        self.work();
        self.settle();
    }

    fn look_for(&mut self, text: &str, from: LineId) {
        self.current = None;
        self.jump = None;
        self.search = Pattern::new(text).map(|pattern| Scan::new(Wanted::Pattern(pattern), from));
        if self.search.is_some() {
            self.jump = Some(Jump::Match {
                forward: true,
                from,
            });
        }
        self.work();
    }

    /// Opens the prompt for a search or a filter.
    pub fn ask(&mut self, kind: PromptKind) {
        let before = match kind {
            PromptKind::Search => self
                .pattern()
                .map_or_else(String::new, |pattern| pattern.text().to_owned()),
            PromptKind::Filter => self.filter_text.clone(),
        };
        let text = if kind == PromptKind::Filter {
            before.clone()
        } else {
            String::new()
        };
        self.prompt = Some(Prompt {
            kind,
            text,
            origin: self.top(),
            following: self.follow,
            before,
        });
    }

    /// What is being typed, if anything is.
    #[must_use]
    pub const fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// Changes what is typed; the view answers at once.
    pub fn edit(&mut self, change: impl FnOnce(&mut String)) {
        let Some(prompt) = &mut self.prompt else {
            return;
        };
        change(&mut prompt.text);
        let (kind, text, origin, following) = (
            prompt.kind,
            prompt.text.clone(),
            prompt.origin,
            prompt.following,
        );
        match kind {
            PromptKind::Search => {
                self.place = origin;
                self.follow = following && text.is_empty();
                self.look_for(&text, origin.line);
            }
            PromptKind::Filter => {
                self.filter_text = text;
                self.refilter();
            }
        }
    }

    /// Ends the prompt: keeps what was typed, or goes back to how things were.
    pub fn answer(&mut self, keep: bool) {
        let Some(prompt) = self.prompt.take() else {
            return;
        };
        let unchanged = prompt.kind == PromptKind::Search && prompt.text.is_empty();
        if keep && !unchanged {
            return;
        }
        match prompt.kind {
            PromptKind::Search => {
                // Escape ends the search; Enter on nothing goes on with the last one.
                let text = if keep { prompt.before } else { String::new() };
                self.place = prompt.origin;
                self.follow = prompt.following;
                self.search = Pattern::new(&text)
                    .map(|pattern| Scan::new(Wanted::Pattern(pattern), prompt.origin.line));
                self.current = None;
                self.jump = None;
                self.work();
            }
            PromptKind::Filter => {
                self.filter_text = prompt.before;
                self.refilter();
            }
        }
    }

    /// Takes back search and filter, one at a time. False when there was neither: Escape may then mean something else.
    pub fn clear(&mut self) -> bool {
        if self.search.take().is_some() {
            self.current = None;
            self.jump = None;
            return true;
        }
        if self.filter_text.is_empty() {
            return false;
        }
        self.filter_text.clear();
        self.refilter();
        true
    }

    /// Goes to the next match, or the one before.
    pub fn next_match(&mut self, forward: bool) {
        if self.search.is_none() {
            return;
        }
        let here = self
            .current
            .filter(|line| self.shows(*line))
            .unwrap_or_else(|| self.top().line);
        let from = if forward && self.current == Some(here) {
            here + 1
        } else {
            here
        };
        self.leave_end();
        self.jump = Some(Jump::Match { forward, from });
        self.work();
    }

    /// Goes to the next line that is an error.
    pub fn next_error(&mut self) {
        let here = self.current.filter(|line| self.shows(*line));
        let from = here.map_or_else(|| self.top().line, |line| line + 1);
        let anchor = self.anchor();
        self.errors
            .get_or_insert_with(|| Scan::new(Wanted::Error, anchor));
        self.leave_end();
        self.jump = Some(Jump::Error { from });
        self.work();
    }

    /// The pattern being searched for.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        match self.search.as_ref()?.wanted() {
            Wanted::Pattern(pattern) => Some(pattern),
            _ => None,
        }
    }
}
