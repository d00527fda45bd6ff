//! What a person would be hurt by: a text that moves under the eye, a search that loses its place, a screen too wide.

use std::{borrow::Cow, sync::Arc};

use super::{lens::Lens, *};
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
        .map(|row| lay::text_of(&row.spans).trim_end().to_owned())
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
        view.edit(|typed| typed.push(c));
    }
}

fn saved(view: &TextView) -> Vec<String> {
    let mut bytes = Vec::new();
    view.export(Form::default()).write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Has everything done that is left to look at, as the console does.
fn finish(view: &mut TextView) {
    view.work();
    while let Some(errand) = view.errand() {
        view.take(errand.run());
    }
}

#[test]
fn following_keeps_the_end_in_view_and_scrolling_back_leaves_it() {
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
        "nothing moves under the eye"
    );
    view.scroll(100);
    assert!(view.standing().following, "reaching the end is following");
}

#[test]
fn a_finished_text_is_never_followed() {
    let mut view = view(10);
    view.to_end();
    assert_eq!(ends(&view), ("line 5".into(), "line 9".into()));
    view.toggle_follow();
    assert!(!view.standing().following);
    view.to_start();
    assert_eq!(ends(&view).0, "line 0");
}

#[test]
fn the_end_stays_in_view_when_nothing_more_comes() {
    let mut view = view(10).following();
    let before = shown(&view);
    view.set_live(false);
    assert_eq!(shown(&view), before);
    assert!(!view.standing().following);
}

#[test]
fn pages_stop_at_the_ends() {
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
fn the_place_stays_when_old_lines_fall_out_and_what_fell_is_said() {
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
        "what was shown is gone: the oldest line there is comes next"
    );
    assert!(
        shown(&view)[0].ends_with("earlier lines were let go"),
        "{:?}",
        shown(&view)
    );
}

#[test]
fn lines_that_were_written_away_are_scrolled_to_searched_and_saved_like_all_others() {
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
    assert_eq!(view.standing().fallen, 0);
    view.to_start();
    assert_eq!(
        shown(&view),
        ["…"; 5],
        "they keep their places until they are there"
    );
    finish(&mut view);
    assert!(
        shown(&view)[4].starts_with("line 4 x"),
        "{:?}",
        shown(&view)
    );
    // Scrolling on meets no line that is not there yet.
    for row in 1..3_000 {
        view.scroll(1);
        assert!(
            shown(&view)[0].starts_with(&format!("line {row} ")),
            "{:?}",
            shown(&view)
        );
        finish(&mut view);
    }
    view.ask(PromptKind::Search);
    type_into(&mut view, "line 777 ");
    finish(&mut view);
    view.answer(true);
    finish(&mut view);
    assert_eq!(view.state(), "match 1/1 · paused");
    assert!(shown(&view).iter().any(|row| row.starts_with("line 777 ")));
    let saved = saved(&view);
    assert_eq!(saved.len(), 20_000);
    assert!(saved[12_345].starts_with("line 12345 x"));
}

#[test]
fn a_search_keeps_context_and_goes_around() {
    let mut view = view(100);
    view.ask(PromptKind::Search);
    type_into(&mut view, "9$");
    finish(&mut view);
    assert!(
        shown(&view).contains(&"line 9".to_owned()),
        "{:?}",
        shown(&view)
    );
    assert!(
        shown(&view).contains(&"line 8".to_owned()),
        "the lines around it are there"
    );
    view.answer(true);
    assert_eq!(view.state(), "match 1/10");
    view.next_match(true);
    assert_eq!(view.state(), "match 2/10");
    view.next_match(false);
    view.next_match(false);
    assert_eq!(view.state(), "match 10/10");
    assert!(view.clear());
    assert_eq!(view.state(), "");
    assert!(!view.clear());
}

#[test]
fn leaving_a_search_goes_back_to_where_one_was() {
    let mut view = view(100).following();
    let before = shown(&view)[1..].to_vec();
    view.ask(PromptKind::Search);
    type_into(&mut view, "line 3");
    finish(&mut view);
    assert!(!view.standing().following);
    view.answer(false);
    assert!(view.standing().following);
    assert_eq!(shown(&view)[1..], before);
    assert_eq!(view.pattern(), None);
}

