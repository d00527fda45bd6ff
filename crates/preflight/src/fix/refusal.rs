//! Classifies rejected pushes by the server's output. Each Git host has its own wording.

/// Why a push was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The remote branch has commits the local branch lacks.
    Behind,
    /// The branch is protected; pushing another branch may work.
    Protected,
    /// No write access to the repository.
    NoWrite,
    /// Content of the commits: a secret, a large file, a private email address.
    Content,
    /// A server-side hook.
    Hook,
}

/// Output fragments and their meaning. The first match wins, so specific rows come before general ones.
const WORDS: &[(&str, Refusal)] = &[
    // GitHub
    ("GH001: Large files detected", Refusal::Content),
    ("GH007: Your push would publish", Refusal::Content),
    ("GH009: Secrets detected", Refusal::Content),
    ("Push cannot contain secrets", Refusal::Content),
    ("GITHUB PUSH PROTECTION", Refusal::Content),
    ("GH006: Protected branch update failed", Refusal::Protected),
    (
        "GH013: Repository rule violations found",
        Refusal::Protected,
    ),
    (
        "Changes must be made through a pull request",
        Refusal::Protected,
    ),
    (
        "This repository was archived so it is read-only",
        Refusal::NoWrite,
    ),
    (
        "The key you are authenticating with has been marked as read only",
        Refusal::NoWrite,
    ),
    ("Write access to repository not granted", Refusal::NoWrite),
    ("denied to ", Refusal::NoWrite),
    // GitLab
    (
        "You are not allowed to push code to protected branches",
        Refusal::Protected,
    ),
    (
        "You are not allowed to force push code to a protected branch",
        Refusal::Protected,
    ),
    (
        "You are not allowed to push code to this project",
        Refusal::NoWrite,
    ),
    (
        "This deploy key does not have write access",
        Refusal::NoWrite,
    ),
    ("The project is archived", Refusal::NoWrite),
    // Gitea and Forgejo
    (
        "Not allowed to push to protected branch",
        Refusal::Protected,
    ),
    ("User permission denied for writing", Refusal::NoWrite),
    // Bitbucket
    (
        "can only be modified through pull requests",
        Refusal::Protected,
    ),
    ("is restricted from being pushed to", Refusal::Protected),
    ("You don't have permission to push", Refusal::NoWrite),
    // Azure DevOps
    ("TF402455", Refusal::Protected),
    ("TF401027", Refusal::NoWrite),
    // Any server
    ("protected branch hook declined", Refusal::Protected),
    ("refusing to update checked out branch", Refusal::Protected),
    ("deny updating a hidden ref", Refusal::Protected),
    ("(fetch first)", Refusal::Behind),
    ("(non-fast-forward)", Refusal::Behind),
    ("(stale info)", Refusal::Behind),
    ("[remote rejected]", Refusal::Hook),
];

/// Classifies the output of `git push` and returns the relevant line; `None` if the server never responded.
pub(super) fn of(printed: &str) -> Option<(Refusal, String)> {
    let (words, refusal) = WORDS.iter().find(|(words, _)| printed.contains(words))?;
    let line = printed.lines().find(|line| line.contains(words))?;
    Some((*refusal, reason_line(printed, line)))
}

/// Strips prefixes from the line, and adds the message of a server-side hook.
fn reason_line(printed: &str, line: &str) -> String {
    let clean = |line: &str| {
        let line = line.trim_start_matches("remote:").trim();
        line.trim_start_matches("error:").trim().to_owned()
    };
    let reason = clean(line);
    if !line.contains("[remote rejected]") {
        return reason;
    }
    let last = printed
        .lines()
        .rev()
        .filter_map(|line| line.strip_prefix("remote:"))
        .map(clean)
        .find(|words| !words.is_empty());
    match last {
        Some(last) => format!("{last} ({reason})"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_server_output() {
        for (printed, refusal, said) in [
            (
                "To github.com:acme/shop.git\n ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs",
                Refusal::Behind,
                "! [rejected]        main -> main (fetch first)",
            ),
            (
                "remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: Changes must be made through a pull request.\nTo github.com:acme/shop.git\n ! [remote rejected] main -> main (protected branch hook declined)",
                Refusal::Protected,
                "GH006: Protected branch update failed for refs/heads/main.",
            ),
            (
                "remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: - Changes must be made through a pull request.\n ! [remote rejected] main -> main (push declined due to repository rule violations)",
                Refusal::Protected,
                "GH013: Repository rule violations found for refs/heads/main.",
            ),
            (
                "remote: error: GH013: Repository rule violations found for refs/heads/x.\nremote: - GITHUB PUSH PROTECTION\nremote:   - Push cannot contain secrets\n ! [remote rejected] x -> x (push declined due to repository rule violations)",
                Refusal::Content,
                "- Push cannot contain secrets",
            ),
            (
                "remote: GitLab: You are not allowed to push code to protected branches on this project.\nTo gitlab.com:acme/shop.git\n ! [remote rejected] main -> main (pre-receive hook declined)",
                Refusal::Protected,
                "GitLab: You are not allowed to push code to protected branches on this project.",
            ),
            (
                "remote: ERROR: You are not allowed to push code to this project.\nfatal: Could not read from remote repository.",
                Refusal::NoWrite,
                "ERROR: You are not allowed to push code to this project.",
            ),
            (
                "remote: Permission to acme/shop.git denied to ada.\nfatal: unable to access 'https://github.com/acme/shop/': The requested URL returned error: 403",
                Refusal::NoWrite,
                "Permission to acme/shop.git denied to ada.",
            ),
            (
                "ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read from remote repository.",
                Refusal::NoWrite,
                "ERROR: The key you are authenticating with has been marked as read only.",
            ),
            (
                "remote: Gitea: Not allowed to push to protected branch main\n ! [remote rejected] main -> main (pre-receive hook declined)",
                Refusal::Protected,
                "Gitea: Not allowed to push to protected branch main",
            ),
            (
                "remote: tests of the server fail\nTo /srv/x\n ! [remote rejected] x -> x (pre-receive hook declined)",
                Refusal::Hook,
                "tests of the server fail (! [remote rejected] x -> x (pre-receive hook declined))",
            ),
        ] {
            assert_eq!(of(printed), Some((refusal, said.to_owned())), "{printed}");
        }
        assert_eq!(of("fatal: Authentication failed for 'https://x/'"), None);
    }
}
