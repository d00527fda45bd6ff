//! Names, labels and annotations: deterministic from a run and its uid, so that creating twice is a conflict, not a double.

use sha2::{Digest, Sha256};

use super::{RunKind, Stage};

/// Value of `app.kubernetes.io/managed-by`, and our field manager.
pub const MANAGER: &str = "flightdeck";
/// Finalizer of both kinds.
pub const FINALIZER: &str = "flightdeck.dev/run";

/// Name of the Lease that a controller holds while it works, in the namespace of the runs.
pub const LEASE: &str = "flightdeck-controller";

/// `app.kubernetes.io/managed-by`.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Name of the run, on everything it owns.
pub const LABEL_RUN: &str = "flightdeck.dev/run";
/// Uid of the run, on everything it owns.
pub const LABEL_RUN_UID: &str = "flightdeck.dev/run-uid";
/// `docs` or `code`.
pub const LABEL_KIND: &str = "flightdeck.dev/kind";
/// `prep`, `agent` or `publish`, on Jobs and pods.
pub const LABEL_STAGE: &str = "flightdeck.dev/stage";
/// Context version, on Jobs and pods.
pub const LABEL_VERSION: &str = "flightdeck.dev/context-version";
/// Attempt within stage and version, on Jobs and pods.
pub const LABEL_ATTEMPT: &str = "flightdeck.dev/attempt";
/// On ConfigMaps that outlive a stage's pod: what is kept ([`KEPT_LOG`]).
pub const LABEL_KEPT: &str = "flightdeck.dev/kept";
/// Value of [`LABEL_KEPT`] on the end of a stage's log.
pub const KEPT_LOG: &str = "log";
/// [`repository_label`] of the repository, on runs: which repository's console shows it.
pub const LABEL_REPOSITORY: &str = "flightdeck.dev/repository";
/// Who launched a run.
pub const ANNOTATION_LAUNCHED_BY: &str = "flightdeck.dev/launched-by";
/// Version of the program that launched a run.
pub const ANNOTATION_LAUNCHED_FROM: &str = "flightdeck.dev/launched-from";
/// Comma-separated names of environment variables that a container may take from the node's own environment, written as
/// `<container>=NAME,NAME;<container>=NAME`. Only the embedded node obeys it; a real kubelet has nothing to give.
pub const ANNOTATION_INHERIT_ENV: &str = "embedded.flightdeck.dev/inherit-env";

/// Longest Job name: its pods get a suffix, and 63 is the limit of a label.
const JOB_NAME_LIMIT: usize = 57;

/// A word for labels and names: lower case, only `[a-z0-9-]`, no dash at either end, at most `limit` bytes.
#[must_use]
pub fn slug(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
        if out.len() >= limit {
            break;
        }
    }
    out.truncate(limit);
    out.trim_end_matches('-').to_owned()
}

/// First `digits` hex digits of the SHA-256 of `text`.
#[must_use]
pub fn hash(text: &str, digits: usize) -> String {
    let mut hex = format!("{:x}", Sha256::digest(text.as_bytes()));
    hex.truncate(digits);
    hex
}

/// Name of a new run: `docs-<topic>-<salt>` or `code-<task>-<salt>`. `salt` is what makes it unique (4 hex digits).
#[must_use]
pub fn run_name(kind: RunKind, topic: &str, salt: &str) -> String {
    let topic = slug(topic, 24);
    if topic.is_empty() {
        format!("{kind}-{salt}")
    } else {
        format!("{kind}-{topic}-{salt}")
    }
}

/// The folder of a run on its workspace, relative to it. Other runs write to the same workspace, and know the names of runs to
/// come, but no uid: what is found here was put here by the run itself.
#[must_use]
pub fn run_directory(uid: &str) -> String {
    format!("runs/{uid}")
}

/// Default branch a run pushes to.
#[must_use]
pub fn target_branch(kind: RunKind, run: &str, task: &str) -> String {
    match kind {
        RunKind::Docs => format!("docs/{run}"),
        RunKind::Code => format!("feature/task-{task}-{run}"),
    }
}

