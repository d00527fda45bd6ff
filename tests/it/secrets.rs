//! Plants secrets wherever one can enter, then searches every byte that was written for them.
//!
//! Runs the program itself, from the launch to the pull request: a docs run over HTTP, and a code run with documents over
//! SSH. Every program is wrapped by a spy, and every file is captured, including removed ones. The places where a secret may
//! be are listed, each with its reason.

mod capture;
mod planted;
mod programs;

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config, Discovery, ResourceExt,
    api::{DynamicObject, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::verbs,
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use self::{
    capture::{Capture, CapturedFile},
    planted::{
        DOCS, KEY, MODEL, OWN_MODEL, POD_PROXY, PROXY, REMOTE, STORE, Search, TOKEN, VARIABLE,
        in_address, pieces_on,
    },
    programs::{Programs, Seen},
};
use crate::{
    screen::Screen,
    support::{git, git_host::GitHost, no_process_stays_below, sample_project},
};
use flightdeck_core::resources::CodeRun;
use flightdeck_host::{
    forge::stand_in::{self, CannedResponse, StandInOptions},
    ledger::Ledger,
    settings::{Paths, Settings},
};

/// A fake ssh: uses its key and runs the remote command locally.
const SSH: &str = r#"#!/bin/sh
while test $# -gt 1; do
  if test "$1" = -i; then cat "$2" >/dev/null || exit 255; fi
  shift
done
exec sh -c "$1"
"#;
/// A fake Claude Code: reads the prompt, runs the hooks, writes a file.
const CLAUDE: &str = r#"#!/bin/sh
test "${1:-}" = --help && exit 0
cat >/dev/null
echo '{"type":"system","subtype":"init","session_id":"s-1"}'
sh "$FD_RUN_FILES/early-test.sh" >&2
test -n "$ANTHROPIC_API_KEY" && ls .taskmaster/docs >&2
echo work > work.txt
sh "$FD_RUN_FILES/stop-commit.sh"
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"total_cost_usd":0.01}'
"#;

/// Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a file may contain a planted secret: name, a part of the path, and why.
const IN_FILES: [(&str, &str, &str); 11] = [
    ("store", "person/.git-credentials", "planted there"),
    ("remote", "project/.git/config", "planted there"),
    (
        "remote",
        "person/.git-credentials",
        "git itself keeps what worked in the store of the person",
    ),
    ("proxy", "person/.git-credentials", "the same"),
    ("token", "embedded/objects.", "the Secret itself"),
    ("key", "embedded/objects.", "the Secret itself"),
    ("model", "embedded/objects.", "the Secret itself"),
    ("pod proxy", "embedded/objects.", "the Secret itself"),
    ("key", "/volumes/ssh/key", "the Secret, where ssh reads it"),
    (
        "bearer",
        "embedded/credentials.",
        "how to reach the cluster",
    ),
    ("bearer", "embedded/kubeconfig.", "how to reach the cluster"),
];

struct World {
    _directory: TempDir,
    /// Everything that the program may write to.
    root: PathBuf,
    programs: Programs,
}

