//! What a person would be hurt by: a text that moves under the eye, a search that loses its anchor, a screen too wide.

use std::{borrow::Cow, sync::Arc};

use super::*;
use crate::theme::Scope;

fn view(lines: usize) -> TextView {
    let mut view = TextView::default();
    for index in 0..lines {
        view.push(&format!("line {index}"), Some(index as i64 * 1_000_000), 0);
    }
    view.resize(40, 5);
    view
}

fn shown(view: &TextView) -> Vec<String> {
    view.visible()
        .iter()
        .map(|row| line_layout::text_of(&row.spans).trim_end().to_owned())
        .collect()
}

fn ends(view: &TextView) -> (String, String) {
    let rows = shown(view);
    (
        rows.first().cloned().unwrap_or_default(),
        rows.last().cloned().unwrap_or_default(),
    )
}

fn type_into(view: &mut TextView, text: &str) {
    for c in text.chars() {
        view.edit_prompt(|typed| typed.push(c));
    }
}

fn saved(view: &TextView) -> Vec<String> {
    let mut bytes = Vec::new();
    view.export(ExportFormat::default())
        .write(&mut bytes)
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Runs background tasks until all scans are done, as the console does.
fn finish(view: &mut TextView) {
    view.work();
    while let Some(task) = view.background_task() {
        view.apply_result(task.run());
    }
}

#[test]
fn scrolling_back_stops_following() {
    let mut view = view(10).following();
    assert_eq!(ends(&view), ("line 5".into(), "line 9".into()));
    view.push("line 10", None, 0);
    assert_eq!(ends(&view), ("line 6".into(), "line 10".into()));
    view.scroll(-2);
    assert_eq!(ends(&view), ("line 4".into(), "line 8".into()));
    view.push("line 11", None, 0);
    assert_eq!(
        ends(&view),
        ("line 4".into(), "line 8".into()),
        "visible lines do not move"
    );
    view.scroll(100);
    assert!(
        view.status().following,
        "reaching the end resumes following"
    );
}

#[test]
fn complete_texts_are_not_followed() {
    let mut view = view(10);
    view.to_end();
    assert_eq!(ends(&view), ("line 5".into(), "line 9".into()));
    view.toggle_follow();
    assert!(!view.status().following);
    view.to_start();
    assert_eq!(ends(&view).0, "line 0");
}

#[test]
fn keeps_the_end_in_view_when_the_text_completes() {
    let mut view = view(10).following();
    let before = shown(&view);
    view.set_live(false);
    assert_eq!(shown(&view), before);
    assert!(!view.status().following);
}

#[test]
fn paging_stops_at_both_ends() {
    let mut view = view(12);
    view.page((1, 1));
    assert_eq!(ends(&view).0, "line 5");
    view.page((1, 1));
    view.page((1, 1));
    assert_eq!(ends(&view).1, "line 11");
    view.page((-1, 2));
    assert_eq!(ends(&view).0, "line 5");
    view.scroll(-100);
    assert_eq!(ends(&view).0, "line 0");
}

#[test]
fn keeps_the_position_when_lines_are_dropped() {
    let mut view = TextView::new(Arc::new(Plain), 200_000);
    view.resize(80, 5);
    let line = "x".repeat(100);
    for _ in 0..1_000 {
        view.push(&line, None, 0);
    }
    view.to_end();
    let before = view.top();
    for _ in 0..500 {
        view.push(&line, None, 0);
    }
    view.work();
    assert_eq!(view.top(), before);
    for _ in 0..5_000 {
        view.push(&line, None, 0);
    }
    view.work();
    assert_eq!(
        view.top().line,
        view.store().first(),
        "falls back to the oldest line"
    );
    assert!(
        shown(&view)[0].ends_with("older lines dropped"),
        "{:?}",
        shown(&view)
    );
}

#[test]
fn spilled_lines_are_scrolled_searched_and_exported() {
    let mut view = TextView::new(Arc::new(Plain), 200_000).following();
    view.resize(80, 5);
    for index in 0..20_000 {
        view.push(&format!("line {index} {}", "x".repeat(60)), Some(index), 0);
        if index % 200 == 0 {
            finish(&mut view);
        }
    }
    finish(&mut view);
    assert!(view.store().bytes() < 300_000, "{}", view.store().bytes());
    assert_eq!(view.status().dropped, 0);
    view.to_start();
    assert_eq!(
        shown(&view),
        ["…"; 5],
        "placeholders until the lines are loaded"
    );
    finish(&mut view);
    assert!(
        shown(&view)[4].starts_with("line 4 x"),
        "{:?}",
        shown(&view)
    );
    // Neighbours are loaded ahead of scrolling.
    for row in 1..3_000 {
        view.scroll(1);
        assert!(
            shown(&view)[0].starts_with(&format!("line {row} ")),
            "{:?}",
            shown(&view)
        );
        finish(&mut view);
    }
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "line 777 ");
    finish(&mut view);
    view.close_prompt(true);
    finish(&mut view);
    assert_eq!(view.status_text(), "match 1/1 · paused");
    assert!(shown(&view).iter().any(|row| row.starts_with("line 777 ")));
    let saved = saved(&view);
    assert_eq!(saved.len(), 20_000);
    assert!(saved[12_345].starts_with("line 12345 x"));
}

