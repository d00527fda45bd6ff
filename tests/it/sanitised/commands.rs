//! Hostile text in the plan, in runs and in the ledger, with every command on a terminal.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{FAMILIES, is_harmful};
use crate::support::{git, sample_project};
use flightdeck::cli;
use flightdeck_core::{
    resources::{Attempt, CodeRun, CodeRunSpec, Condition, RunStatus},
    runs::{Run, RunKind},
};
use flightdeck_host::ledger::Ledger;

/// All commands, with the arguments to run them with. `!` marks those whose output contains untrusted text. Commands
/// without output of their own have none.
const COMMANDS: &[(&str, &[&str])] = &[
    ("agent", &[]),
    (
        "clean",
        &[
            "-A --older 0s",
            "-A --older 0s -o json",
            "-A --older 0s -o yaml",
            "-A -o name",
            "--finalizers",
            "--rule NASTY",
        ],
    ),
    ("console", &[]),
    ("controller", &[]),
    ("demo", &[]),
    (
        "doctor",
        &["", "-o json", "--agent NASTY", "--github-user NASTY"],
    ),
    ("embedded kubeconfig", &["", "--path"]),
    ("embedded reset", &[]),
    ("embedded serve", &[]),
    ("embedded status", &[""]),
    ("embedded stop", &[]),
    ("info", &["", "-o json", "-o yaml"]),
    ("ledger list", &["!", "!-o json", "!-o yaml", "!-o name"]),
    ("ledger prune", &["--max-mib 1", "--max-mib 1 -o json"]),
    (
        "ledger show",
        &[
            "!GONE",
            "!GONE -o json",
            "!GONE -o yaml",
            "!GONE -o name",
            "!NASTY",
        ],
    ),
    ("manifests", &["all --image x", "crds"]),
    ("migrate", &["--dry-run"]),
    (
        "preflight",
        &[
            "!",
            "!-o json",
            "-o name",
            "!--tag NASTY",
            "!--kind code --task NASTY",
            "!--fix",
        ],
    ),
    (
        "run code",
        &["!--task 1 --agent NASTY", "!--task NASTY --dry-run"],
    ),
    (
        "run docs",
        &["!--task 1 --agent NASTY --dry-run", "!--task NASTY"],
    ),
    ("runs context", &["!NASTY NASTY"]),
    ("runs delete", &["!NASTY"]),
    ("runs export", &["!NASTY", "!code-evil"]),
    (
        "runs get",
        &[
            "!code-evil",
            "!code-evil -o json",
            "!code-evil -o yaml",
            "code-evil -o name",
            "!NASTY",
        ],
    ),
    (
        "runs list",
        &["!-A", "!-A -o json", "!-A -o yaml", "-A -o name"],
    ),
    (
        "runs logs",
        &[
            "!GONE",
            "!GONE --timeline",
            "!GONE --prefix --timestamps",
            "!GONE --raw",
            "!GONE -o json",
            "!NASTY",
        ],
    ),
    ("runs merge", &["code-evil", "!NASTY"]),
    ("runs publish", &["!NASTY --accept NASTY"]),
    ("runs retry", &["!NASTY"]),
    ("runs stop", &["!NASTY"]),
    ("shim", &[]),
    ("stage", &[]),
    (
        "tasks list",
        &["!", "!-o json", "!-o yaml", "-o name", "!--tag NASTY"],
    ),
    ("tasks next", &["!", "!-o json", "-o name"]),
    ("tasks set-status", &["!NASTY done", "!1 review"]),
    (
        "tasks show",
        &["!1", "!1 -o json", "!1 -o yaml", "-o name 1", "!NASTY"],
    ),
    ("tasks tags", &["!", "!-o json", "!-o name"]),
    (
        "tasks validate",
        &["", "-o json", "-o name", "!--tag NASTY"],
    ),
];

/// Collects all leaf commands.
fn leaf_commands(command: &clap::Command, before: &str, all: &mut Vec<String>) {
    for below in command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
    {
        let words = format!("{before} {}", below.get_name()).trim().to_owned();
        if below.has_subcommands() {
            leaf_commands(below, &words, all);
        } else {
            all.push(words);
        }
    }
}

#[test]
fn covers_every_command() {
    let mut all = Vec::new();
    leaf_commands(&cli::command(), "", &mut all);
    all.sort();
    let known: Vec<&str> = COMMANDS.iter().map(|(command, _)| *command).collect();
    assert_eq!(all, known);
}

/// A project, a cluster and a ledger full of hostile text.
struct Fixture {
    directory: tempfile::TempDir,
    nasty: String,
}