#[test]
fn enter_on_an_empty_search_goes_on_with_the_last_one() {
    let mut view = view(100);
    view.ask(PromptKind::Search);
    type_into(&mut view, "7");
    view.answer(true);
    view.ask(PromptKind::Search);
    view.answer(true);
    finish(&mut view);
    assert_eq!(view.pattern().map(Pattern::text), Some("7"));
}

#[test]
fn a_filter_narrows_and_gives_everything_back() {
    let mut view = view(100);
    view.ask(PromptKind::Filter);
    type_into(&mut view, "5 & !line 5");
    finish(&mut view);
    assert_eq!(shown(&view), ["line 15", "line 25", "line 35", "line 45"]);
    view.answer(true);
    assert_eq!(
        shown(&view),
        ["line 15", "line 25", "line 35", "line 45", "line 65"]
    );
    assert_eq!(view.state(), "filtered 8/100");
    view.push("line 105", None, 0);
    view.work();
    assert_eq!(saved(&view).len(), 9, "new lines pass the filter too");
    view.ask(PromptKind::Filter);
    view.edit(String::clear);
    view.answer(true);
    assert_eq!(saved(&view).len(), 101);
}

#[test]
fn hidden_sources_are_left_out() {
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
fn errors_are_found_one_after_the_other() {
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
    assert!(
        shown(&view).contains(&"error: first".to_owned()),
        "around the end"
    );
}

#[test]
fn wrapped_lines_scroll_row_by_row() {
    let mut view = TextView::default();
    view.push(&"word ".repeat(30), None, 0);
    view.push("end", None, 0);
    view.resize(20, 3);
    assert_eq!(shown(&view).len(), 2);
    view.toggle_wrap();
    assert_eq!(shown(&view).len(), 3);
    view.scroll(1);
    assert_eq!(view.top(), Place { line: 0, part: 1 });
    view.to_end();
    assert_eq!(ends(&view).1, "end");
    view.resize(40, 3);
    assert_eq!(shown(&view).len(), 3, "a wider screen is filled again");
}

#[test]
fn a_panel_that_was_folded_away_shows_what_it_would_have_shown() {
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
fn wrapping_keeps_the_match_in_view() {
    let mut view = TextView::default();
    for index in 0..40 {
        view.push(&format!("{index} {}", "word ".repeat(30)), None, 0);
    }
    view.push("the needle", None, 0);
    for index in 0..40 {
        view.push(&format!("{index} {}", "word ".repeat(30)), None, 0);
    }
    view.resize(20, 5);
    view.ask(PromptKind::Search);
    type_into(&mut view, "needle");
    finish(&mut view);
    view.answer(true);
    finish(&mut view);
    let seen = |view: &TextView| shown(view).contains(&"the needle".to_owned());
    assert!(seen(&view));
    for _ in 0..2 {
        view.toggle_wrap();
        assert!(seen(&view), "{:?}", shown(&view));
    }
}

#[test]
fn times_stand_before_the_lines() {
    let mut view = view(3);
    view.cycle_stamps();
    assert_eq!(shown(&view)[2], "00:00:02 line 2");
    view.set_utc_offset(3_600);
    assert_eq!(shown(&view)[2], "01:00:02 line 2");
    view.cycle_stamps();
    assert_eq!(shown(&view)[2], "+2s      line 2");
}

#[test]
fn a_mark_is_a_rule_below_what_is_shown() {
    let mut view = view(3);
    view.toggle_mark();
    assert_eq!(shown(&view)[3], "─".repeat(40));
    assert_eq!(view.state(), "1 mark", "it may be below what is shown");
    view.toggle_mark();
    assert_eq!(shown(&view).len(), 3);
}

#[test]
fn a_mark_is_seen_where_the_screen_is_full() {
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
fn columns_scroll_only_without_wrapping() {
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

/// Leaves out every line that is not even, and doubles those that are.
#[derive(Debug)]
struct Odd;

impl Lens for Odd {
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

    fn plain<'a>(&self, line: &Line<'a>) -> Option<Cow<'a, str>> {
        let text = Cow::Borrowed(line.text);
        line.id.is_multiple_of(2).then_some(text)
    }
}

#[test]
fn what_a_lens_leaves_out_is_neither_found_nor_counted() {
    let mut view = view(10);
    view.set_lens(Arc::new(Odd));
    view.ask(PromptKind::Filter);
    type_into(&mut view, "!line 2");
    finish(&mut view);
    assert_eq!(view.standing().filtered, Some((4, 10)));
    view.answer(false);
    view.ask(PromptKind::Search);
    type_into(&mut view, "x*");
    finish(&mut view);
    assert_eq!(view.standing().matched.map(|(_, count, _)| count), Some(5));
}

#[test]
fn a_lens_may_leave_lines_out_and_make_several_rows_of_one() {
    let mut view = view(20);
    view.set_lens(Arc::new(Odd));
    assert_eq!(
        shown(&view),
        ["line 0", "again", "line 2", "again", "line 4"]
    );
    view.scroll(3);
    assert_eq!(shown(&view)[0], "again");
    assert_eq!(view.top(), Place { line: 2, part: 1 });
    view.scroll(-3);
    assert_eq!(view.top(), Place { line: 0, part: 0 });
    view.to_end();
    assert_eq!(ends(&view).1, "again");
}

#[test]
fn an_empty_view_can_be_asked_anything() {
    let mut view = TextView::default().following();
    view.resize(0, 0);
    view.scroll(5);
    view.scroll(-5);
    view.page((1, 2));
    view.next_error();
    view.next_match(true);
    view.toggle_mark();
    view.toggle_follow();
    view.ask(PromptKind::Search);
    type_into(&mut view, "(");
    view.answer(true);
    assert!(shown(&view).is_empty());
    assert_eq!(view.state(), "as typed · no match · paused");
}

#[test]
fn hostile_lines_are_shown_and_not_obeyed() {
    let mut view = TextView::default();
    view.push("a\u{1b}[2J\u{7}\u{202e}b", None, 0);
    assert_eq!(shown(&view), ["a␛[2J␇\u{fffd}b"]);
}

#[test]
fn a_long_search_is_done_in_slices_and_draws_in_between() {
    let mut view = view(0);
    for index in 0..60_000 {
        view.push(&format!("{index} {}", "x".repeat(90)), None, 0);
    }
    view.ask(PromptKind::Search);
    type_into(&mut view, "^59999 ");
    assert!(view.work(), "it is not done at once");
    assert_eq!(shown(&view).len(), 4);
    let errand = view.errand().unwrap();
    view.push("59999 again", None, 0);
    view.work();
    view.take(errand.run());
    finish(&mut view);
    assert_eq!(view.state(), "match 1/2");
    assert!(shown(&view).iter().any(|row| row.starts_with("59999 ")));
}

#[test]
fn what_an_errand_found_before_the_lines_were_read_anew_is_left() {
    let mut view = view(0);
    for index in 0..60_000 {
        view.push(&format!("{index} {}", "x".repeat(90)), None, 0);
    }
    view.ask(PromptKind::Search);
    type_into(&mut view, "x");
    let old = view.errand().unwrap().run();
    view.replace([("y".to_owned(), 0), ("x".to_owned(), 0)]);
    view.take(old);
    finish(&mut view);
    assert_eq!(view.standing().matched.map(|(_, count, _)| count), Some(1));
}

#[test]
fn a_filter_far_from_its_first_line_keeps_the_place_until_it_has_looked_at_all() {
    let mut view = view(0);
    for index in 0..60_000 {
        let word = if index == 55_000 { "wanted" } else { "other" };
        view.push(&format!("{index} {word} {}", "x".repeat(90)), None, 0);
    }
    view.to_start();
    view.ask(PromptKind::Filter);
    type_into(&mut view, "wanted");
    finish(&mut view);
    view.answer(true);
    assert_eq!(view.state(), "filtered 1/60000");
    assert!(
        shown(&view)[0].starts_with("55000 wanted"),
        "{:?}",
        shown(&view)
    );
}