#[test]
fn search_keeps_context_and_wraps() {
    let mut view = view(100);
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "9$");
    finish(&mut view);
    assert!(
        shown(&view).contains(&"line 9".to_owned()),
        "{:?}",
        shown(&view)
    );
    assert!(
        shown(&view).contains(&"line 8".to_owned()),
        "context is visible"
    );
    view.close_prompt(true);
    assert_eq!(view.status_text(), "match 1/10");
    view.next_match(true);
    assert_eq!(view.status_text(), "match 2/10");
    view.next_match(false);
    view.next_match(false);
    assert_eq!(view.status_text(), "match 10/10");
    assert!(view.clear());
    assert_eq!(view.status_text(), "");
    assert!(!view.clear());
}

#[test]
fn cancelled_search_restores_the_position() {
    let mut view = view(100).following();
    let before = shown(&view)[1..].to_vec();
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "line 3");
    finish(&mut view);
    assert!(!view.status().following);
    view.close_prompt(false);
    assert!(view.status().following);
    assert_eq!(shown(&view)[1..], before);
    assert_eq!(view.pattern(), None);
}

#[test]
fn empty_search_repeats_the_last_one() {
    let mut view = view(100);
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "7");
    view.close_prompt(true);
    view.open_prompt(PromptKind::Search);
    view.close_prompt(true);
    finish(&mut view);
    assert_eq!(view.pattern().map(Pattern::text), Some("7"));
}

#[test]
fn clearing_a_filter_shows_all_lines() {
    let mut view = view(100);
    view.open_prompt(PromptKind::Filter);
    type_into(&mut view, "5 & !line 5");
    finish(&mut view);
    assert_eq!(shown(&view), ["line 15", "line 25", "line 35", "line 45"]);
    view.close_prompt(true);
    assert_eq!(
        shown(&view),
        ["line 15", "line 25", "line 35", "line 45", "line 65"]
    );
    assert_eq!(view.status_text(), "8/100");
    view.push("line 105", None, 0);
    view.work();
    assert_eq!(saved(&view).len(), 9, "new lines are filtered too");
    view.open_prompt(PromptKind::Filter);
    view.edit_prompt(String::clear);
    view.close_prompt(true);
    assert_eq!(saved(&view).len(), 101);
}

#[test]
fn omits_lines_of_hidden_tags() {
    let mut view = TextView::default();
    for index in 0..6u16 {
        view.push(&format!("line {index}"), None, index % 2);
    }
    view.resize(40, 5);
    view.toggle_tag(1);
    assert!(view.hides(1));
    assert_eq!(shown(&view), ["line 0", "line 2", "line 4"]);
    view.toggle_tag(1);
    assert_eq!(shown(&view).len(), 5);
}

