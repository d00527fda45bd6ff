//! `runs logs` in scripts: compared with `kubectl logs`, in pipes, interrupted, and after the run is deleted.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use nix::{
    pty::openpty,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{sample_project, skipped};
use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource},
    resources::{RunSpec, RunStatus},
    runs::{Run, RunKind, Stage},
};
use flightdeck_host::ledger::Ledger;

const TIMEOUT: Duration = Duration::from_secs(90);

/// A project with its own embedded cluster.
struct Setup {
    _directory: tempfile::TempDir,
    home: PathBuf,
    project: PathBuf,
}

impl Setup {
    fn new(pace_ms: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (home, project) = (
            directory.path().join("home"),
            directory.path().join("project"),
        );
        sample_project(&project);
        fs::create_dir_all(home.join("config")).unwrap();
        let settings = format!("[agents.template.env]\nTEMPLATE_AGENT_PACE_MS = \"{pace_ms}\"\n");
        fs::write(home.join("config/config.toml"), settings).unwrap();
        Self {
            _directory: directory,
            home,
            project,
        }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
        command
            .arg("--home")
            .arg(&self.home)
            .arg("--repo")
            .arg(&self.project);
        command.args(words.split(' ')).stdin(Stdio::null());
        for name in ["GITHUB_TOKEN", "GH_TOKEN", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    fn say(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that must succeed. Returns its stdout.
    fn print(&self, words: &str) -> Vec<u8> {
        let output = self.say(words);
        assert!(output.status.success(), "{words}: {}", stderr(&output));
        output.stdout
    }

    fn name(&self) -> String {
        let listed = self.print("runs list -o name");
        String::from_utf8(listed).unwrap().trim().to_owned()
    }

    /// Runs kubectl. Reports the test as skipped and returns `None` if it is not installed.
    fn kubectl(&self, test: &str, words: &str) -> Option<Vec<u8>> {
        let kubeconfig = self.print("embedded kubeconfig --path");
        let kubeconfig = String::from_utf8(kubeconfig).unwrap();
        let mut command = Command::new("kubectl");
        command
            .args(words.split(' '))
            .env("KUBECONFIG", kubeconfig.trim())
            .env("HOME", &self.home);
        let Ok(output) = command.output() else {
            skipped(test, "kubectl is not installed");
            return None;
        };
        assert!(
            output.status.success(),
            "kubectl {words}: {}",
            stderr(&output)
        );
        Some(output.stdout)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        drop(self.command("embedded stop").output());
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn piped_log_equals_kubectl_logs_and_stays_in_the_ledger() {
    const TEST: &str = "piped_log_equals_kubectl_logs_and_stays_in_the_ledger";
    let setup = Setup::new(0);
    setup.print("run docs --task 1 --agent template --wait");
    let name = setup.name();
    let whole = setup.print(&format!("runs logs {name}"));
    assert!(lines(&whole).len() > 10);

    // Parts of the log.
    let stages = ["prep", "agent", "publish"]
        .map(|stage| setup.print(&format!("runs logs {name} --stage {stage}")));
    assert_eq!(stages.concat(), whole, "stages in the order they ran");
    let last = setup.print(&format!("runs logs {name} --tail 3"));
    assert_eq!(lines(&last), lines(&whole)[lines(&whole).len() - 3..]);
    assert_eq!(
        setup.print(&format!("runs logs {name} --tail 3 --follow")),
        last
    );
    assert_eq!(
        setup.print(&format!("runs logs {name} --tail=-1 --since 1h")),
        whole
    );
    assert_eq!(setup.print(&format!("runs logs {name} --since 0s")), b"");
    let objects = setup.print(&format!("runs logs {name} -o json"));
    let objects: Vec<Value> = lines(&objects)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let texts: Vec<&str> = objects
        .iter()
        .map(|object| object["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, lines(&whole));
    assert_eq!(
        (&objects[0]["stage"], &objects[0]["attempt"]),
        (&"prep".into(), &1.into())
    );
    let stamped = setup.print(&format!(
        "runs logs {name} --timestamps --prefix --stage agent --tail 1"
    ));
    let stamped = String::from_utf8(stamped).unwrap();
    assert!(
        stamped.starts_with("[agent] 20") && stamped[8..].find("Z ") == Some(29),
        "{stamped}"
    );
    assert_eq!(
        setup
            .say(&format!("runs logs {name} --exit-status"))
            .status
            .code(),
        Some(0)
    );

    let steps = String::from_utf8(setup.print(&format!("runs logs {name} --timeline"))).unwrap();
    assert!(
        steps.contains("● session") && steps.contains("▸ Write") && !steps.contains("{\""),
        "{steps}"
    );
    let steps = setup.print(&format!("runs logs {name} --timeline -o json"));
    let steps: Vec<Value> = lines(&steps)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(steps.iter().any(|step| step["kind"] == "end"), "{steps:?}");
    let last = setup.print(&format!("runs logs {name} --timeline -o json --tail 2"));
    assert_eq!(lines(&last).len(), 2);

    // Compare with kubectl.
    let (mut theirs, mut stamped) = (Vec::new(), Vec::new());
    for stage in ["prep", "agent", "publish"] {
        let labels = format!("flightdeck.dev/run={name},flightdeck.dev/stage={stage}");
        let Some(pod) = setup.kubectl(TEST, &format!("get pods -l {labels} -o name")) else {
            return;
        };
        let pod = String::from_utf8(pod).unwrap().trim().to_owned();
        let names = "jsonpath={.spec.initContainers[*].name},{.spec.containers[*].name}";
        let names = setup
            .kubectl(TEST, &format!("get {pod} -o {names}"))
            .unwrap();
        let names = String::from_utf8(names).unwrap();
        for container in names.split([' ', ',']).filter(|name| !name.is_empty()) {
            theirs.extend(
                setup
                    .kubectl(TEST, &format!("logs {pod} -c {container}"))
                    .unwrap(),
            );
            stamped.extend(
                setup
                    .kubectl(TEST, &format!("logs {pod} -c {container} --timestamps"))
                    .unwrap(),
            );
        }
    }
    assert_eq!(
        String::from_utf8_lossy(&theirs),
        String::from_utf8_lossy(&whole)
    );
    assert_eq!(
        String::from_utf8_lossy(&stamped),
        String::from_utf8_lossy(&setup.print(&format!("runs logs {name} --timestamps")))
    );

    // kubectl deletes the pod of one stage, then the run; it does not know the ledger.
    setup.kubectl(
        TEST,
        &format!("delete pods -l flightdeck.dev/run={name},flightdeck.dev/stage=agent --now"),
    );
    let without = setup.say(&format!("runs logs {name} --stage agent"));
    assert_eq!(
        String::from_utf8_lossy(&without.stdout),
        String::from_utf8_lossy(&stages[1])
    );
    assert!(
        stderr(&without).contains("from the ledger, no longer on the cluster: agent"),
        "{}",
        stderr(&without)
    );
    assert_eq!(
        String::from_utf8_lossy(&setup.print(&format!("runs logs {name}"))),
        String::from_utf8_lossy(&whole),
        "in the order they ran"
    );
    setup.kubectl(TEST, &format!("delete docsrun {name}"));
    let gone = setup.say(&format!("runs logs {name}"));
    assert_eq!(
        String::from_utf8_lossy(&gone.stdout),
        String::from_utf8_lossy(&whole)
    );
    assert!(
        stderr(&gone).contains("is not on the cluster; this is what the ledger kept"),
        "{}",
        stderr(&gone)
    );
    assert_eq!(
        setup
            .say(&format!("runs logs {name} --exit-status --tail 0"))
            .status
            .code(),
        Some(0)
    );
    assert_eq!(setup.say("runs logs docs-never-was").status.code(), Some(3));
}

#[test]
fn run_deleted_with_kubectl_is_archived() {
    const TEST: &str = "run_deleted_with_kubectl_is_archived";
    let setup = Setup::new(0);
    setup.print("run docs --task 1 --agent template --wait");
    let name = setup.name();
    let kept = || {
        let shown = setup.say(&format!("ledger show {name} -o json"));
        let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
        let sources = shown["log"]["sources"].as_array()?.clone();
        let stages = sources.iter().filter(|source| source["complete"] == true);
        (stages.count() >= 3
            && shown["run"]["status"]["phase"] == "Succeeded"
            && !shown["files"].as_array()?.is_empty())
        .then_some(shown)
    };
    let began = Instant::now();
    while kept().is_none() {
        assert!(
            began.elapsed() < TIMEOUT,
            "{:?}",
            setup.say(&format!("ledger show {name}"))
        );
    }
    let Some(_) = setup.kubectl(TEST, &format!("delete docsrun {name}")) else {
        return;
    };
    let gone = setup.say(&format!("runs logs {name}"));
    let text = String::from_utf8_lossy(&gone.stdout);
    assert!(
        text.contains("task.md") && text.contains("Lay the foundation"),
        "{text}"
    );
}

/// A process that follows the log of a run.
struct Follower {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn end(self) -> (Option<i32>, String) {
        let Self { mut child, lines } = self;
        drop(lines);
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (child.wait().unwrap().code(), said)
    }
}

#[test]
fn follow_prints_lines_at_once_and_can_be_interrupted() {
    // Slow enough to outlast the test.
    let setup = Setup::new(600_000);
    let launched = setup.print("run docs --task 1 --task 2 --agent template -o name");
    let name = String::from_utf8(launched).unwrap().trim().to_owned();
    let mut following = Follower::start(setup.command(&format!("runs logs {name} --follow")));
    let mut first = Vec::new();
    while !first
        .iter()
        .any(|line: &String| line.contains("Task 1: Lay the foundation"))
    {
        let line = following.line();
        assert!(
            !line.is_empty(),
            "it ended: {:?} {first:?}",
            following.end()
        );
        first.push(line);
    }
    // Without --follow, prints the existing lines and exits.
    let now = setup.print(&format!("runs logs {name}"));
    assert!(
        String::from_utf8_lossy(&now).starts_with(&first.concat()),
        "{first:?}"
    );
    assert_eq!(
        setup
            .say(&format!("runs logs {name} --exit-status"))
            .status
            .code(),
        Some(6)
    );
    let last = lines(&setup.print(&format!("runs logs {name} --tail 1")))
        .pop()
        .unwrap();
    let mut tailing =
        Follower::start(setup.command(&format!("runs logs {name} --follow --tail 1")));
    assert_eq!(tailing.line().trim_end(), last);

    // A closed pipe is not an error.
    let mut left = Follower::start(setup.command(&format!("runs logs {name}")));
    left.line();
    assert_eq!(left.end(), (Some(0), String::new()));

    for (follower, says) in [(following, true), (tailing, true)] {
        kill(
            Pid::from_raw(follower.child.id().try_into().unwrap()),
            Signal::SIGINT,
        )
        .unwrap();
        let (code, said) = follower.end();
        assert_eq!(code, Some(130), "{said}");
        assert_eq!(said.contains(&format!("{name} goes on")), says, "{said}");
    }
    let run: Value =
        serde_json::from_slice(&setup.print(&format!("runs get {name} -o json"))).unwrap();
    assert_eq!(run["status"]["phase"], "Running");
    setup.print(&format!("runs stop {name}"));
    let stopped = setup.say(&format!("runs logs {name} --follow --exit-status"));
    assert_eq!(stopped.status.code(), Some(4), "{}", stderr(&stopped));
}

/// Archives a run with a log of one line.
fn archive(home: &Path, name: &str, text: &str) {
    let ledger = Ledger::open(home.join("state/ledger")).unwrap();
    let mut run = Run {
        kind: RunKind::Docs,
        metadata: kube::api::ObjectMeta::default(),
        tasks: vec!["1".into()],
        spec: RunSpec::default(),
        code: None,
        status: RunStatus::default(),
    };
    run.metadata.name = Some(name.into());
    run.metadata.uid = Some(format!("uid-of-{name}"));
    run.status.phase = Some("Failed".into());
    ledger.record(&run).unwrap();
    archive_log(&ledger, run.uid(), &[text.into()]);
}

/// Archives lines of an agent.
pub(crate) fn archive_log(ledger: &Ledger, uid: &str, lines: &[String]) {
    let source = Arc::new(LogSource {
        pod: "p".into(),
        pod_uid: "pu".into(),
        container: "agent".into(),
        restart: 0,
        stage: Some(Stage::Agent),
        context_version: 1,
        attempt: 1,
    });
    let lines = lines.iter().enumerate().map(|(index, text)| {
        LogEvent::Line(LogLine {
            source: Arc::clone(&source),
            at: "2030-01-01T00:00:00.5Z".parse().unwrap(),
            ordinal: index as u32,
            text: text.clone(),
            bytes: None,
            left_out: 0,
        })
    });
    let mut writer = ledger.log_writer(uid).unwrap().unwrap();
    writer.append(&lines.collect::<Vec<_>>()).unwrap();
}

/// Returns the output of a command on a terminal.
fn on_a_terminal(mut command: Command) -> String {
    let terminal = openpty(None, None).unwrap();
    let mut child = command
        .stdout(terminal.slave)
        .stderr(Stdio::null())
        .env("TERM", "xterm")
        .spawn()
        .unwrap();
    drop(command);
    let mut bytes = Vec::new();
    // On Linux, reading a terminal without writers fails instead of returning 0.
    let _ = fs::File::from(terminal.master).read_to_end(&mut bytes);
    child.wait().unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn lines_are_sanitised_on_terminals_but_not_in_pipes() {
    let setup = Setup::new(0);
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m \u{202e}txt.exe";
    archive(&setup.home, "docs-evil", evil);
    let piped = setup.say("runs logs docs-evil --exit-status");
    assert_eq!(String::from_utf8_lossy(&piped.stdout), format!("{evil}\n"));
    assert_eq!(piped.status.code(), Some(1), "it failed");
    for (words, plain) in [("", false), (" --raw", true), (" -o json", true)] {
        let mut command = setup.command(&format!("runs logs docs-evil{words}"));
        let coloured = on_a_terminal(command);
        command = setup.command(&format!("runs logs docs-evil{words}"));
        command.env("NO_COLOR", "1");
        let colourless = on_a_terminal(command);
        let controls = |text: &str| {
            text.chars()
                .filter(|c| c.is_control() && !"\r\n".contains(*c) || *c == '\u{202e}')
                .count()
        };
        assert_eq!(controls(&colourless), 0, "{colourless:?}");
        // Our own sequences: muted, and reset.
        assert_eq!(
            controls(&coloured),
            if plain { 0 } else { 2 },
            "{coloured:?}"
        );
        assert!(colourless.contains("owned"), "{colourless:?}");
    }
}

#[test]
fn ledger_prune_asks_before_removing() {
    let setup = Setup::new(0);
    for name in ["docs-one", "docs-two"] {
        archive(&setup.home, name, &"some words ".repeat(20_000));
    }
    assert_eq!(lines(&setup.print("ledger list -o name")).len(), 2);
    let table = setup.say("ledger list");
    assert!(stderr(&table).starts_with("2 runs, "), "{}", stderr(&table));
    let listed: Value = serde_json::from_slice(&setup.print("ledger list -o json")).unwrap();
    assert!(listed[0]["logBytes"].as_u64().unwrap() > 100_000);
    assert!(String::from_utf8_lossy(&setup.print("info")).contains("ledger size"));
    assert!(
        stderr(&setup.say("ledger prune")).contains("nothing to remove"),
        "both are recent and small"
    );
    for words in [
        "ledger prune --max-mib 1 --dry-run",
        "ledger prune --max-mib 1",
    ] {
        let planned = setup.say(words);
        assert!(
            stderr(&planned).contains("nothing to remove"),
            "{}",
            stderr(&planned)
        );
    }
    for _ in 0..4 {
        archive(&setup.home, "docs-three", "x");
    }
    for index in 0..6 {
        archive(
            &setup.home,
            &format!("docs-more-{index}"),
            &"some words ".repeat(20_000),
        );
    }
    let planned = setup.say("ledger prune --max-mib 1 -o name");
    assert_eq!(lines(&planned.stdout)[0], "docs-one", "oldest first");
    assert!(
        stderr(&planned).contains("Nothing was changed"),
        "{}",
        stderr(&planned)
    );
    let pruned = setup.say("ledger prune --max-mib 1 --yes");
    assert!(stderr(&pruned).contains("Removed"), "{}", stderr(&pruned));
    let left = lines(&setup.print("ledger list -o name"));
    assert!(
        left.contains(&"docs-more-5".to_owned()) && !left.contains(&"docs-one".to_owned()),
        "{left:?}"
    );
    assert_eq!(setup.say("ledger show docs-one").status.code(), Some(3));
    fs::write(setup.home.join("state/ledger/format"), "99").unwrap();
    let newer = setup.say("ledger list");
    assert!(
        stderr(&newer).contains("newer flightdeck"),
        "{}",
        stderr(&newer)
    );
    assert_eq!(newer.status.code(), Some(1));
}

#[test]
fn non_utf8_bytes_equal_kubectl_logs_and_are_sanitised() {
    const TEST: &str = "non_utf8_bytes_equal_kubectl_logs_and_are_sanitised";
    let setup = Setup::new(0);
    setup.print("run docs --task 1 --agent template --wait");
    let name = setup.name();
    let run: Value =
        serde_json::from_slice(&setup.print(&format!("runs get {name} -o json"))).unwrap();
    let script = r"printf 'caf\351 \377\376 \303(\nplain\n\200\n\355\240\200 \360\237\222\n'";
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "raw", "labels": {
            "flightdeck.dev/run": name, "flightdeck.dev/run-uid": run["metadata"]["uid"],
            "flightdeck.dev/stage": "publish", "flightdeck.dev/context-version": "1", "flightdeck.dev/attempt": "2",
        } },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "raw", "image": "x", "command": ["sh", "-c", script] }] },
    });
    let file = setup.home.join("pod.json");
    fs::write(&file, pod.to_string()).unwrap();
    let Some(_) = setup.kubectl(TEST, &format!("apply -f {}", file.display())) else {
        return;
    };
    setup.kubectl(
        TEST,
        "wait pod/raw --for=jsonpath={.status.phase}=Succeeded --timeout=60s",
    );
    for stamps in ["", " --timestamps"] {
        let theirs = setup
            .kubectl(TEST, &format!("logs raw -c raw{stamps}"))
            .unwrap();
        assert!(theirs.contains(&0xff), "{theirs:?}");
        let ours = setup.print(&format!("runs logs {name}{stamps}"));
        assert!(
            ours.ends_with(&theirs),
            "{:?}",
            String::from_utf8_lossy(&ours)
        );
    }
    let seen = on_a_terminal(setup.command(&format!("runs logs {name} --raw --stage publish")));
    assert!(seen.contains("caf\u{fffd} \u{fffd}\u{fffd}"), "{seen:?}");
    // The ledger has the same bytes after the pod is gone.
    let before = setup.print(&format!("runs logs {name}"));
    setup.kubectl(TEST, "delete pod raw --now");
    let after = setup.print(&format!("runs logs {name}"));
    assert_eq!(
        String::from_utf8_lossy(&after),
        String::from_utf8_lossy(&before)
    );
    assert_eq!(after, before);
}

/// Another machine: its own home directory, but the same cluster.
struct OtherMachine<'p> {
    setup: &'p Setup,
    home: tempfile::TempDir,
    kubeconfig: String,
    context: String,
}

impl<'p> OtherMachine<'p> {
    fn new(setup: &'p Setup, test: &str) -> Option<Self> {
        let kubeconfig = setup.print("embedded kubeconfig --path");
        let context = setup.kubectl(test, "config current-context")?;
        Some(Self {
            setup,
            home: tempfile::tempdir().unwrap(),
            kubeconfig: String::from_utf8(kubeconfig).unwrap().trim().to_owned(),
            context: String::from_utf8(context).unwrap().trim().to_owned(),
        })
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(self.home.path().join("state/ledger")).unwrap()
    }

