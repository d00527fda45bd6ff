//! The Git token over HTTP: it reaches the host of the run's URL and nobody else.

use std::os::unix::fs::PermissionsExt;

use super::bench::Bench;
use crate::support::git_host::{GitHost, password};
use flightdeck_core::runs::{DocsSource, ForgeTarget, RunKind};

const TOKEN: &str = "ghp_a_token_for_one_host";

/// Has the run cloned from `url`, known as a forge, with the token in the credentialed containers.
fn point(bench: &mut Bench, url: &str) {
    bench.credential = vec![("GITHUB_TOKEN".into(), TOKEN.into())];
    bench.manifest.repository_url = format!("{url}/origin.git");
    bench.manifest.forge = Some(ForgeTarget {
        api_url: format!("{url}/api"),
        owner: "acme".into(),
        repository: "shop".into(),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cloned_and_pushed_with_the_token_which_is_written_nowhere() {
    let mut bench = Bench::new();
    bench.origin(&["config", "http.receivepack", "true"]);
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    point(&mut bench, &here.serve().await);
    let ended = bench.run_until("publish collect");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let push = bench.stage("publish push");
    // No forge answers there: the branch is pushed all the same.
    assert_eq!(
        push.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"])),
        "{}",
        push.log
    );
    let bearer = format!("Bearer {TOKEN}");
    assert!(
        here.told()
            .iter()
            .all(|told| *told == password(TOKEN) || *told == bearer)
    );
    assert!(here.told().len() >= 4, "clone, base, standing, push");
    assert!(!bench.contains(TOKEN) && !push.log.contains(TOKEN) && !ended.log.contains(TOKEN));
}

/// What runs in an agent's checkout, or what it left, may read its own environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_git_that_asks_no_remote_has_no_token_in_its_environment() {
    let mut bench = Bench::new();
    bench.origin(&["config", "http.receivepack", "true"]);
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    point(&mut bench, &here.serve().await);
    let (programs, told) = (bench.path("programs"), bench.path("environments"));
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::create_dir_all(&told).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\n{{ echo \"$*\"; echo --; env; }} > '{}'/$$\nPATH='{path}' exec git \"$@\"\n",
        told.display()
    );
    executable(&programs.join("git"), &script);
    let path = format!("{}:{path}", programs.display());
    bench.credential.push(("PATH".into(), path));
    let ended = bench.run_until("publish collect");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let push = bench.stage("publish push");
    assert!(push.report.commit.is_some(), "{}", push.log);

    let calls = std::fs::read_dir(&told).unwrap();
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
async fn a_host_that_one_is_sent_on_to_never_gets_the_token() {
    let other = GitHost::with(TOKEN, None);
    let here = GitHost::leading(other.serve().await);
    let mut bench = Bench::new();
    point(&mut bench, &here.serve().await);
    let prep = bench.stage("prep clone");
    prep.has_not_cloned();
    assert_eq!(other.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_that_is_no_known_forge_never_gets_the_token() {
    let here = GitHost::with(TOKEN, None);
    let mut bench = Bench::new();
    point(&mut bench, &here.serve().await);
    bench.manifest.forge = None;
    let prep = bench.stage("prep clone");
    let message = prep.report.message.unwrap();
    assert!(message.contains("none was given"), "{message}");
    assert_eq!(here.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_and_a_docs_repository_of_another_host_never_get_the_token() {
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
    let said = "The submodule libs/x cannot be brought along";
    assert!(prep.log.contains(said), "{}", prep.log);
    bench.manifest.docs = Some(DocsSource {
        repository_url: format!("{elsewhere}/docs.git"),
        directory: ".".into(),
        branch: None,
        known_host: false,
    });
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 1, "{}", prep.log);
    assert_eq!(other.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_repository_of_the_host_gets_the_token_only_where_the_settings_list_it() {
    let mut bench = Bench::new();
    let here = GitHost::with(TOKEN, Some(bench.path("")));
    point(&mut bench, &here.serve().await);
    let commit = bench.library("acme/private.git");
    bench.add_submodule("../acme/private.git", &commit);
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 0, "{}", prep.log);
    assert_eq!(here.told_at("/acme/private"), [""; 0]);
    assert!(
        prep.log.contains("[allow] submodules of the settings")
            && prep.log.contains("add \"acme/private\" there"),
        "{}",
        prep.log
    );
    for allowed in ["acme/private", "acme/*"] {
        bench.manifest.submodules = vec![allowed.into()];
        let prep = bench.stage("prep clone");
        assert!(prep.log.contains("Brought 1 submodule"), "{}", prep.log);
    }
    assert!(!here.told_at("/acme/private").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_program_is_asked_for_a_password_in_the_place_of_the_token() {
    let other = GitHost::with(TOKEN, None);
    let refusing = GitHost::with("another", None);
    let leading = GitHost::leading(other.serve().await);
    for (host, said) in [(refusing, "check the token"), (leading, "refused")] {
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
