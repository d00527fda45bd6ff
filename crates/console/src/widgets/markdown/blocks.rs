//! Splits a Markdown document into lines, block by block.
//!
//! The lines keep their inline markup as written; [`super::inline`] parses it when a line is drawn.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{super::syntax::Syntax, inline, tag};

/// Maximum nesting of lists that is indented.
const MAX_DEPTH: usize = 6;

/// Returns the lines of a document with their tags.
#[must_use]
pub(crate) fn lines(source: &str) -> Vec<(String, u16)> {
    let mut blocks = Blocks {
        source,
        out: Vec::new(),
        end: 0,
        line: String::new(),
        inline: None,
        bullet: None,
        lists: Vec::new(),
        quotes: 0,
        tag: tag::PARAGRAPH,
        table: Vec::new(),
    };
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        blocks.event(event, range);
    }
    blocks.finish_line();
    blocks.out
}

struct Blocks<'s> {
    source: &'s str,
    out: Vec<(String, u16)>,
    /// End of the text that is already in `out`.
    end: usize,
    /// The current line, without the range in `inline`.
    line: String,
    /// Range of inline content in the source that belongs to the current line.
    inline: Option<Range<usize>>,
    /// Indentation and bullet of the current line.
    bullet: Option<String>,
    /// The next number of each open list; `None` for an unordered list.
    lists: Vec<Option<u64>>,
    quotes: usize,
    /// Tag of the current block.
    tag: u16,
    /// Cells of the current table.
    table: Vec<Vec<String>>,
}

