//! A repository with a plan, its bare origin, and the directories of a run's pods.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use flightdeck_core::{
    resources::TasksRevision,
    runs::{Layout, RunKind, RunManifest, StageReport, reason},
};

/// Three tasks; the run documents two of them.
pub(super) const PLAN: &str = r#"{"master":{"tasks":[
  {"id":1,"title":"Setup repository","description":"Create the workspace.","status":"done","testStrategy":"It builds."},
  {"id":2,"title":"Define protobufs","description":"Messages.","status":"pending","dependencies":[1]},
  {"id":3,"title":"Server","status":"pending","dependencies":[2]}
]}}"#;

const STAGES: [&str; 5] = [
    "prep clone",
    "prep setup",
    "agent",
    "publish collect",
    "publish push",
];

pub(super) struct Bench {
    root: TempDir,
    pub manifest: RunManifest,
    /// The revision verified at launch.
    pub blob: String,
    pub commit: String,
    /// Environment of the containers with the Git credential.
    pub credential: Vec<(String, String)>,
    /// Why the agent failed, for `publish push`.
    pub agent_failure: Option<String>,
    handovers: RefCell<usize>,
}

/// A container that has ended.
pub(super) struct Ended {
    pub code: i32,
    pub log: String,
    pub report: StageReport,
}

impl Ended {
    /// Asserts that prep failed while cloning.
    #[track_caller]
    pub(super) fn has_not_cloned(&self) {
        assert_eq!(
            (self.code, self.report.reason.as_deref()),
            (1, Some(reason::CLONE_FAILED)),
            "{}",
            self.log
        );
    }
}

/// A running container.
pub(super) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    log: String,
    message: PathBuf,
}

impl Bench {
    /// Pushes the plan to `feature/shop` and launches a docs run of tasks 1 and 2 from there.
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for directory in ["project", "person", "run-files", "workspace"] {
            fs::create_dir(at(directory)).unwrap();
        }
        let origin = at("origin.git");
        let mut bench = Self {
            manifest: manifest(&origin),
            root,
            blob: String::new(),
            commit: String::new(),
            credential: Vec::new(),
            agent_failure: None,
            handovers: RefCell::new(0),
        };
        bench.git(&["init", "-q", "--bare", origin.to_str().unwrap()]);
        bench.git(&["init", "-q", "-b", "feature/shop"]);
        bench.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
        bench.commit = bench.push(".taskmaster/tasks/tasks.json", PLAN);
        bench.claim(".taskmaster/tasks/tasks.json");
        bench.agent("flightdeck agent template");
        bench
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The run's folder on the workspace.
    pub(super) fn run_directory(&self) -> PathBuf {
        self.path("workspace").join(self.manifest.run_directory())
    }

    /// The agent's checkout.
    pub(super) fn checkout(&self) -> PathBuf {
        self.run_directory().join("repo")
    }

    /// The handover from `publish collect` to `publish push`.
    pub(super) fn handover(&self) -> PathBuf {
        self.path(&format!("handover-{}", self.handovers.borrow()))
    }

    /// Returns the revision of the plan at `path` for the launch.
    pub(super) fn claim(&mut self, path: &str) {
        self.blob = self.git(&["rev-parse", &format!("HEAD:{path}")]);
        self.manifest.tasks_revision = Some(TasksRevision {
            path: path.into(),
            blob: self.blob.clone(),
            commit: self.git(&["rev-parse", "HEAD"]),
        });
    }

