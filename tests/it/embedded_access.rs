//! Who may call the embedded cluster: nobody without its token, nobody of another account; and one server a directory.

mod handshake;
mod strangers;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{ListParams, PostParams},
};

use crate::support::{
    no_process_stays_below,
    served::{Served, client, open},
};
use kube_embedded::{
    endpoint::{self, Endpoint},
    serve::ServerOptions,
};

/// The program, with everything it keeps below `home`.
fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
    command
        .arg("--home")
        .arg(home)
        .env_remove("GITHUB_TOKEN")
        .env_remove("GH_TOKEN");
    command
}

fn run(home: &Path, words: &[&str]) -> Output {
    program(home).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The server that runs below `home`.
fn found(home: &Path) -> Option<Endpoint> {
    endpoint::find(&home.join("state/embedded"))
}

/// A server in the foreground, once it has said its word; and the word.
fn serve(home: &Path, words: &[&str]) -> (Child, String) {
    let mut child = program(home)
        .args(["embedded", "serve"])
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut word)
        .unwrap();
    (child, word)
}

#[tokio::test]
async fn with_the_kubeconfig_one_works_on_it() {
    let served = Served::new().await;
    let api = Api::<ConfigMap>::default_namespaced(served.client.clone());
    let map = ConfigMap {
        metadata: kube::core::ObjectMeta {
            name: Some("one".into()),
            ..Default::default()
        },
        ..ConfigMap::default()
    };
    api.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    let namespaces = Api::<Namespace>::all(served.client.clone());
    assert!(namespaces.get("default").await.is_ok());
    served.end().await;
}

#[tokio::test]
async fn a_kubeconfig_in_use_stays_good_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (cluster, server) = open(directory.path(), ServerOptions::default()).await;
    let before = fs::read_to_string(&server.endpoint().kubeconfig).unwrap();
    server.shutdown().await;
    cluster.shutdown().await;
    let (cluster, server) = open(directory.path(), ServerOptions::default()).await;
    let client = client(server.endpoint()).await;
    client.list_api_groups().await.unwrap();
    let after = fs::read_to_string(&server.endpoint().kubeconfig).unwrap();
    assert_eq!(after, before);
    server.shutdown().await;
    cluster.shutdown().await;
}

#[test]
fn of_ten_that_start_at_once_one_serves_and_the_others_find_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let start = || {
        let mut command = program(home);
        command.args(["embedded", "serve"]).stdout(Stdio::piped());
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    let mut started: Vec<Child> = (0..10).map(|_| start()).collect();
    let words: Vec<String> = started
        .iter_mut()
        .map(|child| {
            let mut word = String::new();
            let stdout = child.stdout.as_mut().unwrap();
            BufReader::new(stdout).read_line(&mut word).unwrap();
            word
        })
        .collect();
    let server = found(home).unwrap();
    let word = format!("serving {}\n", server.address);
    assert!(words.iter().all(|other| *other == word), "{words:?}");

    let is_it = |child: &Child| i32::try_from(child.id()).unwrap() == server.pid;
    assert_eq!(started.iter().filter(|child| is_it(child)).count(), 1);
    for child in started.iter_mut().filter(|child| !is_it(child)) {
        assert!(child.wait().unwrap().success(), "the others are done");
    }
    assert!(run(home, &["embedded", "stop"]).status.success());
    for mut child in started {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(found(home), None);
}

#[test]
fn what_a_dead_server_left_behind_is_recognised_and_nobody_else_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (mut server, _) = serve(home, &[]);
    let left = found(home).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let file = home.join("state/embedded/endpoint.json");
    assert!(file.exists(), "it had no time to tidy up");

    // A process that has got the dead one's number since.
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let mut reused = left.clone();
    reused.pid = i32::try_from(stranger.id()).unwrap();
    let reused = serde_json::to_string(&reused).unwrap();
    let left = serde_json::to_string(&left).unwrap();
    for text in [&*left, &reused, &left[..30], "no JSON", ""] {
        fs::write(&file, text).unwrap();
        let status = run(home, &["embedded", "status"]);
        assert_eq!(status.status.code(), Some(3), "{text}");
        let stop = run(home, &["embedded", "stop"]);
        assert!(stop.status.success(), "{text}");
        assert_eq!(said(&stop).trim(), "Not running", "{text}");
    }
    assert_eq!(stranger.try_wait().unwrap(), None, "it was let alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    fs::write(&file, &reused).unwrap();
    let (mut server, word) = serve(home, &[]);
    let now = found(home).unwrap();
    assert_eq!(word, format!("serving {}\n", now.address));
    assert_eq!(now.pid, i32::try_from(server.id()).unwrap());
    assert!(run(home, &["embedded", "stop"]).status.success());
    assert!(server.wait().unwrap().success());
}

#[test]
fn a_server_that_nobody_uses_ends_by_itself_whoever_knocks_at_its_port() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    fs::create_dir_all(home.join("config")).unwrap();
    let settings = "[embedded]\nidle_seconds = 1\n";
    fs::write(home.join("config/config.toml"), settings).unwrap();
    let (mut server, _) = serve(home, &[]);
    let address = found(home).unwrap().address;
    let address = address.strip_prefix("https://").unwrap();
    // It has no token, so that it is no use.
    let knocking = std::net::TcpStream::connect(address).unwrap();
    assert!(server.wait().unwrap().success());
    drop(knocking);
    assert_eq!(found(home), None);
    no_process_stays_below(home);
}

