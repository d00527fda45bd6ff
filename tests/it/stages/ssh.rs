//! A repository over SSH, using only the container's key and host keys.

use std::fs;

use super::bench::Bench;
use flightdeck_core::runs::reason;

/// A fake ssh that records its calls and runs the remote command locally.
const SSH: &str = r#"#!/bin/sh
{ for word in "$@"; do echo "[$word]"; done; env | grep -E '^(SSH_|GITHUB_)'; echo; } >> "$ASKED"
for word in "$@"; do last=$word; done
exec sh -c "$last"
"#;

/// Runs over SSH with a key; the calls of ssh are in `asked`.
fn bench(ssh: &str) -> Bench {
    let mut bench = Bench::new();
    for directory in ["programs", "the key's folder"] {
        fs::create_dir(bench.path(directory)).unwrap();
    }
    let program = bench.path("programs/ssh");
    fs::write(&program, ssh).unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    fs::write(bench.path("the key's folder/key"), "a key").unwrap();
    let path = std::env::var("PATH").unwrap();
    let shown = |name: &str| bench.path(name).display().to_string();
    let origin = format!("ssh://git@forge.example{}", shown("origin.git"));
    bench.credential = vec![
        ("PATH".into(), format!("{}:{path}", shown("programs"))),
        ("ASKED".into(), shown("asked")),
        ("SSH_FILES".into(), shown("the key's folder")),
        ("SSH_AUTH_SOCK".into(), "the account's agent".into()),
        ("GITHUB_TOKEN".into(), "ghp_not_for_ssh".into()),
    ];
    bench.manifest.repository_url = origin;
    bench.run_file("known_hosts", "forge.example ssh-ed25519 AAAA\n");
    bench
}

#[test]
fn ssh_uses_only_the_runs_key_and_known_hosts() {
    let bench = bench(SSH);
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(
        ended.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"]))
    );
    let asked = fs::read_to_string(bench.path("asked")).unwrap();
    let calls: Vec<&str> = asked
        .split("\n\n")
        .filter(|call| !call.is_empty())
        .collect();
    assert!(calls.len() >= 3, "clone, base, push: {asked}");
    let key = format!("[-i]\n[{}]", bench.path("the key's folder/key").display());
    let known = format!(
        "[UserKnownHostsFile=\"{}\"]",
        bench.path("run-files/known_hosts").display()
    );
    for call in calls {
        for part in [
            "[-F]\n[none]",
            key.as_str(),
            known.as_str(),
            "[StrictHostKeyChecking=yes]",
            "[BatchMode=yes]",
            "[IdentitiesOnly=yes]",
            "[git@forge.example]",
        ] {
            assert!(call.contains(part), "{part} is missing in {call}");
        }
        assert!(
            !call.contains("SSH_AUTH_SOCK") && !call.contains("GITHUB_TOKEN"),
            "{call}"
        );
    }
}

#[test]
fn ssh_key_is_used_only_for_listed_submodules() {
    let mut bench = bench(SSH);
    let commit = bench.library("acme/private.git");
    bench.add_submodule("../acme/private.git", &commit);
    let path = bench.path("acme/private").display().to_string();
    let listed = path.trim_start_matches('/').to_owned();
    for (submodules, with_key) in [(vec![], false), (vec![listed], true)] {
        bench.manifest.submodules = submodules;
        fs::write(bench.path("asked"), "").unwrap();
        let prep = bench.stage("prep clone");
        assert_eq!(prep.code, 0, "{}", prep.log);
        let asked = fs::read_to_string(bench.path("asked")).unwrap();
        let mut calls = asked.split("\n\n").filter(|call| call.contains(&path));
        let with = calls.next().unwrap().contains("[-i]");
        assert_eq!(with, with_key, "{asked}");
    }
}

#[test]
fn host_keys_of_the_secret_override_the_settings() {
    let bench = bench(SSH);
    let own = bench.path("the key's folder/known_hosts");
    fs::write(&own, "forge.example ssh-ed25519 BBBB\n").unwrap();
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 0, "{}", prep.log);
    let asked = fs::read_to_string(bench.path("asked")).unwrap();
    let known = format!("[UserKnownHostsFile=\"{}\"]", own.display());
    assert!(asked.contains(&known), "{asked}");
}

#[test]
fn unknown_host_key_has_a_hint() {
    let bench = bench("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n");
    let prep = bench.stage("prep clone");
    assert_eq!(
        (prep.code, prep.report.reason.as_deref()),
        (1, Some(reason::CLONE_FAILED))
    );
    let message = prep.report.message.unwrap();
    assert!(message.contains("[git] known_hosts"), "{message}");
}