/// `<run>-<uid8>-<rest>`: only the run's name is ever cut, never what makes the name unique.
fn owned_name(run: &str, uid: &str, rest: &str) -> String {
    let uid8: String = uid
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(8)
        .collect();
    let tail = format!("-{uid8}-{rest}");
    let name = slug(run, JOB_NAME_LIMIT.saturating_sub(tail.len()));
    format!("{name}{tail}")
}

/// Name of the ConfigMap that keeps the end of a Job's log.
#[must_use]
pub fn kept_name(job: &str) -> String {
    format!("{job}-log")
}

/// Name of the Job of one attempt.
#[must_use]
pub fn job_name(run: &str, uid: &str, stage: Stage, version: i32, attempt: i32) -> String {
    owned_name(run, uid, &format!("{stage}-v{version}-{attempt}"))
}

/// Name of the ConfigMap with the files of one context version.
#[must_use]
pub fn config_map_name(run: &str, uid: &str, version: i32) -> String {
    owned_name(run, uid, &format!("files-v{version}"))
}

/// Name of a docs run's own workspace.
#[must_use]
pub fn docs_workspace_name(run: &str, uid: &str) -> String {
    owned_name(run, uid, "workspace")
}

/// Name of the workspace that the code runs of a service and repository share.
#[must_use]
pub fn code_workspace_name(service: &str, repository_url: &str) -> String {
    format!(
        "flightdeck-{}-{}",
        slug(service, 40),
        hash(&normalised_url(repository_url), 8)
    )
}

/// Label value that tells repositories apart: a hash of the normalised URL.
#[must_use]
pub fn repository_label(url: &str) -> String {
    hash(&normalised_url(url), 16)
}

/// The same repository in one spelling: `host/owner/name` for URLs and scp-like addresses, the path itself for a path.
#[must_use]
pub fn normalised_url(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    let (rest, is_url) = match url.split_once("://") {
        Some(("file", path)) => return path.to_owned(),
        Some((_, rest)) => (rest, true),
        None => (url, false),
    };
    if !is_url && (rest.starts_with(['/', '.']) || !rest.contains(':')) {
        return rest.to_owned();
    }
    let rest = match rest.split_once('/') {
        Some((host, _)) if host.contains('@') => &rest[host.rfind('@').map_or(0, |at| at + 1)..],
        None if rest.contains('@') => &rest[rest.find('@').map_or(0, |at| at + 1)..],
        _ => rest,
    };
    if is_url {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.split(':').next().unwrap_or(host);
        format!("{}/{path}", host.to_lowercase())
    } else {
        let (host, path) = rest.split_once(':').unwrap_or((rest, ""));
        format!("{}/{}", host.to_lowercase(), path.trim_start_matches('/'))
    }
}

/// The host a repository is asked of, in lower case; `None` for a path of the machine. An address that no host can be told of
/// for certain gives an empty one, which no list of hosts has.
#[must_use]
pub fn host(url: &str) -> Option<String> {
    let authority = match url.trim().split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => return None,
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        // `user@host:path`, which git takes for a host only while no slash comes first.
        None => match url.trim().split_once(':') {
            Some((authority, _)) if !authority.contains('/') => authority,
            _ => return None,
        },
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    let certain = host.chars().all(plain) && !authority.contains('\\');
    Some(if certain {
        host.to_lowercase()
    } else {
        String::new()
    })
}

/// The path of a repository on its host, without `.git`; `None` for a path of the machine, and for one that a server may read as
/// another's.
#[must_use]
pub fn repository_path(url: &str) -> Option<String> {
    host(url).filter(|host| !host.is_empty())?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~+:/@".contains(c);
    let normalised = normalised_url(url);
    let (_, path) = normalised.split_once('/')?;
    (url.chars().all(plain) && is_repository_path(path)).then(|| path.to_owned())
}

