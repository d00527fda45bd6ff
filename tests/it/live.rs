//! The plan on screen while other programs write the file: edits, partial writes, deletion and restoration.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tempfile::TempDir;

use crate::{
    screen::Screen,
    support::{corpus, git, sample_project},
};
use flightdeck_console::{
    ConsoleOptions,
    harness::Harness,
    keymap::Keymap,
    model::PanelId,
    theme::Theme,
    world::{Delta, Plan, PlanError},
};
use flightdeck_core::tasks;
use flightdeck_host::settings::Settings;

const SIZE: (u16, u16) = (140, 40);

/// A project, with a console that never reaches a cluster.
struct Session {
    _directory: TempDir,
    plan: PathBuf,
    screen: Screen,
}

impl Session {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = fs::canonicalize(directory.path()).unwrap().join("project");
        sample_project(&project);
        let options = ConsoleOptions {
            start: project.clone(),
            connect: Arc::new(|| std::future::pending().boxed()),
            settings: Arc::new(Settings::shipped()),
            keymap: Arc::new(Keymap::shipped()),
            theme: Theme::shipped("dark"),
            ledger: None,
        };
        Self {
            _directory: directory,
            plan: project.join(".taskmaster/tasks/tasks.json"),
            screen: Screen::open(options, SIZE.0, SIZE.1),
        }
    }

    /// Replaces the plan atomically, as editors, git and Task Master do.
    fn replace(&self, bytes: impl AsRef<[u8]>) {
        let temporary = self.plan.with_extension("new");
        fs::write(&temporary, bytes).unwrap();
        fs::rename(&temporary, &self.plan).unwrap();
    }
}

