//! Messages of git 2.17 to 2.47, of curl, of ssh and of the Git hosts.

use super::*;

#[test]
fn recognizes_failures() {
    for (output, expected) in [
        // Pushes that the server rejects.
        (
            "To github.com:acme/shop.git\n ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs",
            Failure::NonFastForward,
        ),
        (" ! [rejected] x -> x (stale info)", Failure::NonFastForward),
        (
            " ! [rejected]        x -> x (non-fast-forward)\nerror: failed to push some refs to 'x'\nhint: Updates were rejected because the tip of your current branch is behind",
            Failure::NonFastForward,
        ),
        (
            " ! [remote rejected] x -> x (cannot lock ref 'refs/heads/x': is at 1 but expected 2)",
            Failure::NonFastForward,
        ),
        (
            " ! [remote rejected] x -> x (cannot lock ref 'refs/heads/x': reference already exists)",
            Failure::NonFastForward,
        ),
        (
            "remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: Changes must be made through a pull request.\nTo github.com:acme/shop.git\n ! [remote rejected] main -> main (protected branch hook declined)",
            Failure::Protected,
        ),
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: - Changes must be made through a pull request.\n ! [remote rejected] main -> main (push declined due to repository rule violations)",
            Failure::Protected,
        ),
        (
            "remote: GitLab: You are not allowed to push code to protected branches on this project.\nTo gitlab.com:acme/shop.git\n ! [remote rejected] main -> main (pre-receive hook declined)",
            Failure::Protected,
        ),
        (
            "remote: Gitea: Not allowed to push to protected branch main\n ! [remote rejected] main -> main (pre-receive hook declined)",
            Failure::Protected,
        ),
        (
            "remote: error: refusing to update checked out branch: refs/heads/main\n ! [remote rejected] main -> main (branch is currently checked out)",
            Failure::Protected,
        ),
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/x.\nremote: - GITHUB PUSH PROTECTION\nremote:   - Push cannot contain secrets\n ! [remote rejected] x -> x (push declined due to repository rule violations)",
            Failure::Content,
        ),
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/x.\nremote: - Commits must have verified signatures.\n ! [remote rejected] x -> x (push declined due to repository rule violations)",
            Failure::Content,
        ),
        (
            "remote: error: File big.bin is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB\nremote: error: GH001: Large files detected.\n ! [remote rejected] x -> x (pre-receive hook declined)",
            Failure::Content,
        ),
        (
            "remote: ERROR: You are not allowed to push code to this project.\nfatal: Could not read from remote repository.",
            Failure::ReadOnly,
        ),
        (
            "remote: Permission to acme/shop.git denied to ada.\nfatal: unable to access 'https://github.com/acme/shop/': The requested URL returned error: 403",
            Failure::ReadOnly,
        ),
        (
            "ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read from remote repository.",
            Failure::ReadOnly,
        ),
        (
            "remote: Write access to repository not granted.\nfatal: unable to access 'https://github.com/a/b/': The requested URL returned error: 403",
            Failure::ReadOnly,
        ),
        (
            "remote: error: cannot lock ref 'refs/heads/docs/x': 'refs/heads/docs' exists; cannot create 'refs/heads/docs/x'\n ! [remote rejected] docs/x -> docs/x (failed to update ref)",
            Failure::NameConflict,
        ),
        (
            " ! [remote rejected] docs/x -> docs/x (directory file conflict)",
            Failure::NameConflict,
        ),
        (
            "remote: error: cannot lock ref 'refs/heads/x': Unable to create '/srv/o/./refs/heads/x.lock': File exists.\n ! [remote rejected] x -> x (failed to update ref)",
            Failure::RefLocked,
        ),
        (
            "fatal: Unable to create '/home/ada/shop/.git/index.lock': File exists.\n\nAnother git process seems to be running in this repository",
            Failure::RefLocked,
        ),
        (
            "error: file write error: No space left on device\nfatal: unable to write sha1 file",
            Failure::DiskFull,
        ),
        (
            "remote: fatal: write error: No space left on device\nerror: remote unpack failed: index-pack failed\n ! [remote rejected] x -> x (unpacker error)",
            Failure::DiskFull,
        ),
        (
            "remote: tests of the server fail\nTo /srv/x\n ! [remote rejected] x -> x (pre-receive hook declined)",
            Failure::Rejected,
        ),
        // Commands that never reached the repository.
        (
            "fatal: couldn't find remote ref refs/heads/x",
            Failure::MissingBranch,
        ),
        (
            "fatal: Couldn't find remote ref x\nfatal: the remote end hung up unexpectedly",
            Failure::MissingBranch,
        ),
        (
            "warning: Could not find remote branch x to clone.\nfatal: Remote branch x not found in upstream origin",
            Failure::MissingBranch,
        ),
        (
            "fatal: detected dubious ownership in repository at '/srv/o.git'\nTo add an exception for this directory, call:",
            Failure::DubiousOwnership,
        ),
        (
            "fatal: unsafe repository ('/srv/o.git' is owned by someone else)",
            Failure::DubiousOwnership,
        ),
        (
            "No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed.\nfatal: Could not read from remote repository.",
            Failure::HostKey,
        ),
        (
            "fatal: unable to access 'https://x/': CONNECT tunnel failed, response 407",
            Failure::Proxy,
        ),
        (
            "fatal: unable to access 'https://x/': Received HTTP code 407 from proxy after CONNECT",
            Failure::Proxy,
        ),
        (
            "fatal: unable to access 'http://x/': The requested URL returned error: 407",
            Failure::Proxy,
        ),
        (
            "fatal: unable to access 'https://x/': Could not resolve proxy: proxy.example",
            Failure::Proxy,
        ),
        (
            "fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate",
            Failure::Certificate,
        ),
        (
            "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none CRLfile: none",
            Failure::Certificate,
        ),
        (
            "fatal: unable to access 'https://x/': SSL: no alternative certificate subject name matches target host name 'x'",
            Failure::Certificate,
        ),
        (
            "fatal: Authentication failed for 'https://x/'",
            Failure::Auth,
        ),
        (
            "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            Failure::Auth,
        ),
        (
            "fatal: could not read Password for 'https://ada@x': No such device or address",
            Failure::Auth,
        ),
        (
            "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            Failure::Auth,
        ),
        (
            "fatal: unable to access 'https://x/': The requested URL returned error: 403",
            Failure::Auth,
        ),
        (
            "remote: HTTP Basic: Access denied. The provided password or token is incorrect\nfatal: Authentication failed for 'https://gitlab.com/a/b.git/'",
            Failure::Auth,
        ),
        (
            "remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found",
            Failure::NotFound,
        ),
        (
            "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
            Failure::NotFound,
        ),
        (
            "remote: The project you were looking for could not be found or you don't have permission to view it.\nfatal: repository 'https://gitlab.com/a/b.git/' not found",
            Failure::NotFound,
        ),
        (
            "fatal: '/srv/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
            Failure::NotFound,
        ),
        (
            "fatal: repository '/srv/x' does not exist",
            Failure::NotFound,
        ),
        (
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            Failure::Network,
        ),
        (
            "ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.",
            Failure::Network,
        ),
        (
            "ssh: Could not resolve hostname x: Temporary failure in name resolution",
            Failure::Network,
        ),
        (
            "error: RPC failed; HTTP 503\nfatal: the remote end hung up unexpectedly",
            Failure::Network,
        ),
        (
            "fatal: unable to access 'https://x/': gnutls_handshake() failed: The TLS connection was non-properly terminated.",
            Failure::Network,
        ),
        (
            "fatal: unable to access 'https://x/': Failed to connect to x port 443 after 3 ms: Couldn't connect to server",
            Failure::Network,
        ),
        // Git itself.
        (
            "git: 'for-each-repo' is not a git command. See 'git --help'.",
            Failure::OldGit,
        ),
        ("error: unknown option `write-tree'", Failure::OldGit),
        ("fatal: bad object", Failure::Other),
        ("fatal: protocol error", Failure::Other),
        ("", Failure::Other),
    ] {
        assert_eq!(GitFailure::of(output), expected, "{output}");
    }
}

