//! A tab that is one text: what it says is worked out anew whenever something changed, and put into the view only when it
//! differs, so that the person's place stays.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use crate::{
    command::Command,
    widgets::{
        diff::Diff,
        markdown::Markdown,
        syntax::Syntax,
        text_view::{Lens, TextView},
    },
};

/// Lines with what each of them is, as the widgets' own `lines` make them.
pub type Lines = Vec<(String, u16)>;

/// How the lines of a page are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    Document,
    Difference,
    Source(Syntax),
}

impl Reading {
    fn lens(self) -> Arc<dyn Lens> {
        match self {
            Self::Document => Arc::new(Markdown),
            Self::Difference => Arc::new(Diff),
            Self::Source(syntax) => Arc::new(syntax),
        }
    }
}

/// What a tab has to show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    Text(Reading, Lines),
    /// Nothing yet: why, and what to press next.
    Nothing(String, Vec<(Command, &'static str)>),
}

impl Content {
    /// A sentence and no key.
    pub fn sentence(words: impl Into<String>) -> Self {
        Self::Nothing(words.into(), Vec::new())
    }
}

/// State of a tab that is one text.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub view: TextView,
    /// Shown in place of the text.
    pub nothing: Option<(String, Vec<(Command, &'static str)>)>,
    /// Of what is shown.
    print: u64,
    reading: Option<Reading>,
}

impl Page {
    /// Shows `content`, keeping the place when it is a newer form of what is shown.
    pub fn show(&mut self, content: Content) {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let print = hasher.finish();
        if std::mem::replace(&mut self.print, print) == print {
            return;
        }
        match content {
            Content::Nothing(sentence, keys) => self.nothing = Some((sentence, keys)),
            Content::Text(reading, lines) => {
                self.nothing = None;
                if self.reading.replace(reading) != Some(reading) {
                    self.view.set_lens(reading.lens());
                    let prose = Reading::Source(Syntax::Markdown);
                    self.view
                        .set_wrap([Reading::Document, prose].contains(&reading));
                }
                self.view.replace(lines);
            }
        }
    }

    /// Forgets what was shown: another text comes.
    pub fn reset(&mut self) {
        let (width, height) = self.view.size();
        *self = Self::default();
        self.view.resize(width, height);
    }
}