/// A plan of `tasks` pending tasks, with a given title for one of them.
fn plan(tasks: usize, (at, title): (usize, &str)) -> String {
    let tasks = (1..=tasks).map(|id| {
        let title = if id == at {
            title.to_owned()
        } else {
            format!("Task number {id}")
        };
        serde_json::json!({ "id": id, "title": title, "status": "pending", "priority": "medium", "dependencies": [] })
    });
    let tasks: Vec<_> = tasks.collect();
    serde_json::to_string_pretty(&serde_json::json!({ "master": { "tasks": tasks } })).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_edits_and_keeps_selection() {
    let mut session = Session::open();
    session.replace(plan(80, (60, "The sixtieth")));
    session.screen.wait_for("80 ready").await;
    session
        .screen
        .press("G k k k k")
        .wait_for("76 Task number 76")
        .await;
    let before = session.screen.text();
    let row = |text: &str| {
        text.lines()
            .position(|line| line.contains("Task number 76"))
    };
    let mut quickest = Duration::MAX;
    for (round, title) in ["One edit", "Another edit", "A third edit"]
        .iter()
        .enumerate()
    {
        let began = Instant::now();
        // Each edit changes a task above the selection.
        session.replace(plan(80, (70 + round, title)));
        session.screen.wait_for(title).await;
        quickest = quickest.min(began.elapsed());
    }
    let after = session.screen.text();
    assert_eq!(row(&after), row(&before), "the rows moved:\n{after}");
    assert!(
        after.contains("76 Task number 76"),
        "the selection moved:\n{after}"
    );
    // Generous: about a second on an idle machine.
    assert!(quickest < Duration::from_secs(5), "{quickest:?}");
    println!("edit shown after {quickest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_or_missing_file_keeps_list() {
    let mut session = Session::open();
    let whole = plan(5, (3, "The third"));
    session.replace(&whole);
    session
        .screen
        .wait_for("5 ready")
        .await
        .wait_for("The third")
        .await;
    // A non-atomic write that stops half-way.
    fs::write(&session.plan, &whole[..whole.len() / 2]).unwrap();
    session
        .screen
        .wait_for("last good version")
        .await
        .wait_for("tasks.json: line ")
        .await;
    assert!(session.screen.text().contains("The third"));
    session
        .screen
        .press("F")
        .wait_for("Findings")
        .await
        .press("esc");

    session.replace(plan(5, (3, "The third again")));
    session
        .screen
        .wait_for("The third again")
        .await
        .wait_gone("last good version")
        .await;

    fs::remove_file(&session.plan).unwrap();
    session.screen.wait_for("last good version").await;
    assert!(session.screen.text().contains("The third again"));
    session.replace(plan(6, (3, "The third is back")));
    session
        .screen
        .wait_for("The third is back")
        .await
        .wait_gone("last good version")
        .await;

    // The directory may vanish too, as after a switch to another branch.
    let folder = session.plan.parent().unwrap().parent().unwrap().to_owned();
    let aside = folder.with_extension("aside");
    fs::rename(&folder, &aside).unwrap();
    session.screen.wait_for("last good version").await;
    fs::rename(&aside, &folder).unwrap();
    session.screen.wait_gone("last good version").await;
    session.replace(plan(7, (3, "Still watched")));
    session.screen.wait_for("Still watched").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_missing_tag_and_remaining_ones() {
    let mut session = Session::open();
    session.replace(
        r#"{"master":{"tasks":[{"id":1,"title":"Of master"}]},"mvp":{"tasks":[{"id":1,"title":"Of mvp"},{"id":2,"title":"Ship","status":"done"}]}}"#,
    );
    session.screen.wait_for("Of master").await;
    session.screen.press("t").wait_for("1/2 done").await;
    session.screen.press("down enter").wait_for("Of mvp").await;
    session.replace(r#"{"master":{"tasks":[{"id":1,"title":"Of master"}]}}"#);
    session
        .screen
        .wait_for("No tag mvp in tasks.json. Available tags: master.")
        .await;
    session.screen.press("t").wait_for("Tags").await;
    session.screen.press("enter").wait_for("Of master").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_and_resets_status_in_file() {
    let mut session = Session::open();
    let before = fs::read_to_string(&session.plan).unwrap();
    session.screen.wait_for("plan in sync").await;
    session.screen.press("T").wait_for("Status of 1").await;
    session
        .screen
        .press("d o n e enter")
        .wait_for("Task 1: pending → done")
        .await
        .wait_for("plan differs from origin")
        .await;
    let changed = fs::read_to_string(&session.plan).unwrap();
    let wanted = before.replacen("\"pending\"", "\"done\"", 1);
    assert_eq!(changed, wanted, "only that value changed");
    session.screen.press("T").wait_for("Status of 1").await;
    session
        .screen
        .press("p e n d enter")
        .wait_for("Task 1: done → pending")
        .await
        .wait_for("plan in sync")
        .await;
    assert_eq!(fs::read_to_string(&session.plan).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_push_offers_new_branch() {
    let mut session = Session::open();
    let project = session.plan.ancestors().nth(3).unwrap().to_owned();
    let origin = project.with_extension("git");
    let hook = origin.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(
        &hook,
        "#!/bin/sh\nwhile read old new ref; do\n  case $ref in refs/heads/feature/plan) echo \"GH006: Protected branch update failed for $ref.\" >&2; exit 1;; esac\ndone\n",
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    session.replace(plan(3, (2, "The second")));
    session.screen.wait_for("plan differs from origin").await;
    session
        .screen
        .press("3 j enter")
        .wait_for("Commands:")
        .await;
    session
        .screen
        .press("enter")
        .wait_for("Protected branch update failed")
        .await
        .wait_for("to a new branch")
        .await;
    session.screen.press("enter").wait_for("Commands:").await;
    session.screen.press("enter").wait_for("Done.").await;
    session
        .screen
        .press("esc")
        .wait_for("flightdeck/plan-project")
        .await
        .wait_for("plan in sync")
        .await;
    let pushed = git(
        &origin,
        &[
            "show",
            "refs/heads/flightdeck/plan-project:.taskmaster/tasks/tasks.json",
        ],
    );
    assert!(pushed.contains("The second"), "{pushed}");
    session
        .screen
        .press("@")
        .wait_for("Git commands")
        .await
        .wait_for("exit 1")
        .await;
}

/// Cuts the Tasks panel out of a screen.
fn panel(screen: &str, console: &Harness) -> String {
    let areas = console.model.areas().unwrap();
    let area = areas.panel(PanelId::Tasks).outer;
    let rows = screen.lines().skip(area.y.into()).take(area.height.into());
    rows.map(|row| {
        let row: String = row.chars().take(area.width.into()).collect();
        row.trim_end().to_owned() + "\n"
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_history_of_real_plans() {
    let Some(folder) = corpus("follows_history_of_real_plans", "history") else {
        return;
    };
    let mut projects: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    projects.sort();
    for project in projects {
        let mut versions: Vec<PathBuf> = fs::read_dir(&project)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        versions.sort();
        replay(&versions).await;
    }
}

/// Reads a plan as the console does. Some versions were committed broken; the console then shows the last good one with an
/// error.
fn shown(path: &Path, bytes: &[u8]) -> Result<Arc<Plan>, PlanError> {
    let file = tasks::read(bytes)
        .map_err(|error| PlanError::from(format!(".taskmaster/tasks/tasks.json: {error}")))?;
    let plan = Plan::new(path.into(), file, "master".into(), HashMap::default());
    Ok(Arc::new(plan))
}

/// Replays the versions in a running console and in the pure one, and compares their screens.
async fn replay(versions: &[PathBuf]) {
    let mut session = Session::open();
    let mut expected = Harness::new(SIZE.0, SIZE.1);
    session.screen.wait_for("Lay the foundation").await;
    let first = shown(&session.plan, &fs::read(&session.plan).unwrap());
    expected.world([Delta::Plan(first)]);
    for (round, version) in versions.iter().enumerate() {
        let bytes = fs::read(version).unwrap();
        session.replace(&bytes);
        let known = shown(&session.plan, &bytes);
        expected.world([Delta::Plan(known)]);
        let wanted = panel(&expected.screen(), &expected);
        let name = version.file_name().unwrap().display();
        session
            .screen
            .until(&format!("{name}:\n{wanted}"), |screen| {
                panel(screen, &expected) == wanted
            })
            .await;
        if round == 0 {
            expected.press("j j");
            session.screen.press("j j");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_cluster_by_backoff_and_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let project = fs::canonicalize(directory.path()).unwrap().join("project");
    sample_project(&project);
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let options = ConsoleOptions {
        start: project,
        connect: Arc::new(move || {
            let before = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move { Err(format!("refused, attempt {}", before + 1)) }.boxed()
        }),
        settings: Arc::new(Settings::shipped()),
        keymap: Arc::new(Keymap::shipped()),
        theme: Theme::shipped("dark"),
        ledger: None,
    };
    let mut screen = Screen::open(options, SIZE.0, SIZE.1);
    screen
        .wait_for("refused, attempt 1")
        .await
        .wait_for("no cluster, retry in")
        .await;
    screen.press("ctrl-r").wait_for("refused, attempt 2").await;
    // By backoff, too.
    screen.wait_for("refused, attempt 3").await;
    screen.press("q");
    screen.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resumes_after_suspend_and_editor() {
    let mut session = Session::open();
    session.screen.wait_for("Lay the foundation").await;
    session
        .screen
        .press("ctrl-z j")
        .wait_for("2 Raise the walls")
        .await;
    // The editor fails without a terminal; the console must continue.
    session.screen.press("e").wait_for("cannot start").await;
    session
        .screen
        .press("k")
        .wait_for("1 Lay the foundation")
        .await;
    session.screen.press("q");
    session.screen.ended().await;
}