    fn logs(&self, name: &str) -> (String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
            .arg("--home")
            .arg(self.home.path())
            .arg("--repo")
            .arg(&self.setup.project)
            .args(["--context", &self.context, "runs", "logs", name])
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    }

    /// Archives the first lines of the agent, as if its log had been followed until there.
    fn follow(&self, events: &[LogEvent], uid: &str, lines: usize) {
        let of_agent = |event: &&LogEvent| matches!(event, LogEvent::Line(line) if line.source.stage == Some(Stage::Agent));
        let half: Vec<LogEvent> = events
            .iter()
            .filter(of_agent)
            .take(lines)
            .cloned()
            .collect();
        assert_eq!(half.len(), lines);
        self.ledger()
            .log_writer(uid)
            .unwrap()
            .unwrap()
            .append(&half)
            .unwrap();
    }
}

#[test]
fn controllers_archive_completes_the_ledger() {
    const TEST: &str = "controllers_archive_completes_the_ledger";
    let setup = Setup::new(0);
    setup.print("run docs --task 1 --agent template --wait");
    let name = setup.name();
    let whole = String::from_utf8(setup.print(&format!("runs logs {name}"))).unwrap();
    let run: Value =
        serde_json::from_slice(&setup.print(&format!("runs get {name} -o json"))).unwrap();
    let uid = run["metadata"]["uid"].as_str().unwrap().to_owned();
    let ours = Ledger::open(setup.home.join("state/ledger")).unwrap();
    let events: Vec<LogEvent> = ours.read_log(&uid).unwrap().collect();
    let kept =
        format!("get configmaps -l flightdeck.dev/archive=log,flightdeck.dev/run={name} -o name");
    let began = Instant::now();
    loop {
        let Some(maps) = setup.kubectl(TEST, &kept) else {
            return;
        };
        if lines(&maps).len() == 3 {
            break;
        }
        assert!(
            began.elapsed() < TIMEOUT,
            "{}",
            String::from_utf8_lossy(&maps)
        );
    }
    setup.kubectl(
        TEST,
        &format!("delete jobs,pods -l flightdeck.dev/run={name} --now"),
    );

    let other = OtherMachine::new(&setup, TEST).unwrap();
    let (text, said) = other.logs(&name);
    assert_eq!(text, whole, "{said}");
    assert!(
        said.contains("kept by the controller, no longer on the cluster: prep"),
        "{said}"
    );
    let half = OtherMachine::new(&setup, TEST).unwrap();
    half.follow(&events, &uid, 3);
    let (text, said) = half.logs(&name);
    let mut sorted = (lines(text.as_bytes()), lines(whole.as_bytes()));
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1, "each line once: {said}");
    assert_eq!(text, whole, "in the order they ran");

