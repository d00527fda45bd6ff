//! Inline Markdown: emphasis, code and links within a line.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::Piece;
use crate::theme::Scope;
use flightdeck_core::text;

/// Prefix of the parsed text, which makes every line a paragraph, even `# x`. Punctuation, because a delimiter after
/// punctuation is treated like one at the start of a line.
const GUARD: char = '·';

/// Returns the pieces of a line without their markup. Links show their text.
pub(super) fn inline(line: &str) -> Vec<Piece<'static>> {
    let guarded = format!("{GUARD}{line}");
    let mut pieces: Vec<(String, Scope)> = Vec::new();
    let mut push = |text: &str, scope| match pieces.last_mut() {
        Some((last, same)) if *same == scope => last.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push((text.to_owned(), scope)),
    };
    // Scopes of the open markup, innermost last.
    let mut open: Vec<Scope> = Vec::new();
    let mut link_is_empty = false;
    for (event, range) in Parser::new_ext(&guarded, Options::empty()).into_offset_iter() {
        let scope = open.last().copied().unwrap_or(Scope::Markdown);
        let is_text = matches!(
            event,
            Event::Text(_) | Event::Code(_) | Event::InlineHtml(_)
        );
        link_is_empty &= !is_text;
        match event {
            Event::Start(Tag::Strong) => open.push(nested(scope, Scope::MarkdownStrong)),
            Event::Start(Tag::Emphasis) => open.push(nested(scope, Scope::MarkdownEmphasis)),
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => {
                open.push(Scope::MarkdownLink);
                link_is_empty = true;
            }
            Event::End(TagEnd::Strong | TagEnd::Emphasis) => drop(open.pop()),
            Event::End(TagEnd::Link | TagEnd::Image) => {
                open.pop();
                // Nothing else would be left of a link without a text.
                if link_is_empty {
                    push(&guarded[range], Scope::Markdown);
                }
            }
            Event::Code(text) => push(&text, Scope::MarkdownCode),
            Event::Text(text) | Event::InlineHtml(text) => push(&text, scope),
            Event::SoftBreak | Event::HardBreak => push(" ", scope),
            _ => {}
        }
    }
    if let Some((first, _)) = pieces.first_mut()
        && first.starts_with(GUARD)
    {
        first.remove(0);
    }
    // Trailing spaces are not part of a paragraph.
    let blanks = &line[line.trim_end().len()..];
    match pieces.last_mut() {
        Some((last, Scope::Markdown)) => last.push_str(blanks),
        _ => pieces.push((blanks.to_owned(), Scope::Markdown)),
    }
    pieces.retain(|(text, _)| !text.is_empty());
    if pieces.is_empty() {
        pieces.push((String::new(), Scope::Markdown));
    }
    let owned = |(text, scope): (String, Scope)| (text.into(), scope);
    pieces.into_iter().map(owned).collect()
}

/// Returns the displayed width of a line.
pub(super) fn width(line: &str) -> usize {
    let pieces = inline(line);
    pieces.iter().map(|(text, _)| text::width(text)).sum()
}

/// Markup inside a link does not change its scope.
fn nested(outer: Scope, scope: Scope) -> Scope {
    if outer == Scope::MarkdownLink {
        outer
    } else {
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Scope)> {
        let pieces = inline(text).into_iter();
        pieces
            .map(|(text, scope)| (text.into_owned(), scope))
            .collect()
    }

    #[test]
    fn maps_markup_to_scopes() {
        let word = |text: &str, scope| (text.to_owned(), scope);
        assert_eq!(
            read("a **b** `c*d*` [e](http://f) g"),
            [
                word("a ", Scope::Markdown),
                word("b", Scope::MarkdownStrong),
                word(" ", Scope::Markdown),
                word("c*d*", Scope::MarkdownCode),
                word(" ", Scope::Markdown),
                word("e", Scope::MarkdownLink),
                word(" g", Scope::Markdown),
            ]
        );
        assert_eq!(read("**b**"), [word("b", Scope::MarkdownStrong)]);
        assert_eq!(read("_(i)_"), [word("(i)", Scope::MarkdownEmphasis)]);
    }

    #[test]
    fn keeps_text_that_only_resembles_markup() {
        for plain in [
            "snake_case_name",
            "2 * 3 * 4",
            "**",
            "[x",
            "a*",
            "`",
            "[](x)",
            "# no heading",
            "1. no item",
            "- no item",
            "a  ",
            "",
        ] {
            assert_eq!(
                read(plain),
                [(plain.to_owned(), Scope::Markdown)],
                "{plain}"
            );
        }
    }
}
