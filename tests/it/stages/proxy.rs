//! Prep and publish behind a proxy with a password.

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::net::TcpListener;

use super::bench::Bench;
use crate::support::{git_host::GitHost, proxy::Proxy};
use flightdeck_core::runs::ForgeTarget;
use flightdeck_host::forge::stand_in::{self, StandInOptions};

const TOKEN: &str = "ghp_a_token_behind_a_proxy";
const PASSWORD: &str = "s3cret0of0the0proxy";

/// Returns a bench with `proxy` in the environment of its containers with credentials; only the proxy resolves its hosts.
fn behind(proxy: &str, password: &str) -> Bench {
    let mut bench = Bench::new();
    bench.origin(&["config", "http.receivepack", "true"]);
    let address = format!("http://ada:{password}@{proxy}");
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    bench.credential = vec![
        variable("GITHUB_TOKEN", TOKEN),
        variable("http_proxy", &address),
        variable("HTTP_PROXY", &address),
    ];
    bench.manifest.repository_url = "http://git.example/origin.git".into();
    bench.manifest.forge = Some(ForgeTarget {
        kind: "github".into(),
        api_url: "http://api.example".into(),
        project: "acme/shop".into(),
    });
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn run_uses_the_proxy_without_storing_its_password() {
    let place = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = StandInOptions {
        state_file: place.path().join("forge.json"),
        repository: Some("acme/shop".into()),
        ..StandInOptions::default()
    };
    let forge = stand_in::serve(listener, options).await.unwrap();
    // The host is known once the bench serves it.
    let bench = behind("127.0.0.1:9", PASSWORD);
    let host = GitHost::with(TOKEN, Some(bench.path("")));
    let address = host.serve().await.replace("http://", "");
    let password = format!("Basic {}", STANDARD.encode(format!("ada:{PASSWORD}")));
    let forge = forge.url().replace("http://", "");
    let hosts = [("git.example", address.as_str()), ("api.example", &forge)];
    let proxy = Proxy::new(password, &hosts);
    let mut bench = bench;
    bench.credential = behind(&proxy.serve().await, PASSWORD).credential;
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.pull_request_number),
        (0, Some(1)),
        "{}",
        ended.log
    );
    let connected = proxy.connected();
    for host in ["git.example", "api.example"] {
        assert!(connected.iter().any(|name| name == host), "{connected:?}");
    }
    assert!(!ended.log.contains(PASSWORD) && !bench.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_error_does_not_contain_the_password() {
    let proxy = Proxy::new("Basic another".into(), &[]);
    let bench = behind(&proxy.serve().await, PASSWORD);
    let prep = bench.stage("prep clone");
    prep.has_not_cloned();
    let message = prep.report.message.unwrap();
    assert!(message.contains("[pods] proxy"), "{message}");
    // git repeats an invalid URL unchanged.
    let mut bench = bench;
    let broken = format!("http://ada:{PASSWORD}@[proxy");
    bench.credential.push(("http_proxy".into(), broken));
    let prep = bench.stage("prep clone");
    let said = format!("{}{}", prep.log, prep.report.message.unwrap());
    assert!(said.contains("proxy") && !said.contains(PASSWORD), "{said}");
    assert!(!bench.contains(PASSWORD));
}
