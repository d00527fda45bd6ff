//! Stories: simulated key presses, the real event loop, and the embedded cluster with its controller and real processes.

use std::{fs, path::PathBuf, sync::Arc};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::runtime::wait::await_condition;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    screen::Screen,
    support::{git, no_process_stays_below, sample_project},
};
use flightdeck::daemon::{Engine, Options, StandInFile};
use flightdeck_core::runs::{Phase, Run, naming};
use flightdeck_host::{
    cluster,
    ledger::Ledger,
    settings::{Paths, Settings},
};
use flightdeck_verbs::ClusterContext;

/// A project with a plan of two tasks, and a cluster.
struct World {
    directory: TempDir,
    project: PathBuf,
    paths: Paths,
    settings: Settings,
    engine: Option<Engine>,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Applies `prepare` to the settings and folders before the cluster starts.
    async fn with(prepare: impl FnOnce(&mut Self)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let project = root.join("project");
        sample_project(&project);
        let own = (
            "config.toml".to_owned(),
            "[defaults]\nagent = \"template\"".to_owned(),
        );
        let mut world = Self {
            project,
            paths: Paths::below(&root.join("home")),
            settings: Settings::from_layers(&[own]).unwrap(),
            engine: None,
            directory,
        };
        prepare(&mut world);
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_flightdeck"));
        let options = Options::of_this_process(&self.paths, &self.settings, &program);
        self.engine = Some(Engine::start(options).await.unwrap());
    }

    /// Stops controller and cluster and starts them again, like a killed server that comes back.
    async fn restart(&mut self) {
        self.engine.take().unwrap().stop().await;
        self.start().await;
    }

    fn client(&self) -> Client {
        self.engine.as_ref().unwrap().client()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.paths.ledger).unwrap()
    }

    fn console(&self) -> Screen {
        self.console_of_size(140, 40)
    }

    fn console_of_size(&self, width: u16, height: u16) -> Screen {
        Screen::on_embedded(
            self.client(),
            self.project.clone(),
            self.settings.clone(),
            self.ledger(),
            (width, height),
        )
    }

    async fn runs(&self) -> Vec<Run> {
        let context = ClusterContext {
            client: self.client(),
            namespace: "default".into(),
            settings: Arc::new(self.settings.clone()),
            ledger: None,
        };
        context.runs(None).await.unwrap()
    }

    /// Waits for the end of the only run and returns it.
    async fn ended(&self) -> Run {
        let runs = self.runs().await;
        let [run] = runs.as_slice() else {
            panic!("one run, not {}", runs.len())
        };
        cluster::wait_finished(&self.client(), "default", run.kind, run.name())
            .await
            .unwrap()
    }

    fn origin(&self) -> PathBuf {
        self.project.with_extension("git")
    }

    async fn end(mut self) {
        self.engine.take().unwrap().stop_all().await;
        no_process_stays_below(self.directory.path());
    }
}

