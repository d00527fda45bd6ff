//! The plan on the screen while other programs write it: edits, half-written files, a file that goes and comes back.

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

/// A project, and a console that looks at it and never gets a cluster.
struct Desk {
    _directory: TempDir,
    plan: PathBuf,
    screen: Screen,
}

impl Desk {
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

    /// As editors, git and Task Master do: another file takes its place.
    fn replace(&self, bytes: impl AsRef<[u8]>) {
        let temporary = self.plan.with_extension("new");
        fs::write(&temporary, bytes).unwrap();
        fs::rename(&temporary, &self.plan).unwrap();
    }
}

/// A plan of so many pending tasks, one of them with another title.
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
async fn an_edit_by_another_program_is_on_the_screen_and_the_selection_stays() {
    let mut desk = Desk::open();
    desk.replace(plan(80, (60, "The sixtieth")));
    desk.screen.wait_for("80 ready").await;
    desk.screen
        .press("G k k k k")
        .wait_for("76 Task number 76")
        .await;
    let before = desk.screen.text();
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
        // A task more above the selection each time, too.
        desk.replace(plan(80, (70 + round, title)));
        desk.screen.wait_for(title).await;
        quickest = quickest.min(began.elapsed());
    }
    let after = desk.screen.text();
    assert_eq!(row(&after), row(&before), "nothing moved:\n{after}");
    assert!(
        after.contains("76 Task number 76"),
        "still selected:\n{after}"
    );
    // Generous: what is promised is a second on a machine that is not busy.
    assert!(quickest < Duration::from_secs(5), "{quickest:?}");
    println!("an edit was on the screen after {quickest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_or_missing_file_never_blanks_the_list() {
    let mut desk = Desk::open();
    let whole = plan(5, (3, "The third"));
    desk.replace(&whole);
    desk.screen
        .wait_for("5 ready")
        .await
        .wait_for("The third")
        .await;
    // In place, as a program that does not care writes it, and then stops half-way.
    fs::write(&desk.plan, &whole[..whole.len() / 2]).unwrap();
    desk.screen
        .wait_for("last good version")
        .await
        .wait_for("tasks.json: line ")
        .await;
    assert!(desk.screen.text().contains("The third"));
    desk.screen
        .press("F")
        .wait_for("Findings")
        .await
        .press("esc");

    desk.replace(plan(5, (3, "The third again")));
    desk.screen
        .wait_for("The third again")
        .await
        .wait_gone("last good version")
        .await;

    fs::remove_file(&desk.plan).unwrap();
    desk.screen.wait_for("last good version").await;
    assert!(desk.screen.text().contains("The third again"));
    desk.replace(plan(6, (3, "The third is back")));
    desk.screen
        .wait_for("The third is back")
        .await
        .wait_gone("last good version")
        .await;

    // Even the folder may go: a branch without it was switched to, and back.
    let folder = desk.plan.parent().unwrap().parent().unwrap().to_owned();
    let aside = folder.with_extension("aside");
    fs::rename(&folder, &aside).unwrap();
    desk.screen.wait_for("last good version").await;
    fs::rename(&aside, &folder).unwrap();
    desk.screen.wait_gone("last good version").await;
    desk.replace(plan(7, (3, "Still watched")));
    desk.screen.wait_for("Still watched").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_vanishes_is_named_with_those_that_are_left() {
    let mut desk = Desk::open();
    desk.replace(
        r#"{"master":{"tasks":[{"id":1,"title":"Of master"}]},"mvp":{"tasks":[{"id":1,"title":"Of mvp"},{"id":2,"title":"Ship","status":"done"}]}}"#,
    );
    desk.screen.wait_for("Of master").await;
    desk.screen.press("t").wait_for("1/2 done").await;
    desk.screen.press("down enter").wait_for("Of mvp").await;
    desk.replace(r#"{"master":{"tasks":[{"id":1,"title":"Of master"}]}}"#);
    desk.screen
        .wait_for("The file has no tag \"mvp\". It has: master.")
        .await;
    desk.screen.press("t").wait_for("Tags").await;
    desk.screen.press("enter").wait_for("Of master").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_set_in_the_file_and_set_back_again() {
    let mut desk = Desk::open();
    let before = fs::read_to_string(&desk.plan).unwrap();
    desk.screen.wait_for("tasks.json = origin").await;
    desk.screen.press("T").wait_for("Status of 1").await;
    desk.screen
        .press("d o n e enter")
        .wait_for("1 is done, was pending")
        .await
        .wait_for("tasks.json ≠ origin")
        .await;
    let changed = fs::read_to_string(&desk.plan).unwrap();
    let wanted = before.replacen("\"pending\"", "\"done\"", 1);
    assert_eq!(changed, wanted, "that value and nothing else");
    desk.screen.press("T").wait_for("Status of 1").await;
    desk.screen
        .press("p e n d enter")
        .wait_for("1 is pending, was done")
        .await
        .wait_for("tasks.json = origin")
        .await;
    assert_eq!(fs::read_to_string(&desk.plan).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_leads_to_a_branch_of_its_own() {
    let mut desk = Desk::open();
    let project = desk.plan.ancestors().nth(3).unwrap().to_owned();
    let origin = project.with_extension("git");
    let hook = origin.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(
        &hook,
        "#!/bin/sh\nwhile read old new ref; do\n  case $ref in refs/heads/feature/plan) echo \"GH006: Protected branch update failed for $ref.\" >&2; exit 1;; esac\ndone\n",
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    desk.replace(plan(3, (2, "The second")));
    desk.screen.wait_for("tasks.json ≠ origin").await;
    desk.screen
        .press("3 j enter")
        .wait_for("This will be run")
        .await;
    desk.screen
        .press("enter")
        .wait_for("Protected branch update failed")
        .await
        .wait_for("a branch of its own")
        .await;
    desk.screen
        .press("enter")
        .wait_for("This will be run")
        .await;
    desk.screen.press("enter").wait_for("Done.").await;
    desk.screen
        .press("esc")
        .wait_for("flightdeck/plan-project")
        .await
        .wait_for("tasks.json = origin")
        .await;
    let pushed = git(
        &origin,
        &[
            "show",
            "refs/heads/flightdeck/plan-project:.taskmaster/tasks/tasks.json",
        ],
    );
    assert!(pushed.contains("The second"), "{pushed}");
    desk.screen
        .press("@")
        .wait_for("Commands run for you")
        .await
        .wait_for("exit 1")
        .await;
}

/// What the Tasks panel shows of a whole screen.
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
async fn the_history_of_real_plans_is_followed_version_by_version() {
    let Some(folder) = corpus(
        "the_history_of_real_plans_is_followed_version_by_version",
        "history",
    ) else {
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

/// What the console is told of a file with these bytes. Some versions were committed broken: then the last good one stays, with what
/// is wrong above it.
fn shown(path: &Path, bytes: &[u8]) -> Result<Arc<Plan>, PlanError> {
    let file = tasks::read(bytes)
        .map_err(|error| PlanError::from(format!(".taskmaster/tasks/tasks.json: {error}")))?;
    let plan = Plan::new(path.into(), file, "master".into(), HashMap::default());
    Ok(Arc::new(plan))
}

/// Gives the versions to a real console one after the other, and to the pure one beside it: the two show the same.
async fn replay(versions: &[PathBuf]) {
    let mut desk = Desk::open();
    let mut expected = Harness::new(SIZE.0, SIZE.1);
    desk.screen.wait_for("Lay the foundation").await;
    let first = shown(&desk.plan, &fs::read(&desk.plan).unwrap());
    expected.world([Delta::Plan(first)]);
    for (round, version) in versions.iter().enumerate() {
        let bytes = fs::read(version).unwrap();
        desk.replace(&bytes);
        let known = shown(&desk.plan, &bytes);
        expected.world([Delta::Plan(known)]);
        let wanted = panel(&expected.screen(), &expected);
        let name = version.file_name().unwrap().display();
        desk.screen
            .until(&format!("{name}:\n{wanted}"), |screen| {
                panel(screen, &expected) == wanted
            })
            .await;
        if round == 0 {
            expected.press("j j");
            desk.screen.press("j j");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_at_first_is_tried_again_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let project = fs::canonicalize(directory.path()).unwrap().join("project");
    sample_project(&project);
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let options = ConsoleOptions {
        start: project,
        connect: Arc::new(move || {
            let before = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move { Err(format!("refused the {}. time", before + 1)) }.boxed()
        }),
        settings: Arc::new(Settings::shipped()),
        keymap: Arc::new(Keymap::shipped()),
        theme: Theme::shipped("dark"),
        ledger: None,
    };
    let mut screen = Screen::open(options, SIZE.0, SIZE.1);
    screen
        .wait_for("refused the 1. time")
        .await
        .wait_for("no cluster, again in")
        .await;
    screen.press("ctrl-r").wait_for("refused the 2. time").await;
    // By itself, too.
    screen.wait_for("refused the 3. time").await;
    screen.press("q");
    screen.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_goes_on_after_the_shell_and_after_an_editor() {
    let mut desk = Desk::open();
    desk.screen.wait_for("Lay the foundation").await;
    desk.screen
        .press("ctrl-z j")
        .wait_for("2 Raise the walls")
        .await;
    // There is no terminal to lend here; what matters is what comes after.
    desk.screen.press("e").wait_for("cannot be started").await;
    desk.screen
        .press("k")
        .wait_for("1 Lay the foundation")
        .await;
    desk.screen.press("q");
    desk.screen.ended().await;
}
