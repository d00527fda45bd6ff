//! The console by its keys: keys in, the screen and effects out.

mod resize;

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    effect::{
        CleanupEffect, ConnectionEffect, Effect, FixFailure, LogEffect, Outcome, PlanEffect,
        PreflightEffect, RunEffect, TerminalEffect,
    },
    harness::Harness,
    ids::PanelId,
    keymap::Keymap,
    msg::Msg,
    world::{
        Check, ClusterTarget, CommandRecord, Delta, Level, Plan, PlanComparison, PlanError,
        Repository,
    },
};
use flightdeck_core::{
    resources::{DocsRun, DocsRunSpec, RunStatus},
    runs::{Run, naming},
    tasks::{DocumentSet, Status, StatusChange},
};
use flightdeck_host::repository::CommandOutcome;
use flightdeck_preflight::{Fix, fix::Progress};

const PLAN: &str = r#"{"master":{"tasks":[
    {"id":1,"title":"Setup","status":"done","priority":"high","dependencies":[],"subtasks":[{"id":1,"title":"Crates","status":"done","dependencies":[]}]},
    {"id":2,"title":"Protobufs","status":"pending","priority":"medium","dependencies":[1]},
    {"id":3,"title":"Schema","status":"pending","priority":"low","dependencies":[2]}
]}}"#;

fn run(name: &str, phase: &str) -> Run {
    let spec = DocsRunSpec {
        task_ids: vec!["2".into()],
        ..DocsRunSpec::default()
    };
    let mut object = DocsRun::new(name, spec);
    object.metadata.uid = Some(format!("uid-{name}"));
    object.metadata.labels =
        Some([(naming::LABEL_REPOSITORY.to_owned(), "here".to_owned())].into());
    object.status = Some(RunStatus {
        phase: Some(phase.into()),
        ..RunStatus::default()
    });
    object.into()
}

fn check(id: &'static str, level: Level, fix: Option<Fix>) -> Check {
    Check {
        id,
        title: id,
        level,
        message: format!("message of {id}"),
        explanation: String::new(),
        fix,
    }
}

/// A plan without documents.
fn new_plan(file: &str, tag: &str) -> Delta {
    let path = "/shop/.taskmaster/tasks/tasks.json".into();
    let plan = flightdeck_core::tasks::read(file.as_bytes()).unwrap();
    let plan = Plan::new(path, plan, tag.into(), HashMap::new());
    Delta::Plan(Ok(Arc::new(plan)))
}

/// A console with an embedded cluster and a plan of three tasks, of which the first one has its documents.
fn given(runs: &[Run], checks: Vec<Check>) -> Harness {
    let mut console = Harness::new(140, 40);
    let documents = [
        "task.md",
        "prompt.md",
        "design-spec.md",
        "acceptance-criteria.md",
    ];
    let plan = Plan::new(
        "/shop/.taskmaster/tasks/tasks.json".into(),
        flightdeck_core::tasks::read(PLAN.as_bytes()).unwrap(),
        "master".into(),
        HashMap::from([("1".into(), DocumentSet::from_listing(documents))]),
    );
    console.world([
        Delta::Cluster(ClusterTarget {
            label: "embedded".into(),
            namespace: "default".into(),
            embedded: true,
        }),
        Delta::Plan(Ok(Arc::new(plan))),
        Delta::Repository(Ok(Repository {
            name: "acme/shop".into(),
            branch: Some("feature/x".into()),
            label: Some("here".into()),
            ..Repository::default()
        })),
        Delta::Checks(checks),
    ]);
    console.runs(runs.iter().cloned());
    console.effects();
    console
}

/// The effects, except checks, log following and requests of the Detail panel.
fn actions(console: &mut Harness) -> Vec<Effect> {
    let background = |effect: &Effect| {
        matches!(
            effect,
            Effect::Preflight(PreflightEffect::Run(_)) | Effect::Detail(_) | Effect::Log(_)
        )
    };
    let effects = console.effects().into_iter();
    effects.filter(|effect| !background(effect)).collect()
}