impl World {
    /// Creates a project whose origin is accessed over HTTP.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let root = above.join("world");
        for name in ["person", "temporary", "forge", "home/config"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::create_dir(above.join("aside")).unwrap();
        sample_project(&root.join("project"));
        git(
            &root.join("project.git"),
            &["config", "http.receivepack", "true"],
        );
        let own = [("ssh", SSH), ("claude", CLAUDE)];
        Self {
            programs: Programs::watched(&above.join("programs"), &own),
            root,
            _directory: directory,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn aside(&self) -> PathBuf {
        self.root.with_file_name("aside")
    }

    fn flightdeck(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_flightdeck"))
            .arg("--home")
            .arg(self.at("home"))
            .arg("--repo")
            .arg(self.at("project"))
            .args(arguments)
            .env_clear()
            .env("PATH", &self.programs.path)
            .env("HOME", self.at("person"))
            .env("TMPDIR", self.at("temporary"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(variables())
            .env("RUST_LOG", "trace")
            .env("FLIGHTDECK_LOG", "trace")
            .env("TERM", "dumb")
            .output()
            .unwrap()
    }

    fn kubeconfig(&self) -> PathBuf {
        let printed = self.flightdeck(&["embedded", "kubeconfig", "--path"]);
        assert!(printed.status.success(), "{printed:?}");
        String::from_utf8(printed.stdout).unwrap().trim().into()
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    /// Plants secrets in the remote's URL and in the user's credential store.
    fn plant(&self, address: &str) {
        let planted = format!(
            "http://x-access-token:{}@{address}/project.git",
            in_address(REMOTE)
        );
        git(
            &self.at("project"),
            &["remote", "set-url", "origin", &planted],
        );
        fs::write(
            self.at("person/.git-credentials"),
            format!("http://ada:{}@elsewhere.example\n", in_address(STORE)),
        )
        .unwrap();
        fs::write(
            self.at("person/.gitconfig"),
            "[credential]\n\thelper = store\n",
        )
        .unwrap();
    }
}

/// Returns the secrets planted in the user's environment.
fn variables() -> Vec<(&'static str, String)> {
    let beside = [
        "GH_TOKEN",
        "GITHUB_PAT",
        "GH_ENTERPRISE_TOKEN",
        "GITLAB_TOKEN",
        "NPM_TOKEN",
    ];
    let proxy = format!("http://ada:{}@127.0.0.1:9", in_address(PROXY));
    let proxies = ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    let beside = beside.map(|name| (name, VARIABLE.to_owned()));
    let mut all = vec![
        ("GITHUB_TOKEN", TOKEN.to_owned()),
        ("ANTHROPIC_API_KEY", OWN_MODEL.to_owned()),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ];
    all.extend(beside);
    all.extend(proxies.map(|name| (name, proxy.clone())));
    all
}

impl Drop for World {
    /// Stop the server however the test ends.
    fn drop(&mut self) {
        drop(self.flightdeck(&["embedded", "stop"]));
    }
}

/// Creates the Secrets of the user, the model and the proxy.
async fn plant_secrets(client: &Client) {
    let key =
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----\n");
    let proxy = format!("http://pods:{}@127.0.0.1:9", in_address(POD_PROXY));
    for (name, field, value) in [
        ("github-pat-ada", "token", TOKEN),
        ("github-ssh-ada", "ssh-privatekey", &key),
        ("anthropic-api-key", "api-key", MODEL),
        ("pod-proxy", "HTTPS_PROXY", &proxy),
    ] {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": name},
            "data": {field: STANDARD.encode(value)},
        }))
        .unwrap();
        Api::<Secret>::default_namespaced(client.clone())
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }
}

/// Returns every object of every kind except Secrets.
async fn objects(client: &Client) -> Vec<Value> {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let mut objects = Vec::new();
    for group in discovery.groups() {
        for (kind, capabilities) in group.recommended_resources() {
            if kind.kind == "Secret" || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api = Api::<DynamicObject>::all_with(client.clone(), &kind);
            for object in api.list(&ListParams::default()).await.unwrap() {
                objects.push(serde_json::to_value(&object).unwrap());
            }
        }
    }
    objects
}

/// Returns what the console shows of the run, tab by tab.
async fn screens(world: &World, client: Client, settings: Settings) -> String {
    let paths = Paths::below(&world.at("home"));
    let ledger = Ledger::open(&paths.ledger).unwrap();
    let mut screen = Screen::on_embedded(client, world.at("project"), settings, ledger, (140, 60));
    screen.wait_for("✓ docs docs-plan-").await;
    screen.press("2 l").wait_for("Bundled").await;
    let mut shown = screen.text();
    // Timeline, Diff, PR, Events, YAML.
    for word in ["session template", "+#", "Note", "", "repositoryUrl"] {
        screen.press("]");
        screen.wait_for(word).await;
        shown.push_str(&screen.text());
    }
    screen.press("q");
    screen.ended().await;
    shown
}

/// Returns a code run whose plan and documents come from another repository, with an agent that runs hooks.
fn code_run(name: &str, url: &str, documents: &str) -> CodeRun {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "CodeRun", "metadata": {"name": name},
        "spec": {
            "repositoryUrl": url, "sourceBranch": "feature/plan", "taskId": "1", "service": "shop",
            "githubUser": "ada", "agent": "claude",
            "docsRepositoryUrl": documents, "docsBranch": "feature/plan",
        },
    }))
    .unwrap()
}

