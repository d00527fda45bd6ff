//! Those without the token, and those who mean no good.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{found, run};
use crate::support::{
    self, no_process_stays_below,
    served::{Served, connect, encrypted, http, token},
};
use kube_embedded::{endpoint::Endpoint, serve::ServerOptions};

/// The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options with which nobody is sent away for being slow.
fn patient() -> ServerOptions {
    ServerOptions {
        auth_timeout: Duration::from_secs(3600),
        ..ServerOptions::default()
    }
}

/// Every path the cluster serves, as its own discovery tells them, and what is beside them.
async fn every_path(client: &Client) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/readyz",
        "/version",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/nonsense",
    ]
    .map(str::to_owned)
    .into();
    let mut lists = vec![(
        "/api/v1".to_owned(),
        client.list_core_api_resources("v1").await.unwrap(),
    )];
    for group in client.list_api_groups().await.unwrap().groups {
        paths.insert(format!("/apis/{}", group.name));
        for version in group.versions {
            let list: APIResourceList = client
                .list_api_group_resources(&version.group_version)
                .await
                .unwrap();
            lists.push((format!("/apis/{}", version.group_version), list));
        }
    }
    for (base, list) in lists {
        paths.insert(format!("/openapi/v3{base}"));
        paths.insert(base.clone());
        for resource in list.resources {
            let scope = if resource.namespaced {
                "/namespaces/default"
            } else {
                ""
            };
            match resource.name.split_once('/') {
                Some((plural, sub)) => {
                    paths.insert(format!("{base}{scope}/{plural}/x/{sub}"));
                }
                None => {
                    let plural = &resource.name;
                    paths.insert(format!("{base}{scope}/{plural}"));
                    paths.insert(format!("{base}{scope}/{plural}/x"));
                    paths.insert(format!("{base}/{plural}?watch=true"));
                }
            }
        }
    }
    paths
}

#[tokio::test]
async fn without_the_token_every_path_and_verb_is_refused() {
    let served = Served::with(patient()).await;
    let paths = every_path(&served.client).await;
    assert!(paths.len() > 40, "{paths:?}");
    assert!(paths.iter().any(|path| path.ends_with("/pods/x/log")));
    let mut http = http(served.server.endpoint()).await;
    let mut asked = 0;
    for path in &paths {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            // Each way to get it wrong in turn.
            let authorization = [
                None,
                Some("Bearer "),
                Some("Bearer wrong"),
                Some("Basic d3Jvbmc="),
            ];
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "localhost");
            if let Some(wrong) = authorization[asked % 4] {
                request = request.header("authorization", wrong);
            }
            asked += 1;
            http.ready().await.unwrap();
            let request = request.body(Full::new(Bytes::new())).unwrap();
            let answer = http.send_request(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body);
            let own = body.contains("\"reason\":\"Unauthorized\"");
            assert!(own || method == "HEAD", "{method} {path}: {body}");
        }
    }
    assert_eq!(
        *served.server.clients().borrow(),
        1,
        "only the one with the token counts"
    );
    served.end().await;
}

/// Everything below a folder.
fn everything_below(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        out.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            everything_below(&entry.path(), out);
        }
    }
}