#[test]
fn next_error_cycles_through_errors() {
    let mut view = view(50);
    view.push("error: first", None, 0);
    for index in 0..50 {
        view.push(&format!("more {index}"), None, 0);
    }
    view.push("it failed again", None, 0);
    view.next_error();
    finish(&mut view);
    assert!(shown(&view).contains(&"error: first".to_owned()));
    view.next_error();
    assert!(shown(&view).contains(&"it failed again".to_owned()));
    view.next_error();
    assert!(shown(&view).contains(&"error: first".to_owned()), "wraps");
}

#[test]
fn scrolls_wrapped_lines_by_row() {
    let mut view = TextView::default();
    view.push(&"word ".repeat(30), None, 0);
    view.push("end", None, 0);
    view.resize(20, 3);
    assert_eq!(shown(&view).len(), 2);
    view.toggle_wrap();
    assert_eq!(shown(&view).len(), 3);
    view.scroll(1);
    assert_eq!(view.top(), ScrollAnchor { line: 0, row: 1 });
    view.to_end();
    assert_eq!(ends(&view).1, "end");
    view.resize(40, 3);
    assert_eq!(shown(&view).len(), 3, "fills a wider screen");
}

#[test]
fn collapsing_the_panel_keeps_the_position() {
    let mut ended = view(30).following();
    ended.resize(40, 0);
    ended.set_live(false);
    ended.resize(40, 5);
    assert_eq!(ends(&ended), ("line 25".to_owned(), "line 29".to_owned()));
    let mut read = view(30);
    read.scroll(12);
    let before = shown(&read);
    read.resize(40, 0);
    read.resize(40, 5);
    assert_eq!(shown(&read), before);
}

#[test]
fn wrapping_keeps_the_match_visible() {
    let mut view = TextView::default();
    for index in 0..40 {
        view.push(&format!("{index} {}", "word ".repeat(30)), None, 0);
    }
    view.push("the needle", None, 0);
    for index in 0..40 {
        view.push(&format!("{index} {}", "word ".repeat(30)), None, 0);
    }
    view.resize(20, 5);
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "needle");
    finish(&mut view);
    view.close_prompt(true);
    finish(&mut view);
    let seen = |view: &TextView| shown(view).contains(&"the needle".to_owned());
    assert!(seen(&view));
    for _ in 0..2 {
        view.toggle_wrap();
        assert!(seen(&view), "{:?}", shown(&view));
    }
}

#[test]
fn shows_times_before_lines() {
    let mut view = view(3);
    view.cycle_stamps();
    assert_eq!(shown(&view)[2], "00:00:02 line 2");
    view.set_utc_offset(3_600);
    assert_eq!(shown(&view)[2], "01:00:02 line 2");
    view.cycle_stamps();
    assert_eq!(shown(&view)[2], "+2s      line 2");
}

#[test]
fn draws_a_mark_below_the_last_line() {
    let mut view = view(3);
    view.toggle_mark();
    assert_eq!(shown(&view)[3], "─".repeat(40));
    assert_eq!(view.status_text(), "1 mark", "counted even off screen");
    view.toggle_mark();
    assert_eq!(shown(&view).len(), 3);
}

#[test]
fn scrolls_a_new_mark_into_view() {
    for (go, first) in [
        (TextView::to_start as fn(&mut TextView), "line 1"),
        (TextView::to_end, "line 27"),
    ] {
        let mut view = view(30);
        view.resize(40, 4);
        go(&mut view);
        view.toggle_mark();
        let rows = shown(&view);
        assert!(rows[0].ends_with(first), "{rows:?}");
        assert_eq!(rows[3], "─".repeat(40), "{rows:?}");
        view.toggle_mark();
        assert!(!shown(&view).contains(&"─".repeat(40)));
    }
}

#[test]
fn scrolls_columns_only_without_wrapping() {
    let mut view = TextView::default();
    view.push("abcdefghijklmnop", None, 0);
    view.resize(8, 2);
    view.shift(4);
    assert_eq!(shown(&view), ["efghijk…"]);
    view.shift(-9);
    view.toggle_wrap();
    view.shift(4);
    assert_eq!(shown(&view), ["abcdefgh", "ijklmnop"]);
}

/// Omits odd lines and doubles even ones.
#[derive(Debug)]
struct EvenOnly;

