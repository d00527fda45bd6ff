//! One token, planted in every place where one can enter, and then every byte that was written anywhere searched for it.
//!
//! The program itself is run, from the launch to the pull request: its processes are those of a person, with a git in front
//! of the real one that writes down what it was called with.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flightdeck::{
    forge::stand_in::{self, Planned, StandInOptions},
    ledger::Ledger,
    settings::{Paths, Settings},
};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config, Discovery,
    api::{DynamicObject, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::verbs,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    screen::Screen,
    support::{git, git_host::GitHost, no_process_stays_below, sample_project},
};

const TOKEN: &str = "ghp_planted0everywhere0found0nowhere";

struct World {
    _directory: TempDir,
    root: PathBuf,
    path: String,
}

impl World {
    /// A project whose origin is reached over HTTP with the token, which stands in the remote's address as many have it.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        sample_project(&root.join("project"));
        for name in ["person", "temporary", "seen", "programs", "home/config"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        git(
            &root.join("project.git"),
            &["config", "http.receivepack", "true"],
        );
        let path = std::env::var("PATH").unwrap();
        let real = std::env::split_paths(&path)
            .map(|directory| directory.join("git"))
            .find(|program| program.is_file())
            .unwrap();
        let seen = root.join("seen");
        let spy = format!(
            "#!/bin/sh\nfile={seen}/$$\nfor word in \"$@\"; do printf 'ARGUMENT %s\\n' \"$word\"; done > $file\nenv >> $file\nexec {real} \"$@\"\n",
            seen = seen.display(),
            real = real.display()
        );
        let program = root.join("programs/git");
        fs::write(&program, spy).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            path: format!("{}:{path}", root.join("programs").display()),
            root,
            _directory: directory,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn flightdeck(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_flightdeck"))
            .arg("--home")
            .arg(self.at("home"))
            .arg("--repo")
            .arg(self.at("project"))
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.at("person"))
            .env("TMPDIR", self.at("temporary"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GITHUB_TOKEN", TOKEN)
            .env("GH_TOKEN", TOKEN)
            .env("RUST_LOG", "trace")
            .env("TERM", "dumb")
            .output()
            .unwrap()
    }

    async fn client(&self) -> Client {
        let printed = self.flightdeck(&["embedded", "kubeconfig", "--path"]);
        let path = String::from_utf8(printed.stdout).unwrap();
        let kubeconfig = Kubeconfig::read_from(path.trim()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }
}

impl Drop for World {
    /// The server goes, however the test ended.
    fn drop(&mut self) {
        drop(self.flightdeck(&["embedded", "stop"]));
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// Files below a directory that hold the token, by themselves or by their name.
fn files_with_it(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().map_or(&b""[..], OsStr::as_bytes);
        if holds(name, TOKEN) {
            found.push(path.clone());
        }
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files_with_it(&path, found);
        } else if fs::read(&path).is_ok_and(|bytes| holds(&bytes, TOKEN)) {
            found.push(path);
        }
    }
}

/// Every object of every kind but Secrets, as one text; and how many there are.
async fn objects(client: &Client) -> (usize, String) {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let (mut count, mut text) = (0, String::new());
    for group in discovery.groups() {
        for (kind, capabilities) in group.recommended_resources() {
            if kind.kind == "Secret" || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api = Api::<DynamicObject>::all_with(client.clone(), &kind);
            for object in api.list(&ListParams::default()).await.unwrap() {
                count += 1;
                text.push_str(&serde_json::to_string(&object).unwrap());
            }
        }
    }
    (count, text)
}

/// What the console shows of the run, tab by tab.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_found_nowhere_but_where_it_was_put() {
    let world = World::new();
    let host = GitHost::with(TOKEN, Some(world.root.clone()));
    let url = host.serve().await;
    let address = url.replace("http://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = StandInOptions {
        state_file: world.at("forge/pulls.json"),
        bare_repository: Some(world.at("project.git")),
        token: Some(TOKEN.into()),
        ..StandInOptions::default()
    };
    fs::create_dir(world.at("forge")).unwrap();
    let forge = stand_in::serve(listener, options).await.unwrap();
    // The forge repeats what it was sent.
    forge
        .plan(Planned {
            method: Method::POST,
            path: "/labels".into(),
            status: StatusCode::FORBIDDEN,
            headers: Vec::new(),
            body: json!({"message": format!("the token {TOKEN} may not do this")}),
            times: 1,
        })
        .await;
    let config = format!(
        "[defaults]\nagent = \"template\"\n[allow]\ngithub_token_hosts = [\"127.0.0.1\"]\n[forge]\nhosts = [{{ match = \"127.0.0.1\", api_url = \"{}\", repository = \"acme/project\" }}]\n",
        forge.url()
    );
    fs::write(world.at("home/config/config.toml"), &config).unwrap();
    // In the remote's address, and in the person's store of credentials.
    let planted = format!("http://x-access-token:{TOKEN}@{address}/project.git");
    let project = world.at("project");
    git(&project, &["remote", "set-url", "origin", &planted]);
    fs::write(
        world.at("person/.git-credentials"),
        format!("http://x-access-token:{TOKEN}@{address}\n"),
    )
    .unwrap();
    fs::write(
        world.at("person/.gitconfig"),
        "[credential]\n\thelper = store\n",
    )
    .unwrap();
    // In the cluster.
    let client = world.client().await;
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "github-pat-ada"},
        "data": {"token": STANDARD.encode(TOKEN)},
    }))
    .unwrap();
    Api::<Secret>::default_namespaced(client.clone())
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();

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
    let settings = Settings::overlaid(&[("config.toml".to_owned(), config)]).unwrap();
    let shown = screens(&world, client.clone(), settings).await;

    // It was used: the host and the forge take nothing else.
    assert!(host.told().len() > 4);
    assert!(!holds(&said, TOKEN), "printed");
    assert!(!shown.contains(TOKEN), "shown: {shown}");
    let (count, objects) = objects(&client).await;
    assert!(count > 10, "{count}");
    assert!(!objects.contains(TOKEN), "in an object");
    assert!(!objects.contains(&STANDARD.encode(TOKEN)), "in an object");
    let mut found = Vec::new();
    files_with_it(&world.root, &mut found);
    found.retain(|path| !path.starts_with(world.at("seen")));
    found.sort();
    assert_eq!(
        found,
        [
            world.at("person/.git-credentials"),
            world.at("project/.git/config")
        ]
    );
    calls(&world.at("seen"));
    let ended = tokio::task::spawn_blocking(move || {
        drop(world.flightdeck(&["embedded", "stop"]));
        no_process_stays_below(&world.root);
    });
    ended.await.unwrap();
}

/// What git was called with: never the token as an argument, and in the environment of a stage only for who talks to the host.
fn calls(seen: &Path) {
    let (mut count, mut given) = (0, 0);
    for entry in fs::read_dir(seen).unwrap() {
        let call = fs::read_to_string(entry.unwrap().path()).unwrap();
        count += 1;
        let arguments: Vec<&str> = call
            .lines()
            .filter_map(|line| line.strip_prefix("ARGUMENT "))
            .collect();
        assert!(
            !arguments.iter().any(|argument| argument.contains(TOKEN)),
            "an argument: {arguments:?}"
        );
        // A person's own git has the person's own environment.
        let of_a_stage = call.lines().any(|line| line.starts_with("RUN_FILES="));
        for line in call
            .lines()
            .filter(|line| of_a_stage && line.contains(TOKEN))
        {
            let talks = ["fetch", "push", "clone", "ls-remote", "submodule", "lfs"];
            assert!(
                line.starts_with("FLIGHTDECK_GIT_TOKEN=")
                    && arguments.iter().any(|argument| talks.contains(argument)),
                "{line} for {arguments:?}"
            );
            given += 1;
        }
    }
    assert!(count > 20 && given >= 3, "{count} calls, {given} with it");
}
