//! The panel driven by keys and messages through `update`.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use jiff::Timestamp;

use super::{preview_tab::render_run, *};
use crate::{
    detail_io::{DetailRequest, DetailResponse, LineSource, LogItem},
    effect::Effect,
    harness::Harness,
    ids::{PanelId, TabId},
    msg::Msg,
    world::{ClusterTarget, Delta, Plan, Repository},
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
    let target = ClusterTarget {
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

fn requests(console: &mut Harness) -> Vec<DetailRequest> {
    let effects = console.effects().into_iter();
    effects
        .filter_map(|effect| {
            if let Effect::Detail(request) = effect {
                Some(request)
            } else {
                None
            }
        })
        .collect()
}

fn line(second: i64, text: &str) -> LogItem {
    LogItem {
        at: Timestamp::from_second(1_900_000_000 + second).unwrap(),
        source: Some(LineSource {
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
fn shows_a_task_with_dependencies_and_documents() {
    let mut console = given(vec![]);
    let directory = PathBuf::from("/srv/shop/.taskmaster/docs/task-1");
    assert_eq!(
        requests(&mut console),
        [DetailRequest::Documents(directory.clone())]
    );
    console.send(Msg::Detail(DetailResponse::Documents(
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
    assert!(screen.contains("9  (not in the plan)"), "{screen}");
}

#[test]
fn previews_the_files_before_launch() {
    let mut console = given(vec![]);
    console.press("4 ]");
    let screen = console.screen();
    for words in ["prompt.md", "run.json", "settings.local.json", "preview"] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    let before = console.screen();
    console.press("j");
    assert_ne!(console.screen(), before, "another file is shown");
    console.press("enter");
    assert_eq!(console.model.contexts()[0], Context::Text);
    console.press("esc");
    assert_eq!(console.model.contexts()[0], Context::Items);
}

#[test]
fn compares_run_files_with_a_launch_now() {
    let status = RunStatus {
        config_map_name: Some("docs-a-files".into()),
        phase: Some("Running".into()),
        ..RunStatus::default()
    };
    let mut console = given(vec![run("a", status)]);
    console.press("2 4 [");
    assert_eq!(console.model.detail.tab(), TabId::Preview);
    let asked = requests(&mut console);
    assert!(
        asked.contains(&DetailRequest::Files {
            run: "a".into(),
            config_map: "docs-a-files".into()
        }),
        "{asked:?}"
    );
    let mut files = render_run(&run("a", RunStatus::default()), &console.model.settings).unwrap();
    files.insert("prompt.md".into(), "something else\n".into());
    console.send(Msg::Detail(DetailResponse::Files("a".into(), Ok(files))));
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
fn preview_uses_the_controller_settings() {
    let status = RunStatus {
        config_map_name: Some("docs-a-files".into()),
        ..RunStatus::default()
    };
    let mut run = run("a", status);
    run.spec.repository_url = "https://github.com/acme/shop.git".into();
    let mut console = given(vec![run.clone()]);
    console.press("2 4 [");
    let overrides = [("labels".to_owned(), "of-the-controller".to_owned())].into();
    let settings = Settings::shipped().with_pull_request_options(overrides);
    let files = render_run(&run, &settings);
    console.send(Msg::Detail(DetailResponse::Files("a".into(), files)));
    assert!(console.screen().contains('≠'), "{}", console.screen());
    console.world([Delta::Settings(Some(settings.into()))]);
    assert!(!console.screen().contains('≠'), "{}", console.screen());
}

#[test]
fn follows_and_searches_a_log() {
    let mut console = given(vec![run(
        "a",
        RunStatus {
            phase: Some("Running".into()),
            ..RunStatus::default()
        },
    )]);
    console.press("2");
    assert_eq!(
        requests(&mut console).last(),
        Some(&DetailRequest::Log {
            run: "a".into(),
            name: "docs-a".into(),
            kind: flightdeck_core::runs::RunKind::Docs,
            removed: false
        })
    );
    let items = (0..100).map(|n| line(n, &format!("saying {n}"))).collect();
    console.send(Msg::Detail(DetailResponse::Log("a".into(), items)));
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
    console.send(Msg::Detail(DetailResponse::LogEnded("a".into(), None)));
    assert!(requests(&mut console).is_empty(), "no repeated request");
}

#[test]
fn ignores_responses_for_other_runs() {
    let mut console = given(vec![run("a", RunStatus::default())]);
    console.press("2");
    console.send(Msg::Detail(DetailResponse::Log(
        "b".into(),
        vec![line(0, "not mine")],
    )));
    assert!(!console.screen().contains("not mine"));
}

#[test]
fn shows_the_stages_of_a_run() {
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
    assert!(screen.contains("docs 0/8"), "{screen}");
}

#[test]
fn empty_tabs_explain_what_is_missing() {
    let mut console = given(vec![run(
        "a",
        RunStatus {
            phase: Some("Running".into()),
            ..RunStatus::default()
        },
    )]);
    console.press("2 4");
    for (tab, words) in [
        (TabId::Timeline, "The agent has not started"),
        (TabId::Diff, "Nothing pushed yet"),
        (TabId::PullRequest, "opened in the publish stage"),
        (TabId::Events, "No events in the cluster"),
        (TabId::Yaml, "kind: DocsRun"),
    ] {
        console.press("]");
        assert_eq!(console.model.detail.tab(), tab);
        let screen = console.screen();
        assert!(screen.contains(words), "{tab:?}\n{screen}");
    }
}

#[test]
fn long_searches_do_not_block_input() {
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
    console.send(Msg::Detail(DetailResponse::Log("a".into(), items)));
    console.press("g /").type_text("39999");
    let mut tasks = 0;
    loop {
        let mut asked = requests(&mut console)
            .into_iter()
            .filter_map(|request| match request {
                DetailRequest::Background(number, task) => Some((number, task)),
                _ => None,
            });
        // Every letter restarts the search; the last task is the current one.
        let Some((number, task)) = asked.by_ref().last() else {
            break;
        };
        tasks += 1;
        let more = vec![line(40_000 + tasks, "more")];
        console.send(Msg::Detail(DetailResponse::Log("a".into(), more)));
        assert!(
            requests(&mut console).is_empty(),
            "one background_task at a time"
        );
        let found = DetailResponse::BackgroundDone(number, Box::new(task.run()));
        console.send(Msg::Detail(found.clone()));
        console.send(Msg::Detail(found));
        assert!(tasks < 100, "it ends");
    }
    assert!(tasks > 0);
    assert!(
        console.screen().contains("match 1/1"),
        "{}",
        console.screen()
    );
}

/// Returns the status of a run that ended in publish, with the condition of its pull request.
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
fn pull_request_tab_explains_each_outcome() {
    let id = Some("4be1f5c09d3a7be2f1c8a4d90e6b7f3c2d1a0b9e");
    let limited = "pushed branch docs/docs-a, but could not open a pull request: rate limit of github.com exceeded (resets in 10m00s): try again later";
    let protected = "github.com protects the branch; launch the run with another target branch";
    let unknown = "cannot request reviews from zoe in acme/shop";
    for (status, expected) in [
        (
            published("Failed", id, (false, "RateLimited", limited)),
            vec!["Pushed branch docs/docs-a", "retry publish", "merge"],
        ),
        (
            published("Failed", None, (false, "ProtectedBranch", protected)),
            vec!["No pull request: github.com protects", "retry publish"],
        ),
        (
            published(
                "Failed",
                None,
                (false, reason::OUTSIDE_TASK, "it changed tasks.json"),
            ),
            vec!["No pull request: it changed tasks.json.", "retry"],
        ),
        // Missing documents need the agent, not only publish.
        (
            published(
                "Failed",
                id,
                (false, reason::INCOMPLETE, "2 of 8 documents are missing"),
            ),
            vec!["2 of 8 documents are missing. retry", "merge"],
        ),
        (
            published("Succeeded", id, (false, reason::NO_FORGE, "")),
            vec!["Not a known Git host", "merge"],
        ),
        (
            published("Succeeded", id, (true, "Open", unknown)),
            vec![
                "Pull request #7",
                "loading ...",
                "Note",
                "cannot request reviews from zoe",
            ],
        ),
    ] {
        let mut console = given(vec![run("a", status)]);
        console.press("2 4 ] ] ]");
        let page = &console.model.detail.pages[&TabId::PullRequest];
        let shown = match &page.empty {
            Some((sentence, keys)) => {
                let keys: Vec<_> = keys.iter().map(|(_, words)| *words).collect();
                format!("{sentence} {}", keys.join(", "))
            }
            None => console.screen(),
        };
        for part in expected {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}

#[test]
fn polls_the_pull_request_only_while_shown() {
    let status = published("Succeeded", Some("4be1f5c0"), (true, "Open", ""));
    let mut console = given(vec![run("a", status.clone()), run("b", status)]);
    console.press("2 4 ] ] ]");
    let asked = requests(&mut console);
    let polls =
        |request: &DetailRequest| matches!(request, DetailRequest::PullRequest { number: 7, .. });
    assert!(asked.iter().any(polls), "{asked:?}");
    console.press("]");
    assert_eq!(requests(&mut console), [DetailRequest::StopPullRequest]);
    console.press("[");
    assert!(requests(&mut console).iter().any(polls), "polls again");
    // A request for another run supersedes the first.
    console.press("2 j");
    assert!(requests(&mut console).iter().any(polls));
    console.press("1");
    let left = requests(&mut console);
    assert!(left.contains(&DetailRequest::StopPullRequest), "{left:?}");
}

#[test]
fn shows_and_hides_log_sources() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l");
    let from = |stage, container: &str, text: &str| LogItem {
        source: Some(LineSource {
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
    console.send(Msg::Detail(DetailResponse::Log("r".into(), items)));
    console.press("A");
    assert!(
        console.screen().contains("3 of 3 shown"),
        "{}",
        console.screen()
    );
    console.press("j space");
    let screen = console.screen();
    assert!(
        screen.contains("2 of 3 shown") && !screen.contains("verified"),
        "{screen}"
    );
    console.press("esc");
    let screen = console.screen();
    assert!(
        screen.contains("2 of 3 sources") && screen.contains("cloning"),
        "{screen}"
    );
    // New sources are shown.
    let later = from(Stage::Publish, "push", "pushing");
    console.send(Msg::Detail(DetailResponse::Log("r".into(), vec![later])));
    assert!(console.screen().contains("pushing"));
    console.press("A G enter");
    let screen = console.screen();
    assert!(
        screen.contains("1 of 4 sources") && !screen.contains("cloning"),
        "{screen}"
    );
    console.press("A a esc");
    assert!(console.screen().contains("verified") && !console.screen().contains("sources ·"));
    console.press("A space esc a");
    let screen = console.screen();
    assert!(
        screen.contains("verified") && screen.contains("cloning"),
        "{screen}"
    );
}

#[test]
fn toasts_do_not_cover_the_prompt() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l");
    console
        .model
        .toast(crate::world::Level::Pass, "saved there");
    // Rows above the footer.
    let above = |console: &Harness| {
        let screen = console.screen();
        let mut rows = screen.lines().rev().enumerate();
        let found = rows.find(|(_, row)| row.contains("saved there"));
        let (above, row) = found.unwrap();
        assert!(row.ends_with("saved there │"), "{row}");
        above
    };
    assert_eq!(above(&console), 2);
    console.send(Msg::Detail(DetailResponse::Log(
        "r".into(),
        vec![line(1, "hay")],
    )));
    console.press("4 /");
    console.type_text("needle");
    assert_eq!(above(&console), 4, "{}", console.screen());
    let screen = console.screen();
    let typed = screen.lines().rev().position(|row| row.contains("needle"));
    assert!(typed.is_some_and(|typed| typed < 4), "{screen}");
}

#[test]
fn runs_list_shows_the_current_activity() {
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
fn prompt_is_visible_in_empty_tabs() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l 4 /").type_text("needle");
    assert!(console.screen().contains("needle"), "{}", console.screen());
    console.press("esc ] /").type_text("thread");
    assert!(console.screen().contains("thread"), "{}", console.screen());
}

#[test]
fn filter_without_matches_offers_to_clear_it() {
    let mut console = given(vec![run("r", RunStatus::default())]);
    console.press("2 l");
    console.send(Msg::Detail(DetailResponse::Log(
        "r".into(),
        vec![line(1, "hay")],
    )));
    console.press("4 &").type_text("needle");
    let typed = console.screen();
    assert!(typed.contains("needle") && !typed.contains("No line matches"));
    console.press("enter");
    let screen = console.screen();
    assert!(screen.contains("No line matches the filter."), "{screen}");
    assert!(screen.contains("Esc clear filter"), "{screen}");
    console.press("esc");
    assert!(console.screen().contains("hay"));
}
