//! Names, labels and annotations of Kubernetes objects. Names are deterministic, so creating an object twice is a
//! conflict and not a duplicate.

use sha2::{Digest, Sha256};

use super::{RunKind, Stage};
use crate::remote_url::{self, RemoteUrl};

/// Value of `app.kubernetes.io/managed-by`, and field manager.
pub const MANAGER: &str = "flightdeck";
/// Finalizer of runs.
pub const FINALIZER: &str = "flightdeck.dev/run";

/// Name of the Lease that the active controller holds, in the namespace of the runs.
pub const LEASE: &str = "flightdeck-controller";

/// `app.kubernetes.io/managed-by`.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Name of the run, on every object it owns.
pub const LABEL_RUN: &str = "flightdeck.dev/run";
/// UID of the run, on every object it owns.
pub const LABEL_RUN_UID: &str = "flightdeck.dev/run-uid";
/// `docs` or `code`.
pub const LABEL_KIND: &str = "flightdeck.dev/kind";
/// `prep`, `agent` or `publish`, on Jobs and pods.
pub const LABEL_STAGE: &str = "flightdeck.dev/stage";
/// Context version, on Jobs and pods.
pub const LABEL_VERSION: &str = "flightdeck.dev/context-version";
/// Attempt within stage and version, on Jobs and pods.
pub const LABEL_ATTEMPT: &str = "flightdeck.dev/attempt";
/// What a ConfigMap archives after the pod is gone, see [`ARCHIVED_LOG`].
pub const LABEL_ARCHIVE: &str = "flightdeck.dev/archive";
/// Value of [`LABEL_ARCHIVE`] for the tail of the log of a stage.
pub const ARCHIVED_LOG: &str = "log";
/// Repository of a run, see [`repository_label`].
pub const LABEL_REPOSITORY: &str = "flightdeck.dev/repository";
/// User who launched the run.
pub const ANNOTATION_LAUNCHED_BY: &str = "flightdeck.dev/launched-by";
/// Version of Flightdeck that launched the run.
pub const ANNOTATION_LAUNCHED_FROM: &str = "flightdeck.dev/launched-from";
/// Environment variables that a container inherits from the node, as `<container>=NAME,NAME;<container>=NAME`. Only
/// the embedded node supports this annotation.
pub const ANNOTATION_INHERIT_ENV: &str = "embedded.flightdeck.dev/inherit-env";

/// Maximum length of a Job name: pods append a suffix, and labels are limited to 63 characters.
const JOB_NAME_LIMIT: usize = 57;

/// Returns `text` as a DNS label of at most `limit` bytes: lower case, `[a-z0-9-]`, no dash at either end.
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

/// Returns the first `digits` hex digits of the SHA-256 of `text`.
#[must_use]
pub fn hash(text: &str, digits: usize) -> String {
    let mut hex = format!("{:x}", Sha256::digest(text.as_bytes()));
    hex.truncate(digits);
    hex
}

/// Returns the name of a new run: `docs-<topic>-<salt>` or `code-<task>-<salt>`. `salt` (4 hex digits) makes it
/// unique.
#[must_use]
pub fn run_name(kind: RunKind, topic: &str, salt: &str) -> String {
    let topic = slug(topic, 24);
    if topic.is_empty() {
        format!("{kind}-{salt}")
    } else {
        format!("{kind}-{topic}-{salt}")
    }
}

/// Returns the folder of a run on its workspace, relative to it. Other runs write to the same workspace and know the names of
/// future runs, but no uid: what is in this folder was written by the run itself.
#[must_use]
pub fn run_directory(uid: &str) -> String {
    format!("runs/{uid}")
}

/// Returns the default branch that a run pushes to.
#[must_use]
pub fn target_branch(kind: RunKind, run: &str, task: &str) -> String {
    let folder = branch_folder(kind);
    match kind {
        RunKind::Docs => format!("{folder}/{run}"),
        RunKind::Code => format!("{folder}/task-{task}-{run}"),
    }
}