/// What another account gets out of these paths: a line for each it can read, list or write to.
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
fn another_account_of_the_machine_gets_nothing() {
    let name = "another_account_of_the_machine_gets_nothing";
    if !nix::unistd::geteuid().is_root() {
        return support::skipped(name, "only root can become somebody else");
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return support::skipped(name, "there is no setpriv");
    }
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    // Nothing but what the program does itself is to protect it.
    open(directory.path());
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    open(&home);
    let public = home.join("public");
    fs::write(&public, "for all").unwrap();
    open(&public);
    assert!(run(&home, &["embedded", "kubeconfig"]).status.success());
    assert!(run(&home, &["runs", "list", "-A"]).status.success());
    let server = found(&home).unwrap();
    let token = token(&server);

    let mut paths = vec![home.join("state")];
    everything_below(&home.join("state"), &mut paths);
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
    assert_eq!(as_nobody(&paths).trim(), uid, "it got something");
    // What the test asks can be answered with yes.
    let got = as_nobody(&[public, home.clone()]);
    assert_eq!(
        got.lines().filter(|line| line.starts_with("WRITE")).count(),
        2,
        "{got}"
    );
    assert!(got.contains("READ") && got.contains("LIST"), "{got}");

    // What everybody can see of a process holds no token.
    let command_line = fs::read(process.join("cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&command_line).contains(&token));
    let url = format!("{}/api", server.address);
    let curl = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", &url];
    let asked = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(curl)
        .current_dir("/")
        .output()
        .unwrap();
    match String::from_utf8_lossy(&asked.stdout).as_ref() {
        "" => support::skipped(name, "the port is not asked: there is no curl"),
        code => assert_eq!(code, "401"),
    }
    assert!(run(&home, &["embedded", "stop"]).status.success());
    no_process_stays_below(directory.path());
}

#[tokio::test]
async fn the_token_is_in_no_log_however_much_is_logged() {
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
    let endpoint = found(home).unwrap();
    let token = token(&endpoint);
    let list = super::program(home)
        .args(["runs", "list", "-A"])
        .env("FLIGHTDECK_LOG", "trace")
        .output()
        .unwrap();
    assert!(list.status.success());
    let mut http = http(&endpoint).await;
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

/// What the server says on a connection until it closes it.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all);
    // Cut or ended: both are closed.
    let _ = tokio::time::timeout(PATIENCE, read)
        .await
        .expect("it stays open");
    all
}

async fn works(client: &Client) {
    let answer = tokio::time::timeout(PATIENCE, client.list_api_groups()).await;
    answer.expect("nobody gets in any more").unwrap();
}

#[tokio::test]
async fn those_who_say_nothing_or_speak_too_slowly_are_sent_away() {
    let options = ServerOptions {
        auth_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let served = Served::with(options).await;
    let endpoint = served.server.endpoint();
    assert!(rest(connect(endpoint).await).await.is_empty());
    // One that begins a request and never ends it.
    let mut slow = encrypted(endpoint, "127.0.0.1").await.unwrap();
    slow.write_all(b"GET /api HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    assert!(rest(slow).await.is_empty());
    // One with the token that asks once, and then no more.
    let mut idle = encrypted(endpoint, "127.0.0.1").await.unwrap();
    let token = token(endpoint);
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(idle).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    works(&served.client).await;
    let mut clients = served.server.clients();
    clients.wait_for(|&open| open == 0).await.unwrap();
    served.end().await;
}

#[tokio::test]
async fn a_thousand_connections_that_say_nothing_keep_nobody_out() {
    let served = Served::with(patient()).await;
    let mut crowd = Vec::new();
    for _ in 0..1000 {
        crowd.push(connect(served.server.endpoint()).await);
    }
    works(&served.client).await;
    // The first of them had to make room, the last is still there.
    let first = crowd.swap_remove(0);
    assert!(rest(first).await.is_empty());
    let mut byte = [0];
    let last = crowd.pop().unwrap().try_read(&mut byte).unwrap_err();
    assert_eq!(last.kind(), std::io::ErrorKind::WouldBlock);
    drop(crowd);
    works(&served.client).await;
    served.end().await;
}

#[tokio::test]
async fn whoever_speaks_nonsense_hurts_nobody() {
    let served = Served::new().await;
    let endpoint = served.server.endpoint();
    // Plain HTTP.
    let mut plain = connect(endpoint).await;
    plain
        .write_all(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(plain).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let mut noise = connect(endpoint).await;
    noise.write_all(&[0xff; 4096]).await.unwrap();
    rest(noise).await;
    // A name that the certificate has not; one that it has.
    assert!(encrypted(endpoint, "elsewhere.example").await.is_err());
    assert!(encrypted(endpoint, "localhost").await.is_ok());
    // A head that is larger than any.
    let mut long = encrypted(endpoint, "127.0.0.1").await.unwrap();
    let head = format!(
        "GET /api HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let _ = long.write_all(head.as_bytes()).await;
    let answer = String::from_utf8(rest(long).await).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    works(&served.client).await;
    served.end().await;
}

/// The certificate is what tells a client where it is; what it calls the server matters to nobody.
#[tokio::test]
async fn a_request_for_another_host_is_answered_as_any() {
    let served = Served::new().await;
    let endpoint: &Endpoint = served.server.endpoint();
    let mut http = http(endpoint).await;
    for (host, authorization, status) in [
        ("elsewhere.example", None, StatusCode::UNAUTHORIZED),
        ("elsewhere.example", Some(token(endpoint)), StatusCode::OK),
    ] {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri("/api")
            .header("host", host);
        if let Some(token) = authorization {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::new())).unwrap();
        http.ready().await.unwrap();
        assert_eq!(http.send_request(request).await.unwrap().status(), status);
    }
    served.end().await;
}
