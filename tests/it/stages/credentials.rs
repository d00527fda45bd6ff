//! The Git token over HTTP: it is sent only to the host of the run's URL.

use std::os::unix::fs::PermissionsExt;

use super::bench::Bench;
use crate::support::git_host::{GitHost, password};
use flightdeck_core::runs::{DocsSource, ForgeTarget, RunKind};

const TOKEN: &str = "ghp_a_token_for_one_host";

/// Clones from `url` as a known Git host, with the token in the containers with credentials.
fn point(bench: &mut Bench, url: &str) {
    bench.credential = vec![("GITHUB_TOKEN".into(), TOKEN.into())];
    bench.manifest.repository_url = format!("{url}/origin.git");
    bench.manifest.forge = Some(ForgeTarget {
        kind: "github".into(),
        api_url: format!("{url}/api"),
        project: "acme/shop".into(),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_used_for_clone_and_push_but_not_stored() {
    let mut bench = Bench::new();
    bench.origin(&["config", "http.receivepack", "true"]);
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    point(&mut bench, &here.serve().await);
    let ended = bench.run_until("publish collect");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let push = bench.stage("publish push");
    // The Git host's API does not respond; the branch is still pushed.
    assert_eq!(
        push.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"])),
        "{}",
        push.log
    );
    let bearer = format!("Bearer {TOKEN}");
    assert!(
        here.authorizations()
            .iter()
            .all(|sent| *sent == password(TOKEN) || *sent == bearer)
    );
    assert!(
        here.authorizations().len() >= 4,
        "clone, base, target branch, push"
    );
    assert!(!bench.contains(TOKEN) && !push.log.contains(TOKEN) && !ended.log.contains(TOKEN));
}

/// Programs in an agent's checkout may read the environment of the git that runs them.
#[tokio::test(flavor = "multi_thread")]
async fn only_git_with_network_access_has_the_token() {
    let mut bench = Bench::new();
    bench.origin(&["config", "http.receivepack", "true"]);
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    point(&mut bench, &here.serve().await);
    let (programs, environments) = (bench.path("programs"), bench.path("environments"));
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::create_dir_all(&environments).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\n{{ echo \"$*\"; echo --; env; }} > '{}'/$$\nPATH='{path}' exec git \"$@\"\n",
        environments.display()
    );
    executable(&programs.join("git"), &script);
    let path = format!("{}:{path}", programs.display());
    bench.credential.push(("PATH".into(), path));
    let ended = bench.run_until("publish collect");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let push = bench.stage("publish push");
    assert!(push.report.commit.is_some(), "{}", push.log);

    let calls = std::fs::read_dir(&environments).unwrap();
    let calls = calls.map(|call| std::fs::read_to_string(call.unwrap().path()).unwrap());
    let (with, without): (Vec<_>, Vec<_>) = calls.partition(|call| call.contains(TOKEN));
    assert!(with.len() >= 3 && without.len() >= 3, "both were seen");
    for call in with {
        let (arguments, environment) = call.split_once("\n--\n").unwrap();
        let asks = ["clone", "fetch", "ls-remote", "push"];
        let asks = arguments
            .split_whitespace()
            .any(|word| asks.contains(&word));
        assert!(asks && !arguments.contains(TOKEN), "{arguments}");
        for name in ["GITHUB_TOKEN=", "GH_TOKEN="] {
            let bears = environment.lines().any(|line| line.starts_with(name));
            assert!(!bears, "{name} of {arguments}");
        }
    }
}

fn executable(path: &std::path::Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_not_sent_after_a_redirect_to_another_host() {
    let other = GitHost::with(TOKEN, None);
    let here = GitHost::redirecting(other.serve().await);
    let mut bench = Bench::new();
    point(&mut bench, &here.serve().await);
    let prep = bench.stage("prep clone");
    prep.has_not_cloned();
    assert_eq!(other.authorizations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_not_sent_to_an_unlisted_host() {
    let here = GitHost::with(TOKEN, None);
    let mut bench = Bench::new();
    point(&mut bench, &here.serve().await);
    bench.manifest.forge = None;
    let prep = bench.stage("prep clone");
    let message = prep.report.message.unwrap();
    assert!(message.contains("none was sent"), "{message}");
    assert_eq!(here.authorizations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_not_sent_to_hosts_of_submodules_or_docs() {
    let mut bench = Bench::new();
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    let other = GitHost::with(TOKEN, None);
    let elsewhere = other.serve().await;
    point(&mut bench, &here.serve().await);
    bench.manifest.kind = RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    let commit = bench.commit.clone();
    bench.add_submodule(&format!("{elsewhere}/lib.git"), &commit);
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 0, "{}", prep.log);
    let said = "Could not fetch the submodule libs/x";
    assert!(prep.log.contains(said), "{}", prep.log);
    bench.manifest.docs = Some(DocsSource {
        repository_url: format!("{elsewhere}/docs.git"),
        directory: ".".into(),
        branch: None,
        known_host: false,
    });
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 1, "{}", prep.log);
    assert_eq!(other.authorizations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_sent_only_to_listed_submodules() {
    let mut bench = Bench::new();
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    point(&mut bench, &here.serve().await);
    let commit = bench.library("acme/private.git");
    bench.add_submodule("../acme/private.git", &commit);
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 0, "{}", prep.log);
    assert_eq!(here.authorizations_for("/acme/private"), [""; 0]);
    assert!(
        prep.log.contains("[allow] submodules of the settings")
            && prep.log.contains("add \"acme/private\" there"),
        "{}",
        prep.log
    );
    for allowed in ["acme/private", "acme/*"] {
        bench.manifest.submodules = vec![allowed.into()];
        let prep = bench.stage("prep clone");
        assert!(prep.log.contains("Fetched 1 submodule"), "{}", prep.log);
    }
    assert!(!here.authorizations_for("/acme/private").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn askpass_programs_are_not_started() {
    let other = GitHost::with(TOKEN, None);
    let refusing = GitHost::with("another", None);
    let redirecting = GitHost::redirecting(other.serve().await);
    for (host, said) in [
        (refusing, "check the token"),
        (redirecting, "rejected the credential"),
    ] {
        let mut bench = Bench::new();
        point(&mut bench, &host.serve().await);
        let asks = bench.path("asks");
        let asked = bench.path("asked-for-a-password");
        let script = format!("#!/bin/sh\necho asked > '{}'\necho x\n", asked.display());
        executable(&asks, &script);
        for name in ["GIT_ASKPASS", "SSH_ASKPASS"] {
            let program = asks.display().to_string();
            bench.credential.push((name.into(), program));
        }
        let prep = bench.stage("prep clone");
        assert_eq!(prep.code, 1, "{}", prep.log);
        let message = prep.report.message.unwrap();
        assert!(message.contains(said), "{message}");
        assert!(!asked.exists(), "{message}");
    }
}