impl LineFormatter for EvenOnly {
    fn rows<'a>(&self, line: &Line<'a>, _width: usize) -> Vec<Row<'a>> {
        if line.id.is_multiple_of(2) {
            vec![
                Row::new(line.text, Scope::Text),
                Row::new("again", Scope::Muted),
            ]
        } else {
            Vec::new()
        }
    }

    fn search_text<'a>(&self, line: &Line<'a>) -> Option<Cow<'a, str>> {
        let text = Cow::Borrowed(line.text);
        line.id.is_multiple_of(2).then_some(text)
    }
}

#[test]
fn ignores_omitted_lines_in_search_and_filter() {
    let mut view = view(10);
    view.set_formatter(Arc::new(EvenOnly));
    view.open_prompt(PromptKind::Filter);
    type_into(&mut view, "!line 2");
    finish(&mut view);
    assert_eq!(view.status().filtered, Some((4, 10)));
    view.close_prompt(false);
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "x*");
    finish(&mut view);
    assert_eq!(view.status().matched.map(|(_, count, _)| count), Some(5));
}

#[test]
fn scrolls_over_omitted_lines_and_multiple_rows() {
    let mut view = view(20);
    view.set_formatter(Arc::new(EvenOnly));
    assert_eq!(
        shown(&view),
        ["line 0", "again", "line 2", "again", "line 4"]
    );
    view.scroll(3);
    assert_eq!(shown(&view)[0], "again");
    assert_eq!(view.top(), ScrollAnchor { line: 2, row: 1 });
    view.scroll(-3);
    assert_eq!(view.top(), ScrollAnchor { line: 0, row: 0 });
    view.to_end();
    assert_eq!(ends(&view).1, "again");
}

#[test]
fn empty_view_handles_all_commands() {
    let mut view = TextView::default().following();
    view.resize(0, 0);
    view.scroll(5);
    view.scroll(-5);
    view.page((1, 2));
    view.next_error();
    view.next_match(true);
    view.toggle_mark();
    view.toggle_follow();
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "(");
    view.close_prompt(true);
    assert!(shown(&view).is_empty());
    assert_eq!(view.status_text(), "matching literally · no match · paused");
}

#[test]
fn sanitises_control_characters() {
    let mut view = TextView::default();
    view.push("a\u{1b}[2J\u{7}\u{202e}b", None, 0);
    assert_eq!(shown(&view), ["a␛[2J␇\u{fffd}b"]);
}

#[test]
fn long_searches_run_in_the_background() {
    let mut view = view(0);
    for index in 0..60_000 {
        view.push(&format!("{index} {}", "x".repeat(90)), None, 0);
    }
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "^59999 ");
    assert!(view.work(), "not done in one slice");
    assert_eq!(shown(&view).len(), 4);
    let task = view.background_task().unwrap();
    view.push("59999 again", None, 0);
    view.work();
    view.apply_result(task.run());
    finish(&mut view);
    assert_eq!(view.status_text(), "match 1/2");
    assert!(shown(&view).iter().any(|row| row.starts_with("59999 ")));
}

#[test]
fn ignores_results_from_before_a_reload() {
    let mut view = view(0);
    for index in 0..60_000 {
        view.push(&format!("{index} {}", "x".repeat(90)), None, 0);
    }
    view.open_prompt(PromptKind::Search);
    type_into(&mut view, "x");
    let old = view.background_task().unwrap().run();
    view.replace([("y".to_owned(), 0), ("x".to_owned(), 0)]);
    view.apply_result(old);
    finish(&mut view);
    assert_eq!(view.status().matched.map(|(_, count, _)| count), Some(1));
}

#[test]
fn keeps_the_position_while_a_filter_is_incomplete() {
    let mut view = view(0);
    for index in 0..60_000 {
        let word = if index == 55_000 { "wanted" } else { "other" };
        view.push(&format!("{index} {word} {}", "x".repeat(90)), None, 0);
    }
    view.to_start();
    view.open_prompt(PromptKind::Filter);
    type_into(&mut view, "wanted");
    finish(&mut view);
    view.close_prompt(true);
    assert_eq!(view.status_text(), "1/60000");
    assert!(
        shown(&view)[0].starts_with("55000 wanted"),
        "{:?}",
        shown(&view)
    );
}
