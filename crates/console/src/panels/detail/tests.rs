//! The panel as a person meets it: by keys, through `update`.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use jiff::Timestamp;

use super::*;
use crate::{
    harness::Harness,
    model::PanelId,
    msg::Msg,
    world::{Delta, Plan, Repository, Target},
};
use flightdeck_core::{
    resources::{Attempt, Condition, ConditionStatus, DocsRun, DocsRunSpec, RunStatus},
    runs::{Run, Stage, reason},
    tasks::DocumentSet,
};
use flightdeck_host::settings::Settings;

const PLAN: &str = r#"{"master":{"tasks":[
    {"id":1,"title":"Setup repository","status":"done","priority":"high","details":"Use **cargo**.","testStrategy":"It builds.","dependencies":[],
     "subtasks":[{"id":1,"title":"Workspace","status":"done","dependencies":[]}]},
    {"id":2,"title":"Define protobufs","status":"pending","priority":"medium","details":"Services.","dependencies":[1,9]}
]}}"#;

fn run(uid: &str, status: RunStatus) -> Run {
    let spec = DocsRunSpec {
        task_ids: vec!["1".into(), "2".into()],
        ..DocsRunSpec::default()
    };
    let mut run = Run::from(DocsRun::new(&format!("docs-{uid}"), spec));
    run.metadata.uid = Some(uid.into());
    run.metadata.resource_version = Some("5".into());
    run.spec.agent = "template".into();
    run.spec.source_branch = "feature/x".into();
    run.status = status;
    run
}

fn given(runs: Vec<Run>) -> Harness {
    let mut console = Harness::new(140, 40);
    let plan = Plan::new(
        PathBuf::from("/srv/shop/.taskmaster/tasks/tasks.json"),
        flightdeck_core::tasks::read(PLAN.as_bytes()).unwrap(),
        "master".into(),
        HashMap::from([("1".into(), DocumentSet::from_listing(["task.md"]))]),
    );
    let repository = Repository {
        root: "/srv/shop".into(),
        name: "acme/shop".into(),
        branch: Some("feature/x".into()),
        url: Some("/srv/origin.git".into()),
        ..Repository::default()
    };
    let target = Target {
        label: "embedded".into(),
        namespace: "default".into(),
        embedded: true,
    };
    console.world([
        Delta::Cluster(target),
        Delta::Repository(Ok(repository)),
        Delta::Plan(Ok(Arc::new(plan))),
    ]);
    console.runs(runs);
    console
}

fn wants(console: &mut Harness) -> Vec<Want> {
    let effects = console.effects().into_iter();
    effects
        .filter_map(|effect| {
            if let Effect::Detail(want) = effect {
                Some(want)
            } else {
                None
            }
        })
        .collect()
}

fn line(second: i64, text: &str) -> Item {
    Item {
        at: Timestamp::from_second(1_900_000_000 + second).unwrap(),
        source: Some(Source {
            stage: Stage::Agent,
            version: 1,
            attempt: 1,
            container: "agent".into(),
        }),
        text: text.into(),
        raw: None,
    }
}

