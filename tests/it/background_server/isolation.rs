//! Other accounts of the machine, and the secrecy of the token.

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;

use super::{find_server, run};
use crate::support::{
    self,
    https_cluster::{connect_http, token},
    no_process_stays_below,
};

/// Collects the paths of everything below a directory.
fn paths_below(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        out.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            paths_below(&entry.path(), out);
        }
    }
}

/// Returns a line for each path that another account can read, list or write, and then its user id.
fn as_nobody(paths: &[PathBuf]) -> String {
    let script = r#"for path in "$@"; do
        if [ -d "$path" ]; then
            ls "$path" >/dev/null 2>&1 && echo "LIST $path"
            touch "$path/planted" 2>/dev/null && echo "WRITE $path"
        else
            cat "$path" >/dev/null 2>&1 && echo "READ $path"
            { true >>"$path"; } 2>/dev/null && echo "WRITE $path"
        fi
    done; id -u"#;
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["sh", "-c", script, "nobody"])
        .args(paths)
        .current_dir("/")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn other_accounts_have_no_access() {
    let name = "other_accounts_have_no_access";
    if !nix::unistd::geteuid().is_root() {
        return support::skipped(name, "only root can switch to another account");
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return support::skipped(name, "setpriv is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    // Only what the program does protects its files.
    open(directory.path());
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    open(&home);
    let public = home.join("public");
    fs::write(&public, "for all").unwrap();
    open(&public);
    assert!(run(&home, &["embedded", "kubeconfig"]).status.success());
    assert!(run(&home, &["runs", "list", "-A"]).status.success());
    let server = find_server(&home).unwrap();
    let token = token(&server);

    let mut paths = vec![home.join("state")];
    paths_below(&home.join("state"), &mut paths);
    for name in [
        "credentials.json",
        "kubeconfig.yaml",
        "endpoint.json",
        "lock",
        "embedded.log",
    ] {
        assert!(paths.iter().any(|path| path.ends_with(name)), "{name}");
    }
    let process = PathBuf::from(format!("/proc/{}", server.pid));
    paths.extend(["environ", "mem", "fd"].map(|name| process.join(name)));
    let uid = "65534";
    assert_eq!(as_nobody(&paths).trim(), uid, "another account has access");
    // The check finds access where there is some.
    let access = as_nobody(&[public, home.clone()]);
    assert_eq!(
        access
            .lines()
            .filter(|line| line.starts_with("WRITE"))
            .count(),
        2,
        "{access}"
    );
    assert!(
        access.contains("READ") && access.contains("LIST"),
        "{access}"
    );

    // The command line of a process is readable by all accounts.
    let command_line = fs::read(process.join("cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&command_line).contains(&token));
    let url = format!("{}/api", server.address);
    let curl = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", &url];
    let response = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(curl)
        .current_dir("/")
        .output()
        .unwrap();
    match String::from_utf8_lossy(&response.stdout).as_ref() {
        "" => support::skipped(name, "the port is not checked: curl is not installed"),
        code => assert_eq!(code, "401"),
    }
    assert!(run(&home, &["embedded", "stop"]).status.success());
    no_process_stays_below(directory.path());
}

#[tokio::test]
async fn token_is_in_no_log() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let mut server = super::program(home)
        .args(["embedded", "serve"])
        .env("FLIGHTDECK_LOG", "trace")
        .stdout(std::process::Stdio::piped())
        .stderr(fs::File::create(home.join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut first = [0; 8];
    server
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let endpoint = find_server(home).unwrap();
    let token = token(&endpoint);
    let list = super::program(home)
        .args(["runs", "list", "-A"])
        .env("FLIGHTDECK_LOG", "trace")
        .output()
        .unwrap();
    assert!(list.status.success());
    let mut http = connect_http(&endpoint).await;
    for authorization in [
        format!("Bearer {token}"),
        format!("Bearer {token}x"),
        token.clone(),
    ] {
        let request = Request::get("/api")
            .header("authorization", authorization)
            .body(Full::new(Bytes::new()))
            .unwrap();
        http.send_request(request).await.unwrap();
        http.ready().await.unwrap();
    }
    assert!(run(home, &["embedded", "stop"]).status.success());
    assert!(server.wait().unwrap().success());
    let log = fs::read_to_string(home.join("log")).unwrap();
    assert!(log.contains("TRACE"), "nothing was logged");
    assert!(!log.contains(&token));
    assert!(!String::from_utf8_lossy(&list.stderr).contains(&token));
}