    // The archive begins after the line where the follower stopped.
    let maps = setup.kubectl(TEST, &kept).unwrap();
    let agents = lines(&maps);
    let agents = agents.iter().find(|map| map.contains("-agent-")).unwrap();
    let map = setup
        .kubectl(TEST, &format!("get {agents} -o json"))
        .unwrap();
    let mut map: Value = serde_json::from_slice(&map).unwrap();
    let packed = STANDARD
        .decode(map["binaryData"]["log.gz"].as_str().unwrap())
        .unwrap();
    let mut log = String::new();
    MultiGzDecoder::new(packed.as_slice())
        .read_to_string(&mut log)
        .unwrap();
    let all: Vec<&str> = log.lines().collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let last = all[all.len() - 4..].join("\n") + "\n";
    encoder.write_all(last.as_bytes()).unwrap();
    map["binaryData"]["log.gz"] = STANDARD.encode(encoder.finish().unwrap()).into();
    let end = map["data"]["end.json"].as_str().unwrap();
    let mut end: Value = serde_json::from_str(end).unwrap();
    end["truncated"] = true.into();
    map["data"]["end.json"] = end.to_string().into();
    let file = setup.home.join("kept.json");
    fs::write(&file, map.to_string()).unwrap();
    setup.kubectl(TEST, &format!("replace --force -f {}", file.display()));
    let gap = OtherMachine::new(&setup, TEST).unwrap();
    gap.follow(&events, &uid, 3);
    let (text, said) = gap.logs(&name);
    assert_eq!(
        lines(text.as_bytes()).len(),
        lines(whole.as_bytes()).len() - (all.len() - 7),
        "{text}"
    );
    assert!(said.contains("agent: lines missing here"), "{said}");

    // The run is deleted too.
    setup.kubectl(TEST, &format!("delete docsrun {name}"));
    let (text, said) = other.logs(&name);
    assert_eq!(text, whole);
    assert!(
        said.contains("is not on the cluster; this is what the ledger kept"),
        "{said}"
    );
}