/// Creates a run and waits for its end.
async fn carry_out(client: &Client, run: CodeRun) -> Value {
    let runs: Api<CodeRun> = Api::default_namespaced(client.clone());
    let name = run.name_any();
    runs.create(&PostParams::default(), &run).await.unwrap();
    let ended = |run: Option<&CodeRun>| {
        let status = run.and_then(|run| run.status.as_ref());
        status.is_some_and(|status| status.finished_at.is_some())
    };
    let ended = tokio::time::timeout(PATIENCE, await_condition(runs, &name, ended)).await;
    serde_json::to_value(ended.unwrap().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_only_where_they_belong() {
    let world = World::new();
    let host = GitHost::with_tokens(&[TOKEN, REMOTE], Some(world.root.clone()));
    let url = host.serve().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = StandInOptions {
        state_file: world.at("forge/pulls.json"),
        bare_repository: Some(world.at("project.git")),
        token: Some(TOKEN.into()),
        ..StandInOptions::default()
    };
    let forge = stand_in::serve(listener, options).await.unwrap();
    // The Git host echoes what it received.
    forge
        .plan(CannedResponse {
            method: Method::POST,
            path: "/labels".into(),
            status: StatusCode::FORBIDDEN,
            headers: Vec::new(),
            body: json!({"message": format!("the token {TOKEN} may not do this")}),
            times: 1,
        })
        .await;
    let config = format!(
        "[defaults]\nagent = \"template\"\n[pods]\nproxy = {{ secret = \"pod-proxy\" }}\n[allow]\ngithub_token_hosts = [\"127.0.0.1\"]\nssh_key_hosts = [\"forge.example\"]\n[forge]\nhosts = [{{ match = \"127.0.0.1\", api_url = \"{}\", repository = \"acme/project\" }}]\n",
        forge.url()
    );
    fs::write(world.at("home/config/config.toml"), &config).unwrap();
    world.plant(&url.replace("http://", ""));
    let capture = Capture::start(&world.root, &world.aside());
    let client = world.client().await;
    plant_secrets(&client).await;

    let mut said = Vec::new();
    let mut run = |arguments: &[&str]| {
        let output = world.flightdeck(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        said.extend(output.stdout.clone());
        said.extend(output.stderr);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["preflight"]);
    let launched = run(&[
        "run",
        "docs",
        "--task",
        "1",
        "--github-user",
        "ada",
        "--wait",
        "--follow",
        "--timeout",
        "300",
    ]);
    let listed: Value = serde_json::from_str(&run(&["runs", "list", "-o", "json"])).unwrap();
    let name = listed.pointer("/0/metadata/name").and_then(Value::as_str);
    let name = name.unwrap_or_else(|| panic!("{listed}"));
    let got = run(&["runs", "get", name, "-o", "json"]);
    assert!(got.contains("pullRequestNumber"), "{launched}\n{got}");
    assert!(got.contains("(hidden) may not do this"), "{got}");
    run(&["runs", "logs", name]);
    let settings = Settings::from_layers(&[("config.toml".to_owned(), config)]).unwrap();
    let mut shown = screens(&world, client.clone(), settings).await;

    // With documents from another repository. A run whose spec contains a token is rejected without repeating it.
    let address = format!("{url}/project.git");
    let with_token = address.replace("://", &format!("://ada:{}@", in_address(DOCS)));
    let runs: Api<CodeRun> = Api::default_namespaced(client.clone());
    let hand_made = code_run("code-0", &address, &with_token);
    let refused = runs.create(&PostParams::default(), &hand_made).await;
    let said_of_it = refused.unwrap_err().to_string();
    assert!(said_of_it.contains("docsRepositoryUrl"), "{said_of_it}");
    shown.push_str(&said_of_it);
    let project = world.at("project.git");
    let documents = format!("ssh://git@forge.example{}", project.display());
    let ended = carry_out(&client, code_run("code-1", &address, &documents)).await;
    run(&["runs", "logs", "code-1"]);
    assert_eq!(ended["status"]["phase"], "Succeeded", "{ended:#}");

    // The token was used: Git and its API accept no other.
    assert!(host.authorizations().len() > 8);
    let objects = objects(&client).await;
    assert!(objects.len() > 20, "{}", objects.len());
    let bearer = bearer(&world);
    let (captured, seen) = tokio::task::spawn_blocking(move || {
        drop(world.flightdeck(&["embedded", "stop"]));
        no_process_stays_below(&world.root);
        let repository = world.at("project.git");
        let all = ["cat-file", "--batch-all-objects", "--batch"];
        let mut captured = capture.finish();
        captured.push(CapturedFile {
            path: repository.join("(objects)"),
            content: git(&repository, &all).into_bytes(),
            private: false,
        });
        (captured, world.programs.seen())
    })
    .await
    .unwrap();

    let search = Search::new(&[("bearer", &bearer)]);
    assert_eq!(search.found(&said), [""; 0], "printed");
    assert_eq!(pieces_on(&shown), [""; 0], "shown: {shown}");
    for object in objects {
        let found = in_value(&search, &object);
        assert_eq!(found, [""; 0], "in an object: {object:#}");
    }
    in_files(&search, &captured);
    in_processes(&search, &seen);
}

/// Returns the token of the embedded cluster, which is created at its first start.
fn bearer(world: &World) -> String {
    let text = fs::read_to_string(world.kubeconfig()).unwrap();
    let mut lines = text.lines();
    let token = lines.find_map(|line| line.trim().strip_prefix("token: "));
    token.unwrap().to_owned()
}

/// Searches an object, including its compressed contents.
fn in_value<'a>(search: &'a Search, object: &Value) -> Vec<&'a str> {
    let mut found = search.found(object.to_string().as_bytes());
    let values = object.get("binaryData").and_then(Value::as_object);
    for value in values.into_iter().flatten().filter_map(|(_, v)| v.as_str()) {
        found.extend(search.found(&unpacked(&STANDARD.decode(value).unwrap())));
    }
    found
}

/// Decompresses data, or returns it unchanged.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match bytes {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain),
        // A loose git object, of any compression level.
        [0x78, ..] => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut plain),
        _ => return bytes.to_vec(),
    };
    match read {
        Ok(_) => plain,
        Err(_) => bytes.to_vec(),
    }
}