/// Presses Enter and expects the preview of a push.
fn enter_previews_push(console: &mut Harness) {
    console.press("enter");
    let actions = actions(console);
    assert!(
        matches!(
            actions.as_slice(),
            [Effect::Preflight(PreflightEffect::PlanFix(_, Fix::Push))]
        ),
        "{actions:?}"
    );
    assert!(console.screen().contains("Preparing the fix"));
}

#[test]
fn launch_confirmation_lists_everything() {
    let mut console = given(&[], vec![]);
    console.press("n");
    assert!(
        console.screen().contains("all tasks without documents (2)"),
        "{}",
        console.screen()
    );
    console.press("ctrl-s");
    let question = console.screen();
    for fact in [
        "embedded, namespace default",
        "feature/x",
        "claude",
        "opus",
        "no limit",
        "your own account",
    ] {
        assert!(question.contains(fact), "{fact} is not in\n{question}");
    }
    assert_eq!(actions(&mut console), []);
    console.press("enter");
    let actions = actions(&mut console);
    let [Effect::Run(RunEffect::Launch(request, launch))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert!(request.contact_remote && launch.all && launch.agent.as_deref() == Some("claude"));
    assert_eq!(request.launch.tasks, ["2", "3"]);
}

#[test]
fn code_run_takes_documents_from_another_repository() {
    let mut console = given(&[], vec![]);
    // Kind; then tasks, agent, model, budget, service.
    console.press("n shift-tab right tab tab tab tab tab tab");
    console.type_text("https://git.example/docs");
    console.press("tab");
    console.type_text("main");
    console.press("tab");
    console.type_text("plans/shop");
    console.effects();
    console.press("tab");
    let effects = console.effects();
    let [Effect::Preflight(PreflightEffect::Run(request))] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let docs = [
        &request.launch.docs_repository,
        &request.launch.docs_branch,
        &request.launch.docs_directory,
    ];
    let docs = docs.map(|text| text.as_deref().unwrap_or_default());
    assert_eq!(docs, ["https://git.example/docs", "main", "plans/shop"]);
    console.press("ctrl-s");
    let question = console.screen();
    assert!(
        question.contains("https://git.example/docs, main, plans/shop"),
        "{question}"
    );
    console.press("enter");
    let actions = actions(&mut console);
    let [Effect::Run(RunEffect::Launch(_, launch))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(launch.docs_directory.as_deref(), Some("plans/shop"));
}

#[test]
fn ctrl_s_launches_from_every_field() {
    // Model, budget, user, prompt.
    for steps in [2, 3, 4, 7] {
        let mut console = given(&[], vec![]);
        console.press("n").press(&"tab ".repeat(steps));
        console.type_text("57");
        let form = console.screen();
        assert!(form.contains("57"), "no field after {steps}:\n{form}");
        assert!(form.contains("Ctrl-S launch"), "{form}");
        console.press("ctrl-s");
        let question = console.screen();
        assert!(question.contains("your own account"), "{question}");
    }
}

#[test]
fn pasted_line_breaks_are_kept_or_become_spaces() {
    const PASTED: &str = "one\r- two\r\nthree\n\rfour\r";
    let mut console = given(&[run("a", "Failed")], vec![]);
    console.press("n tab tab tab tab tab tab tab");
    console.send(Msg::Paste(PASTED.into()));
    console.press("ctrl-s enter");
    let launched = actions(&mut console);
    let [Effect::Run(RunEffect::Launch(_, launch))] = launched.as_slice() else {
        panic!("{launched:?}");
    };
    assert_eq!(launch.prompt.as_deref(), Some("one\n- two\nthree\n\nfour"));

    console.press("esc esc 2 a");
    console.send(Msg::Paste(PASTED.into())).press("ctrl-s");
    let added = actions(&mut console);
    let [Effect::Run(RunEffect::AddContext(added))] = added.as_slice() else {
        panic!("{added:?}");
    };
    assert_eq!(added.text, "one\n- two\nthree\n\nfour\n");

    // Filter of a list, search in a log, palette.
    for keys in ["1 /", "2 / esc 4 /", ":"] {
        let mut console = given(&[run("a", "Failed")], vec![]);
        console.press(keys).send(Msg::Paste(PASTED.into()));
        let screen = console.screen();
        assert!(screen.contains("one - two three  four"), "{keys}\n{screen}");
    }
}

#[test]
fn long_prompt_line_wraps() {
    let mut console = given(&[], vec![]);
    console.press("n tab tab tab tab tab tab tab");
    let long = format!("first {}last", "word ".repeat(20));
    console.send(Msg::Paste(long));
    let screen = console.screen();
    assert!(
        screen.contains("first word") && screen.contains("word last"),
        "{screen}"
    );
}

#[test]
fn text_dialog_follows_keymap() {
    let own = "[form]\n\"alt-l x\" = \"launch\"\n\"ctrl-s\" = \"none\"\n";
    let keymap = Keymap::overlaid(&[("mine.toml".into(), own.into())]).unwrap();
    let mut console = given(&[run("a", "Failed")], vec![]);
    console.model.keymap = Arc::new(keymap);
    console.press("2 a").type_text("Shorter").press("ctrl-s");
    assert_eq!(actions(&mut console), []);
    console.press("alt-l x");
    let added = flightdeck_verbs::AddContext::new("a".into(), "Shorter".into());
    assert_eq!(
        actions(&mut console),
        [Effect::Run(RunEffect::AddContext(added))]
    );
}

#[test]
fn form_starts_with_marked_tasks() {
    let mut console = given(&[], vec![]);
    console.press("j space space n ctrl-s y");
    let actions = actions(&mut console);
    let [Effect::Run(RunEffect::Launch(_, launch))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(
        (launch.tasks.as_slice(), launch.all),
        (["2".to_owned(), "3".to_owned()].as_slice(), false)
    );
}

#[test]
fn form_runs_checks_after_agent_or_user_changes() {
    let mut console = given(&[], vec![]);
    let asked = |console: &mut Harness| {
        let effects = console.effects().into_iter();
        let asked = effects.filter_map(|effect| match effect {
            Effect::Preflight(PreflightEffect::Run(request)) => {
                Some((request.launch.agent?, request.launch.github_user))
            }
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    console.press("n");
    asked(&mut console);
    console.press("tab right");
    assert_eq!(asked(&mut console), [("template".to_owned(), None)]);
    console.press("tab tab tab a d a");
    assert_eq!(asked(&mut console), [], "the name is incomplete");
    console.press("tab");
    let complete = ("template".to_owned(), Some("ada".to_owned()));
    assert_eq!(asked(&mut console), [complete]);
}

#[test]
fn failed_check_blocks_launch_and_enter_opens_fix() {
    let mut console = given(
        &[],
        vec![check("tasks-pushed", Level::Fail, Some(Fix::Push))],
    );
    console.press("n ctrl-s");
    let screen = console.screen();
    assert!(
        screen.contains("blocked by pre-flight") && screen.contains("message of tasks-pushed"),
        "{screen}"
    );
    assert_eq!(actions(&mut console), []);
    enter_previews_push(&mut console);
}

#[test]
fn override_needs_check_id_and_reason() {
    let mut console = given(&[], vec![check("base", Level::Fail, None)]);
    console
        .press("n shift-tab shift-tab shift-tab shift-tab")
        .type_text("base");
    console.press("ctrl-s");
    assert_eq!(actions(&mut console), [], "the reason is missing");
    // The blocked launch moved the focus to the check.
    console.press("tab tab").type_text("a demo").press("ctrl-s");
    assert!(
        console.screen().contains("base: a demo"),
        "{}",
        console.screen()
    );
    console.press("enter");
    let actions = actions(&mut console);
    let [Effect::Run(RunEffect::Launch(_, launch))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(
        (launch.overrides.as_slice(), launch.reason.as_deref()),
        (["base".to_owned()].as_slice(), Some("a demo"))
    );
}

#[test]
fn selects_launched_run_once_listed() {
    let mut console = given(&[run("old", "Succeeded")], vec![]);
    console.send(Msg::Done(Outcome::Launched("new".into())));
    assert_eq!(console.model.focus, PanelId::Tasks);
    console.runs([run("old", "Succeeded"), run("new", "Pending")]);
    assert_eq!(console.model.focus, PanelId::Runs);
    assert_eq!(
        console.model.runs.list.selected().map(String::as_str),
        Some("uid-new")
    );
}

#[test]
fn destructive_actions_ask_and_default_to_no() {
    for (keys, name, phase) in [
        ("2 K", "Stop", "Running"),
        ("2 D", "Delete", "Succeeded"),
        ("2 D", "stop it first", "Running"),
    ] {
        let mut console = given(&[run("a", phase)], vec![]);
        console.press(keys);
        assert!(
            console.screen().contains(name),
            "{keys}\n{}",
            console.screen()
        );
        console.press("enter");
        assert_eq!(actions(&mut console), [], "{keys}: Enter alone");
        console.press(keys).press("y");
        assert_eq!(actions(&mut console).len(), 1, "{keys}: y");
    }
}

#[test]
fn stop_and_retry_depend_on_phase() {
    for (keys, phase) in [("2 K", "Succeeded"), ("2 R", "Running"), ("1 K", "Running")] {
        let mut console = given(&[run("a", phase)], vec![]);
        console.press(keys);
        assert!(console.model.overlays.is_empty(), "{keys} {phase}");
    }
}

#[test]
fn cleanup_deletes_only_selected_after_confirmation() {
    let mut console = given(&[run("a", "Succeeded"), run("b", "Running")], vec![]);
    console.press("X");
    let screen = console.screen();
    assert!(screen.contains("0 of 1 selected"), "{screen}");
    console.press("enter");
    assert_eq!(actions(&mut console), [], "nothing is selected");
    console.press("space enter enter");
    assert_eq!(actions(&mut console), [], "the default is no");
    console.press("enter y");
    let actions = actions(&mut console);
    let [Effect::Cleanup(CleanupEffect::Delete(plan))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(plan.candidates[0].name, "a");
    let report = flightdeck_verbs::CleanReport {
        failed: vec![("a".into(), "the server said no".into())],
        ..flightdeck_verbs::CleanReport::default()
    };
    console.send(Msg::Done(Outcome::CleanupFinished(report)));
    assert!(
        console
            .screen()
            .contains("Failed to delete a: the server said no")
    );
}

#[test]
fn form_starts_with_account_and_budget_of_the_settings() {
    let mut console = given(&[], vec![]);
    let mut settings = flightdeck_host::settings::Settings::shipped();
    settings.defaults.github_user = "octocat".into();
    settings.defaults.budget_usd = "5".into();
    console.model.settings = Arc::new(settings);
    console.press("n ctrl-s");
    let screen = console.screen();
    assert!(screen.contains("$5"), "{screen}");
    console.press("y");
    let launched = actions(&mut console);
    let [Effect::Run(RunEffect::Launch(_, launch))] = launched.as_slice() else {
        panic!("{launched:?}");
    };
    assert_eq!(
        (launch.budget.as_deref(), launch.github_user.as_deref()),
        (Some("5"), Some("octocat"))
    );
}

#[test]
fn newest_run_is_selected_once_the_repository_is_known() {
    let mut console = Harness::new(140, 40);
    let mut foreign = run("foreign", "Running");
    foreign.spec.repository_url = "https://example.com/other.git".into();
    console.runs([foreign, run("old", "Succeeded"), run("new", "Failed")]);
    assert!(console.model.runs.list.rows().is_empty());
    console.world([Delta::Repository(Err("not in a git repository".into()))]);
    assert_eq!(console.model.runs.list.cursor(), 0);
    assert_eq!(console.model.runs.list.rows().len(), 3);
}

#[test]
fn follows_active_run_once() {
    let mut console = Harness::new(140, 40);
    console.world([Delta::Repository(Err("not in a git repository".into()))]);
    console.runs([run("a", "Running"), run("b", "Succeeded")]);
    console.runs([run("a", "Running"), run("b", "Succeeded")]);
    let followed = console
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Log(LogEffect::Follow(followed)) => Some(followed.name),
            _ => None,
        });
    assert_eq!(followed.collect::<Vec<_>>(), ["a"]);
}

#[test]
fn filter_applies_while_typing_and_esc_clears_it() {
    let mut console = given(&[], vec![]);
    console.press("/").type_text("proto");
    assert_eq!(console.model.tasks.list.rows(), ["2"]);
    assert!(console.screen().contains("1/3"));
    console.press("enter");
    assert_eq!(
        console.model.tasks.list.rows(),
        ["2"],
        "Enter keeps the filter"
    );
    console.press("esc");
    assert_eq!(console.model.tasks.list.rows().len(), 3);
}

#[test]
fn tab_completes_filter_and_empty_list_explains() {
    let mut console = given(&[], vec![]);
    console.press("/").type_text("st").press("tab");
    assert_eq!(console.model.tasks.filter.field.text(), "status:");
    console.type_text("d").press("tab enter");
    assert_eq!(console.model.tasks.filter.field.text(), "status:done ");
    assert_eq!(console.model.tasks.list.rows(), ["1", "1.1"]);
    console.press("/").type_text("zzz").press("enter");
    let screen = console.screen();
    assert!(
        screen.contains("No match for \"status:done zzz\" in 3 tasks"),
        "{screen}"
    );
}

#[test]
fn title_shows_sort_order() {
    let mut console = given(&[], vec![]);
    let mut seen: Vec<&str> = Vec::new();
    for _ in 0..6 {
        console.press("O");
        let screen = console.screen();
        let by = ["id", "priority", "status", "complexity", "documents"];
        let shown = by.iter().find(|by| screen.contains(&format!("by {by}")));
        seen.extend(shown);
    }
    assert_eq!(
        seen,
        ["id", "priority", "status", "complexity", "documents"]
    );
}

#[test]
fn broken_plan_keeps_list_and_links_to_error() {
    let mut console = given(&[], vec![]);
    console.press("j");
    let broken = PlanError {
        message: "tasks.json: line 3, column 9: not JSON".into(),
        position: Some(("/shop/.taskmaster/tasks/tasks.json".into(), 3, 9)),
    };
    console.world([Delta::Plan(Err(broken))]);
    let selected = console.model.tasks.list.selected().cloned();
    assert_eq!(selected.as_deref(), Some("2"), "the selection stays");
    let screen = console.screen();
    for words in ["line 3, column 9", "last good version", "Protobufs"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    console.effects();
    console.press("F enter");
    let edit = Effect::Terminal(TerminalEffect::Edit(
        "/shop/.taskmaster/tasks/tasks.json".into(),
        3,
    ));
    assert!(console.effects().contains(&edit));
}

#[test]
fn filter_line_never_hides_selected_row() {
    let mut console = given(&[], vec![]);
    let tasks: Vec<Value> = (1..=30)
        .map(|id| json!({ "id": id, "title": format!("Step {id}"), "status": "pending" }))
        .collect();
    let plan = json!({ "master": { "tasks": tasks } }).to_string();
    console.world([new_plan(&plan, "master")]);
    console.send(Msg::Resize(60, 15));
    console.press("G");
    for key in ["", "/"] {
        console.press(key);
        let screen = console.screen();
        let area = console.model.areas().unwrap().panel(PanelId::Tasks).outer;
        let rows: Vec<&str> = screen
            .lines()
            .skip(area.y.into())
            .take(area.height.into())
            .collect();
        assert!(
            !rows.iter().any(|row| row.contains("Step 1 ")),
            "not scrolled:\n{screen}"
        );
        assert!(
            rows.iter().any(|row| row.contains("Step 30")),
            "{key:?}:\n{screen}"
        );
    }
}

#[test]
fn refresh_retries_unreachable_cluster() {
    let mut console = given(&[], vec![]);
    let again = console.model.now + jiff::SignedDuration::from_secs(8);
    console.world([Delta::Unreachable("connection refused".into(), again)]);
    let screen = console.screen();
    assert!(
        screen.contains("retry in 8s") && screen.contains("connection refused"),
        "{screen}"
    );
    let next = console.model.next_wake().expect("a countdown");
    assert_eq!(next.duration_since(console.model.now).as_secs(), 1);
    console.effects();
    console.press("ctrl-r");
    assert!(console.effects().contains(&ConnectionEffect::Retry.into()));
}

#[test]
fn shows_age_of_remote_facts() {
    let mut console = given(&[], vec![]);
    let now = console.model.now;
    let repository = |ago: i64, offline| Repository {
        branch: Some("feature/x".into()),
        as_of: Some(now - jiff::SignedDuration::from_secs(ago)),
        offline,
        ..Repository::default()
    };
    console.world([Delta::Repository(Ok(repository(30, false)))]);
    assert!(!console.screen().contains("fetched"));
    console.world([Delta::Repository(Ok(repository(725, true)))]);
    assert!(console.screen().contains("offline, last seen 12m ago"));
    let next = console.model.next_wake().expect("the age changes");
    assert_eq!(next.duration_since(console.model.now).as_secs(), 55);
    console.send(Msg::Tick(next));
    assert!(console.screen().contains("last seen 13m ago"));
}

#[test]
fn detail_explains_selected_check() {
    let mut failing = check("tasks-pushed", Level::Fail, Some(Fix::Push));
    failing.explanation = "Because pods clone.".into();
    let mut console = given(&[], vec![failing]);
    console.press("3");
    let screen = console.screen();
    assert!(
        screen.contains("Because pods clone.") && screen.contains("Blocks launch"),
        "{screen}"
    );
}

#[test]
fn fix_opens_from_detail_panel() {
    let failing = check("tasks-pushed", Level::Fail, Some(Fix::Push));
    let mut console = given(&[], vec![failing]);
    console.press("3 4");
    console.effects();
    enter_previews_push(&mut console);
}

#[test]
fn form_shows_plan_differences() {
    // The plans have diverged, so there is no fix.
    let mut console = given(&[], vec![check("tasks-pushed", Level::Fail, None)]);
    let read = |plan: &str| flightdeck_core::tasks::read(plan.as_bytes()).unwrap();
    let theirs = read(r#"{"master":{"tasks":[{"id":1,"title":"Initialize Express"}]}}"#);
    let (theirs, mine) = (theirs.tags[0].clone(), read(PLAN).tags[0].clone());
    let compared = PlanComparison {
        remote_branch: "origin/feature/x".into(),
        comparison: flightdeck_core::tasks::compare(&theirs, &mine),
    };
    console.world([Delta::PlanComparison(Some(Arc::new(compared)))]);
    console.press("n");
    let screen = console.screen();
    assert!(
        screen.contains("2 added, 1 changed compared with origin/feature/x"),
        "{screen}"
    );
    console.press("tab tab tab tab tab tab tab tab enter");
    let screen = console.screen();
    assert!(
        screen.contains("+ 2 Protobufs (only in your plan)") && screen.contains("~ 1 Setup: "),
        "{screen}"
    );
    console.press("esc");
    console.world([Delta::PlanComparison(None)]);
    assert!(!console.screen().contains("2 added"));
}

#[test]
fn header_shows_non_default_tag() {
    let mut console = given(&[], vec![]);
    let header = |console: &Harness| console.screen().lines().next().unwrap().to_owned();
    assert!(!header(&console).contains("tag"), "{}", header(&console));
    console.world([new_plan(&PLAN.replace("master", "mvp"), "mvp")]);
    assert!(header(&console).contains("tag mvp"), "{}", header(&console));
}

#[test]
fn sets_picked_status_and_reports_it() {
    let mut console = given(&[], vec![]);
    console.press("j T");
    let screen = console.screen();
    assert!(
        screen.contains("Status of 2 Protobufs") && screen.contains("current"),
        "{screen}"
    );
    console.effects();
    console.type_text("done").press("enter");
    let wanted = flightdeck_verbs::SetStatus {
        id: "2".into(),
        status: "done".into(),
        tag: Some("master".into()),
        file: Some("/shop/.taskmaster/tasks/tasks.json".into()),
    };
    assert_eq!(
        actions(&mut console),
        [PlanEffect::SetStatus(vec![wanted]).into()]
    );
    console.send(Msg::Done(Outcome::StatusSet(vec![StatusChange {
        id: "2".into(),
        title: "Protobufs".into(),
        old: Status::Pending,
        new: Status::Done,
    }])));
    let screen = console.screen();
    assert!(
        screen.contains("Task 2: pending → done (uncommitted)"),
        "{screen}"
    );
}

#[test]
fn sets_status_of_marked_tasks() {
    let mut console = given(&[], vec![]);
    console.press("j space space T");
    assert!(console.screen().contains("Status of 2 tasks"));
    console.effects();
    console.type_text("defer").press("enter");
    let actions = actions(&mut console);
    let [Effect::Plan(PlanEffect::SetStatus(verbs))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    let given: Vec<(&str, &str)> = verbs
        .iter()
        .map(|verb| (verb.id.as_str(), verb.status.as_str()))
        .collect();
    assert_eq!(given, [("2", "deferred"), ("3", "deferred")]);
}

#[test]
fn lists_dependencies_and_enter_goes_to_task() {
    let mut console = given(&[], vec![]);
    console.press("G b");
    let screen = console.screen();
    assert!(
        screen.contains("blocked by") && screen.contains("Protobufs"),
        "{screen}"
    );
    console.press("enter");
    assert_eq!(
        console.model.tasks.list.selected().map(String::as_str),
        Some("2")
    );
    console.press("b");
    assert!(console.screen().contains("blocks"));
}

#[test]
fn esc_asks_before_aborting_a_fix() {
    let mut console = given(
        &[],
        vec![check("tasks-pushed", Level::Fail, Some(Fix::Push))],
    );
    console.press("3 enter");
    let begins = Progress::Started("git push origin x".into());
    console.send(Msg::Done(Outcome::FixProgress(begins)));
    console.effects();
    console.press("esc");
    assert!(console.screen().contains("Abort?"));
    assert_eq!(actions(&mut console), [], "asks first");
    console.press("enter");
    assert!(console.screen().contains("Running ..."), "continues");
    console.press("esc esc esc");
    assert_eq!(
        actions(&mut console),
        [PreflightEffect::CancelFix.into()],
        "once"
    );
    let failure = FixFailure {
        why: "cancelled".into(),
        offers: None,
    };
    console.send(Msg::Done(Outcome::FixFinished(Err(failure))));
    assert!(console.screen().contains("cancelled"));
    console.press("esc");
    assert!(console.model.overlays.is_empty());
}

#[test]
fn failed_fix_offers_another() {
    let mut console = given(
        &[],
        vec![check("tasks-pushed", Level::Fail, Some(Fix::Push))],
    );
    console.press("3 enter");
    let failure = FixFailure {
        why: "the branch is protected".into(),
        offers: Some(Fix::Switch),
    };
    console.send(Msg::Done(Outcome::FixFinished(Err(failure))));
    assert!(console.screen().contains("to a new branch"));
    console.effects();
    console.press("enter");
    let planned = console.effects().into_iter().any(|effect| {
        matches!(
            effect,
            Effect::Preflight(PreflightEffect::PlanFix(_, Fix::Switch))
        )
    });
    assert!(planned, "shows the commands first");
}

#[test]
fn lists_git_commands_with_results() {
    let mut console = given(&[], vec![]);
    console.press("@");
    assert!(console.screen().contains("No commands yet"));
    let began = console.model.now;
    console.world([Delta::CommandRan(Arc::new(CommandRecord {
        argv: vec!["git".into(), "push".into()],
        command: "git push origin feature/x".into(),
        directory: "/shop".into(),
        began,
        took: std::time::Duration::from_millis(1_250),
        end: CommandOutcome::Exited(1),
        output: "remote: no\u{1b}[2J\n".into(),
    }))]);
    let screen = console.screen();
    for words in ["git push origin feature/x", "1.2s", "exit 1", "remote: no"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    assert!(!screen.contains('\u{1b}'));
}

#[test]
fn selection_survives_expanding_subtasks() {
    let mut console = given(&[], vec![]);
    console.press("x j");
    assert_eq!(
        console.model.tasks.list.selected().map(String::as_str),
        Some("1.1")
    );
    console.press("x");
    assert_eq!(
        console.model.tasks.list.selected().map(String::as_str),
        Some("1")
    );
}

#[test]
fn scrolls_to_expanded_subtasks() {
    let mut console = given(&[], vec![]);
    let task = |id: usize, below: Value| json!({"id": id, "title": "A task", "status": "pending", "priority": "low", "dependencies": [], "subtasks": below});
    let below = ["Crates", "Lints"].into_iter().enumerate();
    let below = below.map(|(at, title)| {
        json!({"id": at + 1, "title": title, "status": "pending", "dependencies": []})
    });
    let mut tasks: Vec<Value> = (1..60).map(|id| task(id, json!([]))).collect();
    tasks.push(task(60, below.collect()));
    let plan = json!({"master": {"tasks": tasks}}).to_string();
    console.world([new_plan(&plan, "master")]);
    console.press("1 G");
    let before = console.model.tasks.list.visible();
    console.press("x");
    assert_eq!(console.model.tasks.list.visible().end, before.end + 2);
    assert!(console.screen().contains("Lints"), "{}", console.screen());
}

#[test]
fn ctrl_c_asks_and_quits_the_second_time() {
    let mut console = given(&[], vec![]);
    console.press("ctrl-c");
    assert_eq!(actions(&mut console), []);
    console.press("ctrl-c");
    assert_eq!(actions(&mut console), [TerminalEffect::Quit.into()]);
}

#[test]
fn static_screen_never_wakes() {
    let mut console = given(&[run("a", "Succeeded")], vec![]);
    console.press("2");
    assert_eq!(console.model.next_wake(), None);
    console.runs([run("a", "Running")]);
    assert!(console.model.next_wake().is_some());
}

#[test]
fn escapes_untrusted_text() {
    let mut hostile = run("a", "Failed");
    hostile.status.message = Some("\u{1b}]0;owned\u{7} \u{202e}txt".into());
    let console = given(&[hostile], vec![]);
    let screen = console.screen();
    assert!(
        !screen.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{screen}"
    );
}

#[test]
fn draws_every_screen_at_every_size() {
    let checks = || {
        vec![
            check("tasks-pushed", Level::Fail, Some(Fix::Push)),
            check("base", Level::Warn, None),
        ]
    };
    for (width, height) in [(1, 1), (60, 15), (80, 24), (119, 20), (140, 40), (300, 100)] {
        for keys in [
            "",
            "n",
            "n tab tab tab tab",
            "?",
            ":",
            "2 K",
            "X",
            "3 enter",
            "t",
            "4",
            "z",
            "/",
            "2 m",
            "F",
            "3 d",
            "T",
            "b",
            "@",
        ] {
            let mut console = given(&[run("a", "Running"), run("b", "Failed")], checks());
            console.send(Msg::Resize(width, height));
            console.press(keys);
            let screen = console.screen();
            assert_eq!(
                screen.lines().count(),
                usize::from(height),
                "{width}x{height} {keys}"
            );
        }
    }
}

#[test]
fn cleanup_without_a_remote_offers_only_all_repositories() {
    let mut console = given(&[run("docs-there", "Failed")], vec![]);
    console.world([Delta::Repository(Ok(Repository {
        name: "shop".into(),
        ..Repository::default()
    }))]);
    console.press("2");
    assert!(console.screen().contains("all repositories"));
    console.press("X");
    let screen = console.screen();
    assert!(screen.contains("This repository has no remote"), "{screen}");
    assert!(screen.contains("0 of 0 selected"), "{screen}");
    console.press("A");
    let screen = console.screen();
    assert!(screen.contains("Clean up: all repositories"), "{screen}");
    assert!(screen.contains("0 of 1 selected"), "{screen}");
}

#[test]
fn cleanup_marks_only_runs_of_this_repository() {
    let mut there = run("docs-there", "Failed");
    let label = (naming::LABEL_REPOSITORY.to_owned(), "there".to_owned());
    there.metadata.labels = Some([label].into());
    there.status.finished_at = Some("2020-01-01T00:00:00Z".into());
    let mut here = run("docs-here", "Failed");
    here.status.finished_at = Some("2020-01-01T00:00:00Z".into());
    let mut console = given(&[there, here], vec![]);
    console.press("2 X");
    assert!(console.screen().contains("1 of 1 selected"));
    console.press("A");
    assert!(console.screen().contains("1 of 2 selected"));
}
