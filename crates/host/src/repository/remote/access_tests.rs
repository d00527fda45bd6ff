//! Tests with remotes that require authentication: SSH with an agent, and credential helpers that fail or hang.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::repository::{fixture::Fixture, read};

/// Starts a server that always requires a password, and returns its URL.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/shop.git")
}

#[tokio::test]
async fn uses_ssh_of_the_user_without_prompting() {
    let fixture = Fixture::pushed().await;
    let (program, seen) = (
        fixture.directory.path().join("ssh"),
        fixture.directory.path().join("seen"),
    );
    // Runs the remote command locally, and records its environment.
    let script = format!(
        "#!/bin/sh\necho \"$SSH_ASKPASS_REQUIRE $GIT_TERMINAL_PROMPT\" > {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        seen.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fixture
        .git(&["config", "core.sshCommand", program.to_str().unwrap()])
        .await;
    fixture.git(&["config", "ssh.variant", "ssh"]).await;
    let url = format!("ssh://git@forge.example{}", fixture.origin.display());
    fixture.git(&["remote", "set-url", "origin", &url]).await;
    let facts = read(&fixture.root).await.unwrap();
    for mode in [PromptMode::Allowed, PromptMode::Never] {
        let answer = query_remote_as(&facts, mode, LIST_TIMEOUT).await.unwrap();
        assert_eq!(answer.commit.as_deref(), facts.commit());
        let seen = fs::read_to_string(&seen).unwrap();
        let prompts_never = seen.trim() == "force 0";
        let as_told = mode == PromptMode::Allowed && seen.trim() == "prefer 0";
        assert!(prompts_never || as_told, "{mode:?}: {seen}");
    }

    fs::write(
        &program,
        "#!/bin/sh\necho 'git@forge.example: Permission denied (publickey).' >&2\nexit 255\n",
    )
    .unwrap();
    let error = query_remote(&facts).await.unwrap_err();
    assert_eq!(error.failure(), Some(GitFailure::Auth), "{error}");
}

#[tokio::test]
async fn credential_helper_that_fails_or_hangs_is_an_error() {
    let fixture = Fixture::pushed().await;
    let url = server().await;
    fixture.git(&["remote", "set-url", "origin", &url]).await;
    fixture.git(&["config", "credential.helper", ""]).await;
    fixture
        .git(&["config", "--add", "credential.helper", "!false"])
        .await;
    let facts = read(&fixture.root).await.unwrap();
    for mode in [PromptMode::Allowed, PromptMode::Never] {
        let error = query_remote_as(&facts, mode, LIST_TIMEOUT)
            .await
            .unwrap_err();
        assert_eq!(error.failure(), Some(GitFailure::Auth), "{error}");
    }

    let pid = fixture.directory.path().join("pid");
    let hang = format!("!f() {{ echo $$ > {}; sleep 600; }}; f", pid.display());
    fixture
        .git(&["config", "--replace-all", "credential.helper", &hang])
        .await;
    let error = query_remote_as(&facts, PromptMode::Allowed, Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error}");
    let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let gone = || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"));
        state.map_or(true, |state| state.contains(") Z "))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !gone() && std::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    assert!(gone());
}