fn in_files(search: &Search, captured: &[CapturedFile]) {
    assert!(captured.len() > 300, "{} files", captured.len());
    let mut met = [false; IN_FILES.len()];
    let mut wrong = Vec::new();
    for one in captured {
        let (path, content) = (one.path.to_str().unwrap(), &one.content);
        let mut found = search.found(path.as_bytes());
        found.extend(search.found(content));
        found.extend(search.found(&unpacked(content)));
        for name in found {
            let at = IN_FILES
                .iter()
                .position(|(what, part, _)| *what == name && path.contains(part));
            match at {
                Some(at) => {
                    met[at] = true;
                    let ours = path.contains("/home/state/");
                    assert!(!ours || one.private, "{path} can be read by others");
                }
                None => wrong.push(format!("{name} in {path}")),
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (met, (what, part, _)) in met.iter().zip(IN_FILES) {
        assert!(
            met,
            "{what} was not met in {part}: is the row still needed?"
        );
    }
}

/// Never in an argument, and only in the environment of processes that need it.
fn in_processes(search: &Search, seen: &[Seen]) {
    let (mut talks, mut agents) = (0, 0);
    let is_proxy = |name: &str| name.to_lowercase().ends_with("_proxy");
    for process in seen {
        for word in &process.words {
            let mut found = search.found(word.as_bytes());
            // git passes the URL of the user's remote to its own helper.
            let helper = process
                .words
                .iter()
                .any(|word| word.contains("remote-http"));
            found.retain(|name| !(helper && *name == "remote"));
            assert_eq!(found, [""; 0], "a word of {:?}", process.words);
        }
        let stage = process.variable("RUN_FILES").is_some();
        let sees_workspace = process.variable("WORKSPACE").is_some();
        let is_ours = process.program() == "flightdeck";
        for (name, value) in &process.environment {
            for found in search.found(value.as_bytes()) {
                let needed = match (stage, sees_workspace) {
                    // The user's own processes have the user's environment.
                    (false, _) => true,
                    // Only this one talks to the remote and the Git host, possibly through the proxy.
                    (true, false) => match found {
                        "token" => {
                            talks += usize::from(!is_ours);
                            is_ours && name == "GITHUB_TOKEN" || name == "FLIGHTDECK_GIT_TOKEN"
                        }
                        "variable" => is_ours && name == "GH_TOKEN",
                        "proxy" | "pod proxy" => is_proxy(name),
                        _ => false,
                    },
                    (true, true) => {
                        agents += usize::from(found == "model");
                        let model = found == "model" && name == "ANTHROPIC_API_KEY";
                        // Behind a proxy the model is not reachable without it.
                        let proxy = ["proxy", "pod proxy"].contains(&found) && is_proxy(name);
                        (model || proxy) && process.variable("HANDOVER").is_none()
                    }
                };
                assert!(needed, "{found} as {name} for {:?}", process.words);
            }
        }
    }
    assert!(
        seen.len() > 100 && talks >= 6 && agents >= 3,
        "{} processes, {talks} that talk with it, {agents} with the model's",
        seen.len()
    );
}
