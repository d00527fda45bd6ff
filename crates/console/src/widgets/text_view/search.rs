//! Search, filter, "next error", and their prompt.
//!
//! Lines are scanned in slices, so a jump may have to wait for the scan.

use super::{
    LineId, Pattern, ScrollAnchor, TextView,
    pattern::terms,
    scan::{JumpTarget, Matcher, Scan},
};

/// The open prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    kind: PromptKind,
    text: String,
    /// State to restore on cancel.
    origin: ScrollAnchor,
    following: bool,
    before: String,
}

/// Kind of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    Search,
    Filter,
}

impl Prompt {
    #[must_use]
    pub const fn kind(&self) -> PromptKind {
        self.kind
    }

    /// Returns the typed text.
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
    /// Makes the pending jump if its target is known.
    pub(super) fn try_jump(&mut self) {
        let target = match (self.jump, &self.search, &self.errors) {
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
        if target != JumpTarget::Pending {
            self.jump = None;
        }
        if let JumpTarget::Line(line) = target {
            self.current = Some(line);
            self.reveal(line);
        }
    }

    /// Shows or hides the lines of a tag, which must be below 64.
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
        let terms = terms(&self.filter_text);
        let hidden = self.hidden;
        self.filter = (!terms.is_empty() || hidden != 0)
            .then(|| Scan::new(Matcher::Filter { terms, hidden }, self.scan_origin()));
        self.work();
        self.clamp_scroll();
    }

    /// Starts a search and jumps to the first match at or after `from`.
    fn start_search(&mut self, text: &str, from: LineId) {
        self.current = None;
        self.jump = None;
        self.search = Pattern::new(text).map(|pattern| Scan::new(Matcher::Pattern(pattern), from));
        if self.search.is_some() {
            self.jump = Some(Jump::Match {
                forward: true,
                from,
            });
        }
        self.work();
    }

    /// Opens the prompt for a search or a filter.
    pub fn open_prompt(&mut self, kind: PromptKind) {
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

    /// Returns the open prompt.
    #[must_use]
    pub const fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// Changes the typed text and applies it.
    pub fn edit_prompt(&mut self, change: impl FnOnce(&mut String)) {
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
                self.anchor = origin;
                self.follow = following && text.is_empty();
                self.start_search(&text, origin.line);
            }
            PromptKind::Filter => {
                self.filter_text = text;
                self.refilter();
            }
        }
    }

    /// Closes the prompt and keeps the search or filter, or restores the state before.
    pub fn close_prompt(&mut self, keep: bool) {
        let Some(prompt) = self.prompt.take() else {
            return;
        };
        let unchanged = prompt.kind == PromptKind::Search && prompt.text.is_empty();
        if keep && !unchanged {
            return;
        }
        match prompt.kind {
            PromptKind::Search => {
                // Cancel ends the search; an empty pattern restores the previous one.
                let text = if keep { prompt.before } else { String::new() };
                self.anchor = prompt.origin;
                self.follow = prompt.following;
                self.search = Pattern::new(&text)
                    .map(|pattern| Scan::new(Matcher::Pattern(pattern), prompt.origin.line));
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

    /// Clears the search, or else the filter. Returns `false` if there was neither.
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

    /// Goes to the next or the previous match.
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
        self.stop_following();
        self.jump = Some(Jump::Match { forward, from });
        self.work();
    }

    /// Goes to the next error.
    pub fn next_error(&mut self) {
        let here = self.current.filter(|line| self.shows(*line));
        let from = here.map_or_else(|| self.top().line, |line| line + 1);
        let origin = self.scan_origin();
        self.errors
            .get_or_insert_with(|| Scan::new(Matcher::Error, origin));
        self.stop_following();
        self.jump = Some(Jump::Error { from });
        self.work();
    }

    /// Returns the pattern of the search.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        match self.search.as_ref()?.matcher() {
            Matcher::Pattern(pattern) => Some(pattern),
            _ => None,
        }
    }
}