/// Whether a path names a repository on a host in only one way.
#[must_use]
pub fn is_repository_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~+".contains(c);
    let plain =
        |part: &str| !part.is_empty() && ![".", ".."].contains(&part) && part.chars().all(plain);
    path.split('/').all(plain) && !path.ends_with(".git")
}

/// `""` for the repository root, else the directory with a slash behind it.
#[must_use]
pub fn directory_prefix(working_directory: &str) -> String {
    let trimmed = working_directory.trim_start_matches("./").trim_matches('/');
    if trimmed.is_empty() || trimmed == "." {
        String::new()
    } else {
        format!("{trimmed}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f";

    #[test]
    fn the_longest_run_name_leaves_what_is_unique_whole() {
        let job = job_name(&"a.b".repeat(84), UID, Stage::Publish, 12, 3);
        assert!(job.len() <= JOB_NAME_LIMIT, "{job}");
        assert!(job.ends_with("-0f2c6c1e-publish-v12-3"), "{job}");
        assert!(!job.contains('.'));
    }

    #[test]
    fn every_spelling_of_a_repository_is_one_repository() {
        for url in [
            "https://github.com/acme/shop.git",
            "https://GitHub.com/acme/shop/",
            "https://token@github.com/acme/shop",
            "ssh://git@github.com:22/acme/shop.git",
            "git@github.com:acme/shop.git",
            "github.com:acme/shop",
        ] {
            assert_eq!(normalised_url(url), "github.com/acme/shop", "{url}");
        }
        assert_eq!(normalised_url("file:///srv/shop.git"), "/srv/shop");
        assert_eq!(normalised_url("/srv/shop.git"), "/srv/shop");
    }

    #[test]
    fn a_repository_path_has_one_spelling() {
        for (url, expected) in [
            ("https://github.com/acme/shop.git", Some("acme/shop")),
            ("https://ada@github.com:443/acme/shop/", Some("acme/shop")),
            ("git@github.com:acme/shop.git", Some("acme/shop")),
            (
                "ssh://git@github.com:22/acme/sub/shop",
                Some("acme/sub/shop"),
            ),
            ("https://github.com/acme/../other/shop", None),
            ("https://github.com/acme/./shop", None),
            ("https://github.com/acme//shop", None),
            ("https://github.com/acme/%2e%2e/shop", None),
            ("https://github.com/acme/shop?x", None),
            ("https://github.com/acme/shop#x", None),
            ("https://github.com/acme/shop.git.git", None),
            ("ssh://github.com?@evil.example/acme/shop", None),
            ("https://evil.example\\@github.com/acme/shop", None),
            ("https://github.com/acme/sh op", None),
            ("https://github.com", None),
            ("/srv/acme/shop.git", None),
        ] {
            assert_eq!(repository_path(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn slugs_are_dns_labels() {
        for (text, expected) in [
            ("feature/Checkout", "feature-checkout"),
            ("--", ""),
            ("Ünï x", "n-x"),
            ("a..b", "a-b"),
        ] {
            assert_eq!(slug(text, 24), expected, "{text}");
        }
    }

    #[test]
    fn working_directories_become_prefixes() {
        for (directory, prefix) in [
            (".", ""),
            ("", ""),
            ("./apps/web/", "apps/web/"),
            ("apps", "apps/"),
        ] {
            assert_eq!(directory_prefix(directory), prefix, "{directory}");
        }
    }

    #[test]
    fn the_host_of_an_address_is_the_one_that_is_really_asked() {
        for (url, expected) in [
            ("https://github.com/acme/shop", Some("github.com")),
            ("https://Ada:x@GitHub.com:8443/acme", Some("github.com")),
            ("https://evil.example#@github.com/x", Some("evil.example")),
            ("https://evil.example?@github.com/x", Some("evil.example")),
            ("https://evil.example\\@github.com/x", Some("")),
            ("https://github.com%2eevil.example/x", Some("")),
            ("ssh://git@[::1]:22/x", Some("::1")),
            ("git@github.com:acme/shop.git", Some("github.com")),
            ("/srv/a:b.git", None),
            ("../shop.git", None),
            ("FILE:///srv/shop.git", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
    }
}
