//! The background server of the embedded cluster: its commands, one server per directory, and who can access its files.

mod isolation;
mod versions;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::support::no_process_stays_below;
use kube_embedded::endpoint::{self, Endpoint};

/// Returns a command of the program that keeps all files below `home`.
fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
    command
        .arg("--home")
        .arg(home)
        .env_remove("GITHUB_TOKEN")
        .env_remove("GH_TOKEN");
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    program(home).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the server that runs below `home`.
fn find_server(home: &Path) -> Option<Endpoint> {
    endpoint::find(&home.join("state/embedded"))
}

/// Starts a server in the foreground. Returns it with the first line it prints, once it serves.
fn serve(home: &Path, arguments: &[&str]) -> (Child, String) {
    let mut child = program(home)
        .args(["embedded", "serve"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line)
}

#[test]
fn one_of_ten_simultaneous_servers_serves() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let start = || {
        let mut command = program(home);
        command.args(["embedded", "serve"]).stdout(Stdio::piped());
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    let mut started: Vec<Child> = (0..10).map(|_| start()).collect();
    let lines: Vec<String> = started
        .iter_mut()
        .map(|child| {
            let mut line = String::new();
            let stdout = child.stdout.as_mut().unwrap();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            line
        })
        .collect();
    let server = find_server(home).unwrap();
    let expected = format!("serving {}\n", server.address);
    assert!(lines.iter().all(|line| *line == expected), "{lines:?}");

    let is_it = |child: &Child| i32::try_from(child.id()).unwrap() == server.pid;
    assert_eq!(started.iter().filter(|child| is_it(child)).count(), 1);
    for child in started.iter_mut().filter(|child| !is_it(child)) {
        assert!(child.wait().unwrap().success(), "the other servers exit");
    }
    assert!(run(home, &["embedded", "stop"]).status.success());
    for mut child in started {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(find_server(home), None);
}

#[test]
fn stale_endpoint_files_are_ignored_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (mut server, _) = serve(home, &[]);
    let left = find_server(home).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let file = home.join("state/embedded/endpoint.json");
    assert!(file.exists(), "a killed server leaves its endpoint file");

    // Another process that reuses the process id of the dead server.
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let mut reused = left.clone();
    reused.pid = i32::try_from(other.id()).unwrap();
    let reused = serde_json::to_string(&reused).unwrap();
    let left = serde_json::to_string(&left).unwrap();
    for text in [&*left, &reused, &left[..30], "no JSON", ""] {
        fs::write(&file, text).unwrap();
        let status = run(home, &["embedded", "status"]);
        assert_eq!(status.status.code(), Some(3), "{text}");
        let stop = run(home, &["embedded", "stop"]);
        assert!(stop.status.success(), "{text}");
        assert_eq!(stderr(&stop).trim(), "Not running", "{text}");
    }
    assert_eq!(
        other.try_wait().unwrap(),
        None,
        "the other process still runs"
    );
    other.kill().unwrap();
    other.wait().unwrap();

    fs::write(&file, &reused).unwrap();
    let (mut server, line) = serve(home, &[]);
    let now = find_server(home).unwrap();
    assert_eq!(line, format!("serving {}\n", now.address));
    assert_eq!(now.pid, i32::try_from(server.id()).unwrap());
    assert!(run(home, &["embedded", "stop"]).status.success());
    assert!(server.wait().unwrap().success());
}

#[test]
fn idle_server_exits_despite_unauthenticated_connections() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    fs::create_dir_all(home.join("config")).unwrap();
    let settings = "[embedded]\nidle_seconds = 1\n";
    fs::write(home.join("config/config.toml"), settings).unwrap();
    let (mut server, _) = serve(home, &[]);
    let address = find_server(home).unwrap().address;
    let address = address.strip_prefix("https://").unwrap();
    // A connection without the token does not count as use.
    let connection = std::net::TcpStream::connect(address).unwrap();
    assert!(server.wait().unwrap().success());
    drop(connection);
    assert_eq!(find_server(home), None);
    no_process_stays_below(home);
}

#[test]
fn status_kubeconfig_and_stop_commands_work() {
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
    let server = find_server(home).unwrap();
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
    assert_eq!(stderr(&again).trim(), "Not running");
    no_process_stays_below(home);
}

#[test]
fn server_that_cannot_start_reports_why() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    fs::create_dir_all(home.join("state/embedded/credentials.json")).unwrap();
    let output = run(home, &["embedded", "kubeconfig"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    assert!(stderr.contains("credentials.json"), "{stderr}");
    assert!(stderr.contains("embedded.log"), "{stderr}");
}

#[test]
fn fault_injection_is_announced_and_summed_up() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let file = home.join("faults.toml");
    fs::write(&file, "[[rule]]\nthen = \"explode\"\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let refused = run(home, &["embedded", "serve", "--fault", &file]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("line 2"), "{}", stderr(&refused));

    let rule = "[[rule]]\nname = \"no versions\"\nresources = [\"/version\"]\nthen = { answer = { code = 503 } }\n";
    fs::write(&file, rule).unwrap();
    let (mut server, line) = serve(home, &["--fault", &file]);
    assert!(line.starts_with("serving https://"), "{line}");
    let status = run(home, &["embedded", "status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("faults: 1 rule"), "{status}");
    let list = run(home, &["runs", "list", "-A"]);
    assert!(list.status.success());
    assert!(
        stderr(&list).contains("fault injection is on"),
        "{}",
        stderr(&list)
    );
    let second = run(home, &["embedded", "serve", "--fault", &file]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains("embedded stop"),
        "{}",
        stderr(&second)
    );

    assert!(run(home, &["embedded", "stop"]).status.success());
    assert!(server.wait().unwrap().success());
    let mut printed = String::new();
    let mut stderr = server.stderr.take().unwrap();
    stderr.read_to_string(&mut printed).unwrap();
    assert!(
        printed.contains("Fault injection is on (1 rule)"),
        "{printed}"
    );
    let summary = "no versions: injected in 0 of 0 requests";
    assert!(printed.contains(summary), "{printed}");
}

/// Checks the mode of every file and directory of the server.
#[test]
fn files_of_the_server_are_private() {
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

#[test]
fn damaged_store_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state/embedded");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("objects.redb"), "scribbles").unwrap();
    for arguments in [&["embedded", "serve"][..], &["embedded", "kubeconfig"][..]] {
        let output = run(home.path(), arguments);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        for part in [
            "objects.redb is damaged",
            "restore a backup, or move it aside",
        ] {
            assert!(stderr.contains(part), "{arguments:?}: {stderr}");
        }
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
    assert_eq!(fs::read(state.join("objects.redb")).unwrap(), b"scribbles");
}

#[test]
fn node_reads_the_annotation_that_runs_write() {
    assert_eq!(
        flightdeck::daemon::identity().inherit_env_annotation,
        flightdeck_core::runs::naming::ANNOTATION_INHERIT_ENV
    );
}