impl Blocks<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) if is_code(self.tag) => {
                for line in text.lines() {
                    self.out.push((line.to_owned(), self.tag));
                }
                self.end = range.end;
            }
            Event::Html(text) => {
                self.start_block(range.start);
                for line in text.lines() {
                    self.out.push((line.trim_end().to_owned(), tag::PARAGRAPH));
                }
                self.end = range.end;
            }
            Event::SoftBreak => {
                self.take_inline();
                self.line.push(' ');
            }
            Event::HardBreak => self.finish_line(),
            Event::Rule => {
                self.start_block(range.start);
                self.out.push(("---".into(), tag::RULE));
                self.end = range.end;
            }
            Event::TaskListMarker(done) => {
                let sign = if done { "☑ " } else { "☐ " };
                self.bullet = Some(format!("{}{sign}", self.indent()));
            }
            _ => self.extend(range),
        }
    }

    fn start(&mut self, start: &Tag<'_>, range: Range<usize>) {
        match start {
            // The first paragraph of an item continues the line of its bullet.
            Tag::Paragraph if self.bullet.is_some() => {}
            Tag::Paragraph | Tag::Table(_) => self.start_block(range.start),
            Tag::Heading { level, .. } => {
                self.start_block(range.start);
                self.blank();
                self.tag = tag::HEADING + *level as u16;
            }
            Tag::BlockQuote(_) => {
                self.start_block(range.start);
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.start_block(range.start);
                self.tag = match kind {
                    CodeBlockKind::Fenced(language) => code_tag(language),
                    CodeBlockKind::Indented => tag::CODE,
                };
            }
            Tag::List(first) => {
                self.finish_line();
                self.lists.push(*first);
            }
            Tag::Item => {
                self.start_block(range.start);
                let number = self.lists.last_mut().and_then(Option::as_mut);
                let sign = number.map_or_else(
                    || "• ".to_owned(),
                    |number| {
                        *number = number.saturating_add(1);
                        format!("{}. ", *number - 1)
                    },
                );
                self.bullet = Some(format!("{}{sign}", self.indent()));
            }
            Tag::TableHead | Tag::TableRow => self.table.push(Vec::new()),
            Tag::TableCell | Tag::HtmlBlock => {}
            // Inline markup.
            _ => self.extend(range),
        }
    }

    fn end(&mut self, end: TagEnd, range: Range<usize>) {
        match end {
            TagEnd::Paragraph | TagEnd::Item => self.finish_line(),
            TagEnd::Heading(_) => {
                self.finish_line();
                self.tag = tag::PARAGRAPH;
            }
            TagEnd::BlockQuote(_) => {
                self.finish_line();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::CodeBlock => {
                self.tag = tag::PARAGRAPH;
                self.end = range.end;
            }
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::TableCell => {
                self.take_inline();
                let cell = std::mem::take(&mut self.line);
                if let Some(row) = self.table.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                self.finish_table();
                self.end = range.end;
            }
            TagEnd::TableHead | TagEnd::TableRow | TagEnd::HtmlBlock => {}
            _ => self.extend(range),
        }
    }

    /// Finishes the previous block, and keeps one blank line if the source has any.
    fn start_block(&mut self, start: usize) {
        self.finish_line();
        let before = self.source.get(..self.end).unwrap_or_default();
        let gap = self.source.get(before.trim_end().len()..start);
        if gap.is_some_and(|gap| gap.matches('\n').count() > 1) {
            self.blank();
        }
    }

    fn blank(&mut self) {
        if self.out.last().is_some_and(|(text, _)| !text.is_empty()) {
            self.out.push((String::new(), tag::PARAGRAPH));
        }
    }

    fn indent(&self) -> String {
        let depth = self.lists.len().saturating_sub(1);
        "  ".repeat(depth.min(MAX_DEPTH))
    }

    /// Adds inline content to the current line.
    fn extend(&mut self, range: Range<usize>) {
        let added = match self.inline.take() {
            Some(before) => before.start.min(range.start)..before.end.max(range.end),
            // The event for an escaped character starts after the backslash.
            None if self.source[..range.start].ends_with('\\') => range.start - 1..range.end,
            None => range,
        };
        self.inline = Some(added);
    }

    fn take_inline(&mut self) {
        let Some(range) = self.inline.take() else {
            return;
        };
        self.end = self.end.max(range.end);
        let text = self.source.get(range).unwrap_or_default();
        // Code spans and links may contain line breaks.
        self.line
            .push_str(&text.replace("\r\n", " ").replace(['\n', '\r'], " "));
    }

    fn finish_line(&mut self) {
        self.take_inline();
        let line = std::mem::take(&mut self.line);
        if let Some(bullet) = self.bullet.take() {
            self.out.push((format!("{bullet}{line}"), tag::LIST));
        } else if line.is_empty() {
            // Nothing to finish.
        } else if self.tag != tag::PARAGRAPH {
            self.out.push((line, self.tag));
        } else if self.quotes > 0 {
            self.out.push((line, tag::QUOTE));
        } else if self.lists.is_empty() {
            self.out.push((line, tag::PARAGRAPH));
        } else {
            let indented = format!("{}  {line}", self.indent());
            self.out.push((indented, tag::PARAGRAPH));
        }
    }

    /// Appends the table with aligned columns.
    fn finish_table(&mut self) {
        let rows = std::mem::take(&mut self.table);
        let mut widths: Vec<usize> = Vec::new();
        for row in &rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(inline::width(cell));
            }
        }
        for (index, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let blanks = width.saturating_sub(inline::width(cell));
                format!("{cell}{}", " ".repeat(blanks))
            });
            let line = cells.collect::<Vec<_>>().join("   ").trim_end().to_owned();
            let tag = if index == 0 {
                tag::TABLE_HEAD
            } else {
                tag::TABLE
            };
            self.out.push((line, tag));
        }
    }
}

const fn is_code(tag: u16) -> bool {
    matches!(
        tag,
        tag::CODE | tag::CODE_YAML | tag::CODE_JSON | tag::CODE_SHELL
    )
}

fn code_tag(language: &str) -> u16 {
    let name = language.split([' ', ',']).next().unwrap_or_default();
    match Syntax::of_extension(name) {
        Syntax::Yaml => tag::CODE_YAML,
        Syntax::Json => tag::CODE_JSON,
        Syntax::Shell => tag::CODE_SHELL,
        Syntax::Plain | Syntax::Markdown => tag::CODE,
    }
}