#[test]
fn every_command_of_the_embedded_cluster_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let stopped = run(home, &["embedded", "status"]);
    assert_eq!(stopped.status.code(), Some(3));
    let path = run(home, &["embedded", "kubeconfig", "--path"]);
    let path = String::from_utf8(path.stdout).unwrap();
    let content = run(home, &["embedded", "kubeconfig"]);
    assert_eq!(
        String::from_utf8(content.stdout).unwrap(),
        fs::read_to_string(path.trim()).unwrap()
    );
    let server = found(home).unwrap();
    let status = run(home, &["embedded", "status"]);
    assert!(status.status.success());
    let status = String::from_utf8(status.stdout).unwrap();
    for part in [
        &server.address,
        &server.version,
        &format!("process {}", server.pid),
        path.trim(),
    ] {
        assert!(status.contains(part), "{part} is not in {status}");
    }
    assert!(!status.contains("fault"), "{status}");
    assert!(run(home, &["embedded", "stop"]).status.success());
    let again = run(home, &["embedded", "stop"]);
    assert_eq!(said(&again).trim(), "Not running");
    no_process_stays_below(home);
}

#[test]
fn a_server_that_cannot_start_says_why_to_whoever_needed_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    fs::create_dir_all(home.join("state/embedded/credentials.json")).unwrap();
    let output = run(home, &["embedded", "kubeconfig"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("credentials.json"), "{said}");
    assert!(said.contains("embedded.log"), "{said}");
}

#[test]
fn a_rehearsal_is_announced_shown_and_summed_up() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let file = home.join("faults.toml");
    fs::write(&file, "[[rule]]\nthen = \"explode\"\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let refused = run(home, &["embedded", "serve", "--fault", &file]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("line 2"), "{}", said(&refused));

    let rule = "[[rule]]\nname = \"no versions\"\nresources = [\"/version\"]\nthen = { answer = { code = 503 } }\n";
    fs::write(&file, rule).unwrap();
    let (mut server, word) = serve(home, &["--fault", &file]);
    assert!(word.starts_with("serving https://"), "{word}");
    let status = run(home, &["embedded", "status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("faults: 1 rule"), "{status}");
    let list = run(home, &["runs", "list", "-A"]);
    assert!(list.status.success());
    assert!(
        said(&list).contains("fault injection is on"),
        "{}",
        said(&list)
    );
    let second = run(home, &["embedded", "serve", "--fault", &file]);
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("embedded stop"), "{}", said(&second));

    assert!(run(home, &["embedded", "stop"]).status.success());
    assert!(server.wait().unwrap().success());
    let mut printed = String::new();
    let mut stderr = server.stderr.take().unwrap();
    stderr.read_to_string(&mut printed).unwrap();
    assert!(
        printed.contains("Fault injection is on (1 rule)"),
        "{printed}"
    );
    let sum = "no versions: injected in 0 of 0 requests";
    assert!(printed.contains(sum), "{printed}");
}

/// Every file that a server makes is for its owner alone; or else lies where nobody else gets.
#[test]
fn what_opens_the_door_and_what_lies_behind_it_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let mode = |name: &str| {
        let path = home.join("state").join(name);
        let metadata = fs::metadata(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        metadata.permissions().mode() & 0o777
    };
    for (name, expected) in [
        ("", 0o700),
        ("embedded.log", 0o600),
        ("embedded", 0o700),
        ("embedded/lock", 0o600),
        ("embedded/endpoint.json", 0o600),
        ("embedded/credentials.json", 0o600),
        ("embedded/kubeconfig.yaml", 0o600),
    ] {
        assert_eq!(mode(name), expected, "{name}");
    }
    assert!(run(home, &["embedded", "stop"]).status.success());
}