/// Launches a docs run of all tasks with the default form.
async fn launch(screen: &mut Screen) {
    screen.wait_for("all ✓").await;
    screen.press("n").wait_for("New run").await;
    screen.press("ctrl-s").wait_for("your own account").await;
    screen.press("y").wait_for(" docs-plan-").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_run_is_launched_watched_merged_and_cleaned_up() {
    let world = World::new().await;
    let mut screen = world.console();
    screen
        .wait_for("Lay the foundation")
        .await
        .wait_for("docs 0/4")
        .await
        .wait_for("plan in sync")
        .await;
    launch(&mut screen).await;
    screen
        .wait_for("✓ docs docs-plan-")
        .await
        .wait_for("docs 8/8")
        .await;
    screen.wait_for("task.md").await;
    let run = world.ended().await;
    assert_eq!(run.phase(), Phase::Succeeded);
    assert_eq!(run.tasks, ["1", "2"], "all means the tasks written out");
    let pushed = git(
        &world.origin(),
        &["rev-parse", &format!("refs/heads/{}", run.branch())],
    );
    assert_eq!(run.status.commit.as_deref(), Some(pushed.as_str()));

    screen.press("2 m").wait_for("fast-forward").await;
    screen
        .press("enter")
        .wait_for("docs 4/4")
        .await
        .wait_gone("docs 0/4")
        .await;
    assert_eq!(git(&world.project, &["rev-parse", "HEAD"]), pushed);

    screen.press("esc 2 D").wait_for("Delete").await;
    screen.press("y").wait_for("Deleted docs-plan-").await;
    screen.wait_gone("✓ docs docs-plan-").await;
    let kept = world
        .ledger()
        .entry(run.uid())
        .unwrap()
        .expect("the record outlives the run");
    assert!(
        kept.removed.is_some() && kept.log_bytes > 0,
        "{:?} {}",
        kept.removed,
        kept.log_bytes
    );
    screen.press("q");
    screen.ended().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_is_blocked_by_a_different_remote_plan_until_fixed() {
    let world = World::new().await;
    let plan = world.project.join(".taskmaster/tasks/tasks.json");
    let changed = fs::read_to_string(&plan)
        .unwrap()
        .replace("Raise the walls", "Raise the roof");
    fs::write(&plan, changed).unwrap();
    let before = git(&world.origin(), &["rev-parse", "refs/heads/feature/plan"]);
    let mut screen = world.console();
    screen.wait_for("plan differs from origin").await;
    screen.press("n").wait_for("New run").await;
    screen.press("ctrl-s").wait_for("Raise the").await;
    assert_eq!(world.runs().await, [], "nothing was launched");

    screen
        .press("esc esc 3")
        .until("a check that fails", |screen| screen.contains('✗'))
        .await;
    screen.press("j enter").wait_for("Commands:").await;
    screen
        .wait_for("commit --only")
        .await
        .wait_for(" push ")
        .await;
    screen.press("enter").wait_for("plan in sync").await;
    let after = git(&world.origin(), &["rev-parse", "refs/heads/feature/plan"]);
    assert_ne!(after, before, "the plan was pushed");
    screen.press("esc");
    launch(&mut screen).await;
    screen.wait_for("✓ docs docs-plan-").await;
    let branch = world.ended().await.branch();
    let document = git(
        &world.origin(),
        &["show", &format!("{branch}:.taskmaster/docs/task-2/task.md")],
    );
    assert!(document.contains("Raise the roof"), "{document}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_come_from_the_commit() {
    let world = World::with(|world| pace(world, "150")).await;
    let mut screen = world.console();
    launch(&mut screen).await;
    let plan = world.project.join(".taskmaster/tasks/tasks.json");
    let edited = fs::read_to_string(&plan)
        .unwrap()
        .replace("Raise the walls", "Invent something else");
    fs::write(&plan, edited).unwrap();
    screen.wait_for("✓ docs docs-plan-").await;
    let branch = world.ended().await.branch();
    let document = git(
        &world.origin(),
        &["show", &format!("{branch}:.taskmaster/docs/task-2/task.md")],
    );
    assert!(
        document.contains("Raise the walls") && !document.contains("Invent"),
        "{document}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn active_run_survives_restarts_of_console_and_server() {
    let mut world = World::with(|world| pace(world, "250")).await;
    let mut screen = world.console();
    launch(&mut screen).await;
    screen.wait_for("agent ▶").await;
    screen.press("q");
    screen.ended().await;
    world.restart().await;
    let mut screen = world.console();
    screen.wait_for("docs docs-plan-").await;
    screen.press("2 l").wait_for("task.md").await;
    screen.wait_for("✓ docs docs-plan-").await;
    let run = world.ended().await;
    assert_eq!(run.phase(), Phase::Succeeded);
    assert_eq!(
        run.status.attempts.len(),
        3,
        "nothing ran twice: {:?}",
        run.status.attempts
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_run_is_cancelled_and_keeps_its_log() {
    let world = World::with(|world| pace(world, "2000")).await;
    let mut screen = world.console();
    launch(&mut screen).await;
    screen.wait_for("agent ▶").await;
    screen.press("2 K").wait_for("Stop").await;
    screen
        .press("y")
        .until("a cancelled run", |screen| screen.contains("⊘ docs"))
        .await;
    let run = world.ended().await;
    assert_eq!(run.phase(), Phase::Cancelled);
    assert_eq!(run.status.commit, None, "nothing was pushed");
    screen.press("2 l").wait_for("Lay the foundation").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_log_is_shown_after_the_jobs_are_gone() {
    let world = World::new().await;
    let mut screen = world.console();
    launch(&mut screen).await;
    screen.wait_for("✓ docs docs-plan-").await;
    let run = world.ended().await;
    screen.press("q");
    screen.ended().await;
    // The TTL of finished Jobs has passed.
    let jobs = Api::<Job>::namespaced(world.client(), "default");
    let pods = Api::<Pod>::namespaced(world.client(), "default");
    let maps = Api::<ConfigMap>::namespaced(world.client(), "default");
    for attempt in &run.status.attempts {
        let kept = naming::log_archive_name(&attempt.job_name);
        let is_there = |map: Option<&ConfigMap>| map.is_some();
        await_condition(maps.clone(), &kept, is_there)
            .await
            .unwrap();
        let over = json!({ "spec": { "ttlSecondsAfterFinished": 0 } });
        let params = PatchParams::default();
        jobs.patch(&attempt.job_name, &params, &Patch::Merge(&over))
            .await
            .unwrap();
        let pod = attempt.pod_name.clone().unwrap();
        let is_gone = |pod: Option<&Pod>| pod.is_none();
        await_condition(pods.clone(), &pod, is_gone).await.unwrap();
    }
    let elsewhere = Ledger::open(world.directory.path().join("elsewhere")).unwrap();
    let mut screen = Screen::on_embedded(
        world.client(),
        world.project.clone(),
        world.settings.clone(),
        elsewhere,
        (140, 40),
    );
    screen.wait_for("docs docs-plan-").await;
    screen.press("2 l").wait_for("Lay the foundation").await;
    screen
        .press("4 g")
        .wait_for("kept by the controller, no longer on the cluster: prep")
        .await;
    screen.press("q");
    screen.ended().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn added_context_is_a_draft_until_sent() {
    let world = World::new().await;
    let mut screen = world.console();
    launch(&mut screen).await;
    screen.wait_for("✓ docs docs-plan-").await;
    screen.press("2 a").wait_for("context-v2.md").await;
    // Nothing to send: the window stays open.
    screen
        .press("ctrl-s S h o r t e r")
        .wait_for("Shorter")
        .await;
    screen.press("esc").wait_gone("context-v2.md").await;
    screen.press("a").wait_for("7 of 16384 bytes").await;
    screen.press("! ctrl-s").wait_for("with your context").await;
    let runs = world.runs().await;
    assert_eq!(runs[0].spec.context_version, 2);
    let added = &runs[0].spec.context[0];
    assert_eq!(
        (added.filename.as_str(), added.content.as_str()),
        ("context-v2.md", "Shorter!")
    );
    screen.wait_for("✓ docs docs-plan-").await;
    screen.press("a").wait_for("0 of 16384 bytes").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_opens_a_pull_request_on_a_known_host() {
    let world = World::with(|world| {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let file = StandInFile {
            address: listener.local_addr().unwrap(),
            bare_repository: world.project.with_extension("git"),
            repository: "acme/project".into(),
        };
        file.write(&world.paths).unwrap();
        file.add_to(&mut world.settings);
    })
    .await;
    let mut screen = world.console();
    launch(&mut screen).await;
    screen
        .wait_for("✓ docs docs-plan-")
        .await
        .wait_for("#1")
        .await;
    let run = world.ended().await;
    assert_eq!(run.status.pull_request_number, Some(1));
    let url = run.status.pull_request_url.unwrap();
    assert!(url.ends_with("/acme/project/pull/1"), "{url}");
    let kept = fs::read_to_string(world.paths.state.join("stand-in-forge-state.json")).unwrap();
    assert!(
        kept.contains("\"feature/plan\""),
        "the base is the branch one is on: {kept}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_works_on_a_small_terminal() {
    let world = World::new().await;
    let mut screen = world.console_of_size(80, 24);
    screen
        .wait_for("Lay the foundation")
        .await
        .wait_for("Pre-flight")
        .await;
    launch(&mut screen).await;
    // The log opens by itself, even with space for only one panel.
    screen.wait_for("Timeline").await.wait_for("8/8").await;
    world.ended().await;
    screen.press("2").wait_for("✓ docs docs-plan-").await;
    screen.press("m").wait_for("fast-forward").await;
    screen.press("enter").wait_gone("fast-forward").await;
    screen.press("esc 1").wait_for("docs 4/4").await;
    world.end().await;
}

/// Makes the agent wait that many milliseconds before each file.
fn pace(world: &mut World, milliseconds: &str) {
    let agent = world.settings.agents.get_mut("template").unwrap();
    agent
        .env
        .insert("TEMPLATE_AGENT_PACE_MS".into(), milliseconds.into());
}