    /// Runs git in the user's clone.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.path("project"), arguments)
    }

    /// Runs git in the origin.
    pub(super) fn origin(&self, arguments: &[&str]) -> String {
        self.git_in(&self.path("origin.git"), arguments)
    }

    /// Runs git in a directory.
    pub(super) fn git_in(&self, directory: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        self.surroundings(&mut command);
        command.args([
            "-c",
            "user.name=Person",
            "-c",
            "user.email=person@example.com",
        ]);
        let ended = command
            .args(arguments)
            .current_dir(directory)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&ended.stdout).trim_end().to_owned()
    }

    /// Writes a file in the user's clone.
    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.path("project").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits and pushes a file. Returns the commit.
    pub(super) fn push(&self, path: &str, content: &str) -> String {
        self.write(path, content);
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", path]);
        self.git(&["push", "-q", "origin", "feature/shop"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Creates a bare repository with one commit. Returns the commit.
    pub(super) fn library(&self, name: &str) -> String {
        let bare = self.path(name);
        self.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
        let commit = self.git(&["rev-parse", "HEAD"]);
        self.git(&["push", "-q", bare.to_str().unwrap(), "HEAD:refs/heads/main"]);
        commit
    }

    /// Commits and pushes a submodule at `libs/x`.
    pub(super) fn add_submodule(&self, url: &str, commit: &str) {
        let section = format!("[submodule \"lib\"]\n\tpath = libs/x\n\turl = {url}\n");
        self.write(".gitmodules", &section);
        self.git(&["add", "."]);
        let link = format!("160000,{commit},libs/x");
        self.git(&["update-index", "--add", "--cacheinfo", &link]);
        self.git(&["commit", "-qm", "a submodule"]);
        self.git(&["push", "-q", "origin", "feature/shop"]);
    }

    /// Sets the agent's script.
    pub(super) fn agent(&self, script: &str) {
        self.run_file("agent.sh", script);
    }

    pub(super) fn run_file(&self, name: &str, content: &str) {
        fs::write(self.path("run-files").join(name), content).unwrap();
    }

    /// Runs every stage in order, up to the first that fails.
    pub(super) fn run(&self) -> Ended {
        self.run_until("publish push")
    }

    /// Runs every stage in order up to `last`, or to the first that fails.
    pub(super) fn run_until(&self, last: &str) -> Ended {
        let mut log = String::new();
        for stage in STAGES {
            let ended = self.stage(stage);
            log.push_str(&ended.log);
            if ended.code != 0 || stage == last {
                return Ended {
                    log: if stage == last { ended.log } else { log },
                    ..ended
                };
            }
        }
        panic!("no stage is called {last}");
    }

    /// Runs one container to completion.
    pub(super) fn stage(&self, name: &str) -> Ended {
        self.start(name).end()
    }

    /// Starts one container with exactly the environment of its pod.
    pub(super) fn start(&self, name: &str) -> Running {
        let files = self.path("run-files");
        fs::write(
            files.join("run.json"),
            serde_json::to_vec(&self.manifest).unwrap(),
        )
        .unwrap();
        let message = self.path("termination-message");
        fs::write(&message, "").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
        self.surroundings(&mut command);
        command
            .arg("stage")
            .args(name.split(' '))
            .current_dir(self.root.path())
            .env("RUN_FILES", files)
            .env("TERMINATION_MESSAGE_PATH", &message)
            .stdout(Stdio::piped());
        if ["prep clone", "publish collect"].contains(&name) {
            *self.handovers.borrow_mut() += 1;
        }
        let handover = self.handover();
        fs::create_dir_all(&handover).unwrap();
        if name != "agent" {
            command.env("HANDOVER", handover);
        }
        if ["prep clone", "publish push"].contains(&name) {
            command.envs(self.credential.iter().cloned());
            if let Some(reason) = &self.agent_failure {
                command.env("AGENT_FAILURE", reason);
            }
        } else {
            command.env("WORKSPACE", self.path("workspace"));
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Running {
            child,
            output,
            log: String::new(),
            message,
        }
    }

    /// Isolated from the machine's git configuration, with this binary first in the PATH.
    fn surroundings(&self, command: &mut Command) {
        let program = Path::new(env!("CARGO_BIN_EXE_flightdeck"));
        let path = std::env::var("PATH").unwrap();
        command
            .env_clear()
            .env(
                "PATH",
                format!("{}:{path}", program.parent().unwrap().display()),
            )
            .env("HOME", self.path("person"))
            .env("GIT_CONFIG_NOSYSTEM", "1");
    }

    /// Returns whether a file of this name exists below the bench.
    pub(super) fn anywhere(&self, name: &str) -> bool {
        any_file(self.root.path(), &|path| path.ends_with(name))
    }

    /// Returns whether any file below the bench contains the text.
    pub(super) fn contains(&self, text: &str) -> bool {
        any_file(self.root.path(), &|path| {
            let bytes = fs::read(path).unwrap_or_default();
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }
}

impl Running {
    /// Returns the first line of its log.
    pub(super) fn first_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        self.log.push_str(&line);
        line
    }

    /// Waits for a usage report and returns it.
    pub(super) fn reports(&self, wanted: impl Fn(&StageReport) -> bool) -> StageReport {
        let begun = Instant::now();
        loop {
            let report = StageReport::parse(&fs::read_to_string(&self.message).unwrap());
            if wanted(&report) {
                return report;
            }
            let patience = Duration::from_secs(60);
            assert!(begun.elapsed() < patience, "still only {report:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it, like the kernel on memory exhaustion.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Terminates it, like the kubelet at the deadline.
    pub(super) fn terminate(&self) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    }

    pub(super) fn end(mut self) -> Ended {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.log.push_str(&String::from_utf8_lossy(&rest));
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let message = fs::read_to_string(&self.message).unwrap();
        assert!(!message.is_empty(), "no report; the log: {}", self.log);
        Ended {
            code,
            log: self.log,
            report: StageReport::parse(&message),
        }
    }
}

fn any_file(directory: &Path, is: &dyn Fn(&Path) -> bool) -> bool {
    let mut entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.any(|entry| {
        let path = entry.path();
        is(&path) || (path.is_dir() && !path.is_symlink() && any_file(&path, is))
    })
}

fn manifest(origin: &Path) -> RunManifest {
    RunManifest {
        kind: RunKind::Docs,
        run: "run-1".into(),
        uid: "0f2c6c1e".into(),
        namespace: "default".into(),
        context_version: 1,
        repository_url: origin.display().to_string(),
        source_branch: "feature/shop".into(),
        target_branch: "docs/run-1".into(),
        working_directory: ".".into(),
        tag: "master".into(),
        task_ids: vec!["1".into(), "2".into()],
        tasks_revision: None,
        overwrite: false,
        agent: "template".into(),
        model: String::new(),
        max_turns: None,
        budget_usd: None,
        prompt_modification: None,
        service: None,
        continue_session: false,
        pushed_branch: None,
        accepted_paths: Vec::new(),
        overwrite_memory: false,
        forge: None,
        pull_request: std::collections::BTreeMap::new(),
        publish_incomplete: false,
        refuse_other_changes: false,
        docs: None,
        layout: Layout::default(),
        submodules: Vec::new(),
    }
}