#[test]
fn fragments_are_lower_case_and_every_failure_is_explained() {
    let mut names = Vec::new();
    for (failure, fragments) in FAILURES {
        assert!(!fragments.is_empty(), "{failure:?}");
        for fragment in *fragments {
            assert_eq!(*fragment, fragment.to_lowercase());
        }
        assert!(!failure.summary("x").is_empty() && !failure.advice().is_empty());
        names.push(failure.name());
    }
    names.sort_unstable();
    names.dedup();
    // A proxy and the network share one reason.
    assert_eq!(names.len(), FAILURES.len() - 1);
}

fn failed(output: &str) -> String {
    let error = GitError::Failed {
        command: "push".into(),
        code: Some(1),
        stderr: output.into(),
    };
    error_summary(&error)
}

#[test]
fn keeps_the_message_of_the_remote() {
    for (output, expected) in [
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/x.\nremote: \nremote: - Commits must have verified signatures.\nremote: \nTo x\n ! [remote rejected] x -> x (push declined due to repository rule violations)\nerror: failed to push some refs to 'x'",
            "GH013: Repository rule violations found for refs/heads/x. / - Commits must have verified signatures. (push declined due to repository rule violations)",
        ),
        (
            "remote: Resolving deltas: 100% (1/1), done.\nremote: ============\nremote: not on a Friday\n ! [remote rejected] x -> x (pre-receive hook declined)",
            "not on a Friday (pre-receive hook declined)",
        ),
        (
            "remote: GitLab: \u{1b}[31mno\u{1b}[0m\nremote: GitLab: \u{1b}[31mno\u{1b}[0m",
            "GitLab: ␛[31mno␛[0m",
        ),
        (
            "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
            "Repository not found.",
        ),
        (
            "remote: see https://ada:s3cret@x/y for why",
            "see https://x/y for why",
        ),
        // Without one, git's own error.
        (
            "To x\n ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs to 'x'",
            "! [rejected]        main -> main (fetch first)",
        ),
        (
            "git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "git@x: Permission denied (publickey).",
        ),
        (
            "warning: x\nfatal: unable to access 'https://u:secret@x/': The requested URL returned error: 403",
            "unable to access 'https://x/': The requested URL returned error: 403",
        ),
        ("", "git push: failed without a message"),
    ] {
        assert_eq!(failed(output), expected, "{output}");
    }
}

#[test]
fn long_message_of_the_remote_is_cut() {
    let flood = "remote: a line of a chatty hook that goes on and on for no reason at all, line ";
    let lines: Vec<String> = (0..1000).map(|n| format!("{flood}{n}")).collect();
    let output = lines.join("\n");
    let message = failed(&output);
    assert!(
        message.contains("line 0") && !message.contains("line 6"),
        "{message}"
    );
    assert!(text::width(&message) <= WIDTH);
}
