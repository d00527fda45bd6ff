//! Verifies that the cloned tasks are those seen at launch. Pure.

use flightdeck_core::{
    runs::{RunManifest, StageReport, naming, reason},
    tasks::{self, Tag},
};

/// A `tasks.json` of the cloned commit.
pub(crate) struct Found {
    pub path: String,
    pub blob: String,
    pub bytes: Vec<u8>,
}

/// Returns the paths of the plan to try, in order: the one pre-flight saw, else the two standard paths.
pub(crate) fn candidates(manifest: &RunManifest) -> Vec<String> {
    if let Some(revision) = &manifest.tasks_revision {
        return vec![revision.path.clone()];
    }
    let prefix = naming::directory_prefix(manifest.plan_directory());
    [".taskmaster/tasks/tasks.json", "tasks/tasks.json"]
        .map(|path| format!("{prefix}{path}"))
        .to_vec()
}

/// Compares the plan found at `commit` with the run's claim. Returns the report and lines for the log.
///
/// # Errors
/// A message that names both sides; the run must stop.
pub(crate) fn verify(
    manifest: &RunManifest,
    commit: &str,
    found: Option<&Found>,
) -> Result<(StageReport, Vec<String>), String> {
    let branch = manifest.plan_branch();
    let claim = manifest.tasks_revision.as_ref();
    let Some(found) = found else {
        return Err(match claim {
            Some(claim) => format!(
                "{} was verified as blob {} at commit {}, but {branch} is now at commit {commit}, which does not have the file",
                claim.path, claim.blob, claim.commit
            ),
            None => format!(
                "{branch} at commit {commit} has no {}",
                candidates(manifest).join(" and no ")
            ),
        });
    };
    let path = &found.path;
    if let Some(claim) = claim.filter(|claim| claim.blob != found.blob) {
        return Err(format!(
            "{path} was verified as blob {} at commit {}, but {branch} is now at commit {commit} with blob {}; review the tasks, then launch again",
            claim.blob, claim.commit, found.blob
        ));
    }
    let file = tasks::read(&found.bytes)
        .map_err(|error| format!("{path} at commit {commit} is not a valid task file: {error}"))?;
    let Some(tag) = file.tag(&manifest.tag) else {
        let names: Vec<_> = file.tags.iter().map(|tag| tag.name.as_str()).collect();
        return Err(format!(
            "no tag {} in {path} at commit {commit}; available tags: {}",
            manifest.tag,
            names.join(", ")
        ));
    };
    let unknown: Vec<_> = manifest
        .task_ids
        .iter()
        .filter(|id| tag.task(id).is_none())
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(format!(
            "{path} at commit {commit} has no task {} in the tag {}",
            unknown.join(", "),
            manifest.tag
        ));
    }
    let verified = if claim.is_some() {
        reason::VERIFIED
    } else {
        reason::NOT_CLAIMED
    };
    let report = StageReport {
        commit: Some(commit.to_owned()),
        tasks_blob: Some(found.blob.clone()),
        tasks: Some(tag.tasks.len()),
        tasks_verified: Some(verified.to_owned()),
        ..StageReport::default()
    };
    Ok((report, log_lines(found, tag, claim.is_some())))
}

fn log_lines(found: &Found, tag: &Tag, claimed: bool) -> Vec<String> {
    let origin = if claimed {
        "as verified at launch"
    } else {
        "not verified at launch"
    };
    let first = tag.tasks.first().map_or("", |task| task.title.as_str());
    vec![
        format!("{} is blob {}: {origin}.", found.path, found.blob),
        format!(
            "Tag {} has {}; first: \"{first}\".",
            tag.name,
            flightdeck_core::text::count(tag.tasks.len(), "task")
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::policy::tests::manifest;
    use flightdeck_core::resources::TasksRevision;

    fn found(blob: &str) -> Found {
        Found {
            path: "tasks.json".into(),
            blob: blob.into(),
            bytes: br#"{"master":{"tasks":[{"id":1,"title":"Setup"},{"id":2,"title":"Two"}]}}"#
                .to_vec(),
        }
    }

    fn claiming(blob: &str) -> RunManifest {
        RunManifest {
            tasks_revision: Some(TasksRevision {
                path: "tasks.json".into(),
                blob: blob.into(),
                commit: "c0".into(),
            }),
            ..manifest()
        }
    }

    #[test]
    fn verifies_tasks_by_blob_not_by_commit() {
        let (report, lines) = verify(&claiming("b1"), "c9", Some(&found("b1"))).unwrap();
        assert_eq!(report.tasks_verified.as_deref(), Some(reason::VERIFIED));
        assert_eq!(
            (report.tasks, report.commit.as_deref()),
            (Some(2), Some("c9"))
        );
        assert!(lines[1].contains("\"Setup\""));
        let (report, _) = verify(&manifest(), "c9", Some(&found("b1"))).unwrap();
        assert_eq!(report.tasks_verified.as_deref(), Some(reason::NOT_CLAIMED));
    }

    #[test]
    fn mismatch_message_names_both_sides() {
        let other = verify(&claiming("b1"), "c9", Some(&found("b2"))).unwrap_err();
        for word in ["b1", "b2", "c0", "c9"] {
            assert!(other.contains(word), "{word}: {other}");
        }
        let gone = verify(&claiming("b1"), "c9", None).unwrap_err();
        assert!(gone.contains("b1") && gone.contains("c9"), "{gone}");
        assert!(!other.contains('\n') && !gone.contains('\n'));
    }

    #[test]
    fn names_a_missing_tag_or_task() {
        let tag = RunManifest {
            tag: "v2".into(),
            ..manifest()
        };
        let error = verify(&tag, "c9", Some(&found("b"))).unwrap_err();
        assert!(
            error.starts_with("no tag v2 in ") && error.ends_with("; available tags: master"),
            "{error}"
        );
        let task = RunManifest {
            task_ids: vec!["1".into(), "999999".into()],
            ..manifest()
        };
        let error = verify(&task, "c9", Some(&found("b"))).unwrap_err();
        assert!(error.contains("no task 999999"), "{error}");
        let broken = Found {
            bytes: b"<<<<<<< HEAD".to_vec(),
            ..found("b")
        };
        let error = verify(&manifest(), "c9", Some(&broken)).unwrap_err();
        assert!(error.contains("not a valid task file"), "{error}");
    }
}