impl Fixture {
    fn new(nasty: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Self {
            directory,
            // Arguments cannot contain NUL.
            nasty: nasty.replace('\0', ""),
        };
        let project = fixture.project();
        sample_project(&project);
        let tasks = project.join(".taskmaster/tasks/tasks.json");
        let sample = include_str!("../../../src/demo/sample/tasks.json");
        let mut plan: Value = serde_json::from_str(sample).unwrap();
        poison(&mut plan, "", nasty);
        plan[format!("tag{nasty}")] = json!({ "tasks": [] });
        fs::write(tasks, plan.to_string()).unwrap();
        git(&project, &["commit", "-q", "-a", "-m", &fixture.nasty]);
        fixture.archive_run();
        fixture
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// The name of a run that is only in the ledger.
    fn gone(&self) -> String {
        format!("docs-{}", self.nasty)
    }

    fn archive_run(&self) {
        let ledger = Ledger::open(self.home().join("state/ledger")).unwrap();
        let mut run = self.run();
        run.kind = RunKind::Docs;
        run.metadata.name = Some(self.gone());
        run.metadata.uid = Some("gone".into());
        ledger.record(&run).unwrap();
        let lines = ["session", "trouble"].map(|name| {
            let path = format!("tests/fixtures/transcript/{name}.jsonl");
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
        });
        let mut lines: Vec<String> = lines.concat().lines().map(str::to_owned).collect();
        for line in &mut lines {
            if let Ok(mut event) = serde_json::from_str::<Value>(line) {
                poison(&mut event, "", &self.nasty);
                *line = event.to_string();
            }
        }
        lines.insert(0, self.nasty.replace('\n', " "));
        crate::runs_logs::archive_log(&ledger, "gone", &lines);
    }

    /// A run with hostile text in every field that accepts it.
    fn run(&self) -> Run {
        let nasty = || Some(format!("it says {} and more", self.nasty));
        let spec: CodeRunSpec = serde_json::from_value(json!({
            "taskId": "1", "service": "shop", "repositoryUrl": "https://example.com/acme/shop.git", "sourceBranch": "main",
            "agent": "template", "suspend": true, "promptModification": nasty(),
            "env": { "NASTY": nasty() },
        }))
        .unwrap();
        let mut run = Run::from(CodeRun::new("code-evil", spec));
        run.status = RunStatus {
            phase: Some("Failed".into()),
            reason: nasty(),
            message: nasty(),
            attempts: vec![Attempt {
                stage: "agent".into(),
                context_version: 1,
                attempt: 1,
                job_name: self.nasty.clone(),
                pod_name: nasty(),
                reason: nasty(),
                ..Attempt::default()
            }],
            branch: nasty(),
            commit: nasty(),
            base_commit: nasty(),
            pull_request_url: nasty(),
            pull_request_number: Some(7),
            session_id: nasty(),
            conditions: vec![Condition {
                r#type: "Finished".into(),
                status: true.into(),
                reason: "Failed".into(),
                message: self.nasty.clone(),
                ..Condition::default()
            }],
            ..RunStatus::default()
        };
        run
    }

    /// Creates the run on the embedded cluster.
    async fn create_run(&self) {
        let path = self
            .command(&["embedded", "kubeconfig", "--path"])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let path = String::from_utf8(path.stdout).unwrap();
        let kubeconfig = Kubeconfig::read_from(path.trim()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        let api = Api::<CodeRun>::default_namespaced(Client::try_from(config).unwrap());
        let run = self.run();
        let status = json!({ "status": run.status });
        let mut made: CodeRun = serde_json::from_value(run.into_resource()).unwrap();
        made.metadata.name = Some("code-evil".into());
        api.create(&PostParams::default(), &made).await.unwrap();
        let status = Patch::Merge(status);
        api.patch_status("code-evil", &PatchParams::default(), &status)
            .await
            .unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
        command
            .arg("--home")
            .arg(self.home())
            .arg("--repo")
            .arg(self.project())
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Returns the output of a command on a pseudo-terminal, without colour.
    fn run_on_pty(&self, words: &[&str]) -> String {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut child = self
            .command(words)
            .stdout(Stdio::from(pty.slave.try_clone().unwrap()))
            .stderr(Stdio::from(pty.slave))
            .spawn()
            .unwrap();
        let mut printed = Vec::new();
        let mut piece = [0; 4096];
        let mut screen = File::from(pty.master);
        // When the last writer exits, reading fails instead of returning 0.
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            printed.extend_from_slice(&piece[..length]);
        }
        child.wait().unwrap();
        String::from_utf8_lossy(&printed).into_owned()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.command(&["embedded", "stop"]).output());
    }
}

/// Appends hostile text to all fields of a plan or a stream that are not parsed.
fn poison(value: &mut Value, key: &str, nasty: &str) {
    const PARSED: [&str; 9] = [
        "id",
        "type",
        "subtype",
        "tool_use_id",
        "parent_tool_use_id",
        "role",
        "status",
        "timestamp",
        "dependencies",
    ];
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(key, value)| poison(value, key, nasty)),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, key, nasty)),
        Value::String(text) if !PARSED.contains(&key) => text.push_str(nasty),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_emits_escape_sequences() {
    let fixture = Fixture::new(&FAMILIES.concat());
    fixture.create_run().await;
    let mut wrong = Vec::new();
    for (command, lines) in COMMANDS {
        for line in *lines {
            let (shows, line) = line
                .strip_prefix('!')
                .map_or((false, *line), |line| (true, line));
            let gone = fixture.gone();
            let words = command
                .split(' ')
                .chain(line.split_whitespace())
                .map(|word| match word {
                    "NASTY" => fixture.nasty.as_str(),
                    "GONE" => gone.as_str(),
                    word => word,
                });
            let words: Vec<&str> = words.collect();
            let printed = fixture.run_on_pty(&words);
            let harmful = |c: &char| is_harmful(*c) && !matches!(c, '\r' | '\n');
            let found: Vec<char> = printed.chars().filter(harmful).collect();
            let seen =
                printed.contains('␛') || printed.contains("\\u001b") || printed.contains("\\e");
            if !found.is_empty() || (shows && !seen) {
                wrong.push(format!("{command} {line}: {found:?} in {printed:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