#[test]
fn a_task_is_told_with_what_it_waits_for_and_what_was_written() {
    let mut console = given(vec![]);
    let directory = PathBuf::from("/srv/shop/.taskmaster/docs/task-1");
    assert_eq!(wants(&mut console), [Want::Documents(directory.clone())]);
    console.send(Msg::Detail(News::Documents(
        directory,
        vec![("task.md".into(), "# Overview\nwritten".into())],
    )));
    let screen = console.screen();
    for words in [
        "Details",
        "Use cargo.",
        "Test strategy",
        "1.1  Workspace",
        "── task.md ─",
        "written",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    console.press("j");
    let screen = console.screen();
    assert!(screen.contains("4 Detail  2 Define protobufs"), "{screen}");
    assert!(screen.contains("9  which is not in the plan"), "{screen}");
}

#[test]
fn the_files_of_a_run_are_seen_before_it_is_launched() {
    let mut console = given(vec![]);
    console.press("4 ]");
    let screen = console.screen();
    for words in [
        "prompt.md",
        "run.json",
        "settings.local.json",
        "as they would be",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    let before = console.screen();
    console.press("j");
    assert_ne!(console.screen(), before, "another file is shown");
    console.press("enter");
    assert_eq!(console.model.detail.contexts()[0], Context::Text);
    console.press("esc");
    assert_eq!(console.model.detail.contexts()[0], Context::Items);
}

#[test]
fn live_files_are_held_against_what_would_be_rendered_now() {
    let status = RunStatus {
        config_map_name: Some("docs-a-files".into()),
        phase: Some("Running".into()),
        ..RunStatus::default()
    };
    let mut console = given(vec![run("a", status)]);
    console.press("2 4 [");
    assert_eq!(console.model.detail.tab(), Tab::Preview);
    let asked = wants(&mut console);
    assert!(
        asked.contains(&Want::Files {
            run: "a".into(),
            config_map: "docs-a-files".into()
        }),
        "{asked:?}"
    );
    let mut files = files_of(&run("a", RunStatus::default()), &console.model.settings).unwrap();
    files.insert("prompt.md".into(), "something else\n".into());
    console.send(Msg::Detail(News::Files("a".into(), Ok(files))));
    let screen = console.screen();
    assert!(
        screen.contains("something else") && screen.contains('≠'),
        "{screen}"
    );
    console.press("J");
    assert!(
        console.screen().contains("-something else"),
        "{}",
        console.screen()
    );
}

#[test]
fn what_would_be_rendered_now_is_so_by_the_settings_of_the_controller() {
    let status = RunStatus {
        config_map_name: Some("docs-a-files".into()),
        ..RunStatus::default()
    };
    let mut run = run("a", status);
    run.spec.repository_url = "https://github.com/acme/shop.git".into();
    let mut console = given(vec![run.clone()]);
    console.press("2 4 [");
    let laid_over = [("labels".to_owned(), "of-the-controller".to_owned())].into();
    let settings = Settings::shipped().with_pull_requests(laid_over);
    let files = files_of(&run, &settings);
    console.send(Msg::Detail(News::Files("a".into(), files)));
    assert!(console.screen().contains('≠'), "{}", console.screen());
    console.world([Delta::Settings(Some(settings.into()))]);
    assert!(!console.screen().contains('≠'), "{}", console.screen());
}

#[test]
fn a_log_is_followed_searched_and_left_again() {
    let mut console = given(vec![run(
        "a",
        RunStatus {
            phase: Some("Running".into()),
            ..RunStatus::default()
        },
    )]);
    console.press("2");
    assert_eq!(
        wants(&mut console).last(),
        Some(&Want::Log {
            run: "a".into(),
            name: "docs-a".into(),
            kind: flightdeck_core::runs::RunKind::Docs,
            removed: false
        })
    );
    let items = (0..100).map(|n| line(n, &format!("saying {n}"))).collect();
    console.send(Msg::Detail(News::Log("a".into(), items)));
    assert!(console.screen().contains("saying 99") && console.screen().contains("following"));
    console.press("4 /").type_text("saying 7");
    assert!(
        console.screen().contains("match 2/11"),
        "{}",
        console.screen()
    );
    console.press("enter n");
    assert!(
        console.screen().contains("match 3/11"),
        "{}",
        console.screen()
    );
    console.press("esc esc");
    assert_eq!(console.model.focus, PanelId::Runs);
    console.send(Msg::Detail(News::LogEnded("a".into(), None)));
    assert!(wants(&mut console).is_empty(), "nothing is asked for twice");
}

#[test]
fn news_of_what_is_no_longer_shown_is_dropped() {
    let mut console = given(vec![run("a", RunStatus::default())]);
    console.press("2");
    console.send(Msg::Detail(News::Log(
        "b".into(),
        vec![line(0, "not mine")],
    )));
    assert!(!console.screen().contains("not mine"));
}

#[test]
fn the_stages_of_a_run_stand_in_one_line() {
    let attempt = |stage: &str, began: i64, ended: Option<(i64, i32)>| Attempt {
        stage: stage.into(),
        context_version: 1,
        attempt: 1,
        started_at: Timestamp::from_second(began).ok().map(|at| at.to_string()),
        finished_at: ended
            .and_then(|(at, _)| Timestamp::from_second(at).ok())
            .map(|at| at.to_string()),
        exit_code: ended.map(|(_, code)| code),
        ..Attempt::default()
    };
    let status = RunStatus {
        phase: Some("Running".into()),
        stage: Some("agent".into()),
        attempts: vec![
            attempt("prep", 1_899_999_835, Some((1_899_999_839, 0))),
            attempt("agent", 1_899_999_839, None),
        ],
        ..RunStatus::default()
    };
    let mut console = given(vec![run("a", status)]);
    console.press("2");
    let screen = console.screen();
    assert!(
        screen.contains("prep ✓ 4s ─ agent ▶ 2m41s ─ publish ·"),
        "{screen}"
    );
    assert!(screen.contains("documents 0/8"), "{screen}");
}

#[test]
fn every_empty_tab_says_what_is_missing() {
    let mut console = given(vec![run(
        "a",
        RunStatus {
            phase: Some("Running".into()),
            ..RunStatus::default()
        },
    )]);
    console.press("2 4");
    for (tab, words) in [
        (Tab::Timeline, "The agent has not begun"),
        (Tab::Diff, "has not pushed anything yet"),
        (Tab::PullRequest, "opened when the run is published"),
        (Tab::Events, "keeps no events"),
        (Tab::Yaml, "kind: DocsRun"),
    ] {
        console.press("]");
        assert_eq!(console.model.detail.tab(), tab);
        let screen = console.screen();
        assert!(screen.contains(words), "{tab:?}\n{screen}");
    }
}

#[test]
fn a_search_through_very_many_lines_lets_keys_come_in_between() {
    let mut console = given(vec![run(
        "a",
        RunStatus {
            phase: Some("Running".into()),
            ..RunStatus::default()
        },
    )]);
    console.press("2 4");
    let items = (0..40_000)
        .map(|n| line(n, &format!("{n} {}", "x".repeat(80))))
        .collect();
    console.send(Msg::Detail(News::Log("a".into(), items)));
    console.press("g /").type_text("39999");
    let mut errands = 0;
    loop {
        let mut asked = wants(&mut console)
            .into_iter()
            .filter_map(|want| match want {
                Want::Search(number, errand) => Some((number, errand)),
                _ => None,
            });
        // Every letter begins anew; after the last one, one is under way at a time.
        let Some((number, errand)) = asked.by_ref().last() else {
            break;
        };
        errands += 1;
        let more = vec![line(40_000 + errands, "more")];
        console.send(Msg::Detail(News::Log("a".into(), more)));
        assert!(wants(&mut console).is_empty(), "one errand at a time");
        let found = News::Searched(number, Box::new(errand.run()));
        console.send(Msg::Detail(found.clone()));
        console.send(Msg::Detail(found));
        assert!(errands < 100, "it ends");
    }
    assert!(errands > 0);
    assert!(
        console.screen().contains("match 1/1"),
        "{}",
        console.screen()
    );
}

/// A run that has ended in publish, with what the condition of its pull request says.
fn published(phase: &str, commit: Option<&str>, pull_request: (bool, &str, &str)) -> RunStatus {
    let (ready, why, message) = pull_request;
    RunStatus {
        phase: Some(phase.into()),
        stage: Some("publish".into()),
        branch: Some("docs/docs-a".into()),
        reason: Some(match (why, commit) {
            (reason::OUTSIDE_TASK | reason::INCOMPLETE, _) => why.into(),
            (_, Some(_)) => reason::PULL_REQUEST_FAILED.into(),
            (_, None) => reason::PUSH_FAILED.into(),
        }),
        commit: commit.map(str::to_owned),
        pull_request_number: ready.then_some(7),
        pull_request_url: ready.then(|| "https://github.com/acme/shop/pull/7".into()),
        conditions: vec![Condition {
            r#type: "PullRequestReady".into(),
            status: if ready {
                ConditionStatus::True
            } else {
                ConditionStatus::False
            },
            reason: why.into(),
            message: message.into(),
            last_transition_time: "2030-01-01T00:00:00Z".into(),
            observed_generation: None,
        }],
        ..RunStatus::default()
    }
}

#[test]
fn the_pull_request_tab_says_how_it_went_and_what_to_press() {
    let id = Some("4be1f5c09d3a7be2f1c8a4d90e6b7f3c2d1a0b9e");
    let limited = "the branch docs/docs-a is pushed, but it has no pull request: github.com limits how often it is asked (again in 10m00s): try again later";
    let protected = "github.com protects the branch; launch the run with another target branch";
    let unknown = "acme/shop knows no reviewer nobody";
    for (status, expected) in [
        (
            published("Failed", id, (false, "RateLimited", limited)),
            vec![
                "The branch docs/docs-a is pushed",
                "publish again",
                "bring it home",
            ],
        ),
        (
            published("Failed", None, (false, "ProtectedBranch", protected)),
            vec![
                "There is no pull request: github.com protects",
                "publish again",
            ],
        ),
        (
            published(
                "Failed",
                None,
                (false, reason::OUTSIDE_TASK, "it changed tasks.json"),
            ),
            vec![
                "There is no pull request: it changed tasks.json.",
                "try again",
            ],
        ),
        // What is missing only the agent can write.
        (
            published(
                "Failed",
                id,
                (false, reason::INCOMPLETE, "2 of 8 documents are missing"),
            ),
            vec!["2 of 8 documents are missing. try again", "bring it home"],
        ),
        (
            published("Succeeded", id, (false, reason::NO_FORGE, "")),
            vec!["no forge that is known", "bring it home"],
        ),
        (
            published("Succeeded", id, (true, "Open", unknown)),
            vec![
                "Pull request #7",
                "asking the forge",
                "Note",
                "knows no reviewer nobody",
            ],
        ),
    ] {
        let mut console = given(vec![run("a", status)]);
        console.press("2 4 ] ] ]");
        let page = &console.model.detail.pages[&Tab::PullRequest];
        let said = match &page.nothing {
            Some((sentence, keys)) => {
                let keys: Vec<_> = keys.iter().map(|(_, words)| *words).collect();
                format!("{sentence} {}", keys.join(", "))
            }
            None => console.screen(),
        };
        for part in expected {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn the_forge_is_asked_only_while_the_pull_request_is_on_the_screen() {
    let status = published("Succeeded", Some("4be1f5c0"), (true, "Open", ""));
    let mut console = given(vec![run("a", status.clone()), run("b", status)]);
    console.press("2 4 ] ] ]");
    let asked = wants(&mut console);
    let looks = |want: &Want| matches!(want, Want::PullRequest { number: 7, .. });
    assert!(asked.iter().any(looks), "{asked:?}");
    console.press("]");
    assert_eq!(wants(&mut console), [Want::LeavePullRequest]);
    console.press("[");
    assert!(wants(&mut console).iter().any(looks), "it is asked anew");
    // Another run: its own is asked for, which ends the look at the first.
    console.press("2 j");
    assert!(wants(&mut console).iter().any(looks));
    console.press("1");
    let left = wants(&mut console);
    assert!(left.contains(&Want::LeavePullRequest), "{left:?}");
}

#[test]
fn the_sources_of_a_log_are_shown_and_hidden_one_by_one() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l");
    let from = |stage, container: &str, text: &str| Item {
        source: Some(Source {
            stage,
            version: 1,
            attempt: 1,
            container: container.into(),
        }),
        ..line(1, text)
    };
    let items = vec![
        from(Stage::Prep, "clone", "cloning"),
        from(Stage::Prep, "verify", "verified"),
        from(Stage::Agent, "agent", "thinking"),
    ];
    console.send(Msg::Detail(News::Log("r".into(), items)));
    console.press("A");
    let said = |console: &Harness| console.screen();
    assert!(
        said(&console).contains("3 of 3 shown"),
        "{}",
        said(&console)
    );
    console.press("j space");
    let screen = said(&console);
    assert!(
        screen.contains("2 of 3 shown") && !screen.contains("verified"),
        "{screen}"
    );
    console.press("esc");
    let screen = said(&console);
    assert!(
        screen.contains("2 of 3 sources") && screen.contains("cloning"),
        "{screen}"
    );
    // One that comes later is shown; the stages one after the other begin anew.
    let later = from(Stage::Publish, "push", "pushing");
    console.send(Msg::Detail(News::Log("r".into(), vec![later])));
    assert!(said(&console).contains("pushing"));
    console.press("A G enter");
    let screen = said(&console);
    assert!(
        screen.contains("1 of 4 sources") && !screen.contains("cloning"),
        "{screen}"
    );
    console.press("A a esc");
    assert!(said(&console).contains("verified") && !said(&console).contains("sources ·"));
    console.press("A space esc a");
    let screen = said(&console);
    assert!(
        screen.contains("verified") && screen.contains("cloning"),
        "{screen}"
    );
}

#[test]
fn a_toast_stands_above_the_bottom_and_never_on_what_is_typed() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l");
    console
        .model
        .toast(crate::world::Level::Pass, "saved there");
    // Counted from the last line, which is the footer.
    let above = |console: &Harness| {
        let screen = console.screen();
        let mut rows = screen.lines().rev().enumerate();
        let found = rows.find(|(_, row)| row.contains("saved there"));
        let (above, row) = found.unwrap();
        assert!(row.ends_with("saved there │"), "{row}");
        above
    };
    assert_eq!(above(&console), 2);
    console.send(Msg::Detail(News::Log("r".into(), vec![line(1, "hay")])));
    console.press("4 /");
    console.type_text("needle");
    assert_eq!(above(&console), 4, "{}", console.screen());
    let screen = console.screen();
    let typed = screen.lines().rev().position(|row| row.contains("needle"));
    assert!(typed.is_some_and(|typed| typed < 4), "{screen}");
}

#[test]
fn a_list_of_runs_tells_what_the_agent_does_now() {
    let status = RunStatus {
        phase: Some("Running".into()),
        stage: Some("agent".into()),
        ..RunStatus::default()
    };
    let mut console = given(vec![run("r", status)]);
    let doing = |what: &str| {
        let progress = crate::world::Progress {
            doing: Some(what.into()),
            ..crate::world::Progress::default()
        };
        Delta::Progress("r".into(), Box::new(progress))
    };
    console.press("2").world([doing("Write task.md\u{1b}[2J")]);
    let screen = console.screen();
    let row = screen
        .lines()
        .find(|row| row.contains("docs docs-r"))
        .unwrap();
    assert!(
        row.contains("agent 0/8") && row.contains("Write task.md"),
        "{row}"
    );
    assert!(!screen.contains('\u{1b}'));
}

#[test]
fn what_is_typed_is_seen_where_there_is_nothing_to_look_in_yet() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l 4 /").type_text("needle");
    assert!(console.screen().contains("needle"), "{}", console.screen());
    console.press("esc ] /").type_text("thread");
    assert!(console.screen().contains("thread"), "{}", console.screen());
}

#[test]
fn a_filter_that_leaves_nothing_says_so_and_which_key_clears_it() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l");
    console.send(Msg::Detail(News::Log("r".into(), vec![line(1, "hay")])));
    console.press("4 &").type_text("needle");
    let typed = console.screen();
    assert!(typed.contains("needle") && !typed.contains("No line passes"));
    console.press("enter");
    let screen = console.screen();
    assert!(screen.contains("No line passes the filter."), "{screen}");
    assert!(screen.contains("Esc clear it"), "{screen}");
    console.press("esc");
    assert!(console.screen().contains("hay"));
}
