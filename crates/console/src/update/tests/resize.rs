//! Any screen size: the drawn area may differ from the size in the model.

use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{Level, check, given, run};
use crate::{
    detail_io::{DetailResponse, LineSource, LogItem},
    harness::Harness,
    msg::Msg,
    theme::Theme,
    view,
};
use flightdeck_core::runs::Stage;
use flightdeck_preflight::Fix;

/// An event between two frames.
#[derive(Clone, Debug)]
enum Step {
    Press(&'static str),
    Paste(String),
    Resize(u16, u16),
    Log(String),
    Wait(i64),
}

/// Keys that open, navigate and close all screens.
const KEYS: &[&str] = &[
    "n",
    "tab",
    "shift-tab",
    "?",
    ":",
    "1",
    "2",
    "3",
    "4",
    "K",
    "X",
    "t",
    "z",
    "/",
    "m",
    "F",
    "d",
    "T",
    "b",
    "@",
    "[",
    "]",
    "j",
    "k",
    "G",
    "x",
    "w",
    "a",
    "A",
    "enter",
    "esc",
    "space",
    "ctrl-s",
    "pagedown",
    "down",
    "up",
    "v",
];

fn step() -> impl Strategy<Value = Step> {
    let size = (0u16..200, 0u16..60);
    prop_oneof![
        6 => prop::sample::select(KEYS).prop_map(Step::Press),
        1 => "[a-z日\r\n ]{0,40}".prop_map(Step::Paste),
        2 => size.prop_map(|(width, height)| Step::Resize(width, height)),
        1 => "[a-z日\t ]{0,300}".prop_map(Step::Log),
        1 => (0i64..120).prop_map(Step::Wait),
    ]
}

fn take(console: &mut Harness, step: Step) {
    match step {
        Step::Press(keys) => {
            console.press(keys);
        }
        Step::Paste(text) => {
            console.send(Msg::Paste(text));
        }
        Step::Resize(width, height) => {
            console.send(Msg::Resize(width, height));
        }
        Step::Log(text) => {
            let source = LineSource {
                stage: Stage::Agent,
                version: 1,
                attempt: 1,
                container: "agent".into(),
            };
            let item = LogItem {
                at: console.model.now,
                source: Some(source),
                text,
                raw: None,
            };
            console.send(Msg::Detail(DetailResponse::Log("uid-a".into(), vec![item])));
        }
        Step::Wait(seconds) => {
            let now = console.model.now + jiff::SignedDuration::from_secs(seconds);
            console.send(Msg::Tick(now));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn draws_into_an_area_of_any_size(
        steps in prop::collection::vec((step(), (0u16..4, 0u16..4, 0u16..200, 0u16..60)), 1..16),
        lost in (0u16..60, 0u16..20),
    ) {
        let checks = vec![
            check("tasks-pushed", Level::Fail, Some(Fix::Push)),
            check("base", Level::Warn, None),
        ];
        let mut console = given(&[run("a", "Running"), run("b", "Failed")], checks);
        console.press("2");
        let theme = Theme::of_scopes();
        for (step, (x, y, width, height)) in steps {
            take(&mut console, step);
            let screen = Rect::new(x, y, width, height);
            let mut buffer = Buffer::empty(screen);
            view::view(&console.model, &theme, screen, &mut buffer);
            // A buffer that ends before the screen does.
            let part = Rect::new(x, y, width.saturating_sub(lost.0), height.saturating_sub(lost.1));
            let mut clipped = Buffer::empty(part);
            view::view(&console.model, &theme, screen, &mut clipped);
        }
    }
}