/// Returns the folder of the branches that runs of a kind push to by default. Git cannot store a branch of that name beside them.
#[must_use]
pub const fn branch_folder(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Docs => "docs",
        RunKind::Code => "feature",
    }
}

/// Returns `<run>-<uid8>-<rest>`. Only the name of the run is truncated, so the result stays unique.
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

/// Returns the name of the ConfigMap with the archived log of a Job.
#[must_use]
pub fn log_archive_name(job: &str) -> String {
    format!("{job}-log")
}

/// Returns the name of the Job of one attempt.
#[must_use]
pub fn job_name(run: &str, uid: &str, stage: Stage, version: i32, attempt: i32) -> String {
    owned_name(run, uid, &format!("{stage}-v{version}-{attempt}"))
}

/// Returns the name of the ConfigMap with the files of one context version.
#[must_use]
pub fn config_map_name(run: &str, uid: &str, version: i32) -> String {
    owned_name(run, uid, &format!("files-v{version}"))
}

/// Returns the name of the workspace of a docs run.
#[must_use]
pub fn docs_workspace_name(run: &str, uid: &str) -> String {
    owned_name(run, uid, "workspace")
}

/// Returns the name of the workspace that the code runs of a service and repository share.
#[must_use]
pub fn code_workspace_name(service: &str, repository_url: &str) -> String {
    format!(
        "flightdeck-{}-{}",
        slug(service, 40),
        hash(&remote_url::identity(repository_url), 8)
    )
}

/// Returns the label value of a repository: a hash of its [identity](remote_url::identity).
#[must_use]
pub fn repository_label(url: &str) -> String {
    hash(&remote_url::identity(url), 16)
}

/// Returns the path of a repository on its host, without `.git`; `None` for a local path, and for one that a server might read as
/// a different path.
#[must_use]
pub fn repository_path(url: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~+:/@".contains(c);
    let parsed = RemoteUrl::parse(url).ok()?;
    parsed.host()?;
    let path = parsed.path();
    (url.chars().all(plain) && is_repository_path(path)).then(|| path.to_owned())
}

/// Returns whether a path has only one spelling on a host.
#[must_use]
pub fn is_repository_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~+".contains(c);
    let plain =
        |part: &str| !part.is_empty() && ![".", ".."].contains(&part) && part.chars().all(plain);
    path.split('/').all(plain) && path.strip_suffix(".git").is_none()
}

/// Returns the working directory as a path prefix: empty for the repository root, otherwise with a trailing slash.
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
    fn truncates_run_name_but_not_suffix() {
        let job = job_name(&"a.b".repeat(84), UID, Stage::Publish, 12, 3);
        assert!(job.len() <= JOB_NAME_LIMIT, "{job}");
        assert!(job.ends_with("-0f2c6c1e-publish-v12-3"), "{job}");
        assert!(!job.contains('.'));
    }

    #[test]
    fn repository_label_is_stable() {
        // Labels are stored on runs, so a change here hides existing runs.
        for (address, label) in [
            ("https://github.com/acme/shop.git", "c566806a55dcd4dd"),
            ("git@github.com:acme/shop.git", "c566806a55dcd4dd"),
            ("ssh://git@github.com:22/acme/shop", "c566806a55dcd4dd"),
            (
                "https://gitlab.example/group/sub/shop.git",
                "08daf7f76ca18fa6",
            ),
            ("http://127.0.0.1:3000/acme/shop", "6fc25886d8526db5"),
            ("/srv/git/shop.git", "8ed35a87473a6217"),
            ("file:///srv/git/shop.git", "8ed35a87473a6217"),
        ] {
            assert_eq!(repository_label(address), label, "{address}");
        }
    }

    #[test]
    fn repository_path_is_normalised_or_rejected() {
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
    fn formats_directory_prefix() {
        for (directory, prefix) in [
            (".", ""),
            ("", ""),
            ("./apps/web/", "apps/web/"),
            ("apps", "apps/"),
        ] {
            assert_eq!(directory_prefix(directory), prefix, "{directory}");
        }
    }
}
