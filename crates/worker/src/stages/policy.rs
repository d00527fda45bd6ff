//! Decides whether the agent's work may be pushed. Pure.

use std::collections::HashSet;

use super::{
    changes::{Change, Mode},
    history::Changes,
};
use flightdeck_core::{
    resources::Documents,
    runs::{RunManifest, reason},
    text,
};

/// Maximum number of paths in a message.
const NAMED: usize = 10;
/// Maximum number of missing documents in a report.
const MISSING: usize = 20;

/// The decision about the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Push and open a pull request.
    Publish,
    /// Push without a pull request, which would claim complete work.
    Incomplete(String),
    /// Nothing to push: the work was already complete.
    AlreadyDone(String),
    /// Push nothing; the run fails.
    Refuse {
        reason: &'static str,
        message: String,
    },
}

/// Checks the changes of a run; `documents` counts its documents in the commit to push.
pub(crate) fn check(
    manifest: &RunManifest,
    changes: &Changes,
    documents: Option<&Documents>,
) -> Verdict {
    let own: HashSet<String> = manifest.expected_documents().into_iter().collect();
    let is_outside = |change: &Change| {
        if manifest.kind.writes_documents() {
            outside_docs(change, &own)
        } else {
            outside_code(change, manifest)
        }
    };
    let mut outside: Vec<String> = changes.net.iter().filter_map(is_outside).collect();
    let undone = changes.undone.iter().filter_map(is_outside);
    // A push publishes reverted commits too.
    outside.extend(undone.map(|named| format!("{named} (in an earlier commit)")));
    if !outside.is_empty() {
        return Verdict::Refuse {
            reason: reason::OUTSIDE_TASK,
            message: format!(
                "nothing was pushed: the agent changed paths outside its task: {}",
                list(&outside, outside.len())
            ),
        };
    }
    let missing = documents.filter(|documents| documents.written < documents.expected);
    match (changes.net.is_empty(), missing) {
        (true, None) if manifest.kind.writes_documents() => {
            Verdict::AlreadyDone("all documents already exist: nothing to push".into())
        }
        (true, _) => Verdict::Refuse {
            reason: reason::NO_CHANGES,
            message: "the agent made no changes: nothing to push".into(),
        },
        (false, Some(documents)) if !manifest.publish_incomplete => {
            let missing = documents.expected - documents.written;
            Verdict::Incomplete(format!(
                "{missing} of {} documents are missing or empty, so no pull request was opened: {}",
                documents.expected,
                list(
                    &documents.missing,
                    usize::try_from(missing).unwrap_or_default()
                )
            ))
        }
        (false, _) => Verdict::Publish,
    }
}

/// Refuses work that contains nested repositories at `paths`, which would be pushed as links to nowhere. `folder` is where
/// their files are.
pub(crate) fn check_nested(paths: &[String], folder: &str) -> Option<Verdict> {
    let named = list(paths, paths.len());
    (!paths.is_empty()).then(|| Verdict::Refuse {
        reason: reason::NESTED_REPOSITORY,
        message: format!(
            "nothing was pushed: {named} is a git repository of its own, so a push would leave its files out. The files stay in {folder} of the workspace until the next attempt starts; retry with added context that asks the agent to remove the nested .git folder, or to make it a submodule with a URL"
        ),
    })
}

impl Verdict {
    /// Returns this verdict, or `refused` if this one would publish or hide the refused work.
    pub(super) fn or_refused_for(self, refused: Self) -> Self {
        match self {
            Self::Publish => refused,
            Self::Refuse { reason, .. } if reason == reason::NO_CHANGES => refused,
            other => other,
        }
    }
}

/// Counts the expected documents among the files of a commit.
pub(crate) fn count(expected: &[String], present: &[String]) -> Option<Documents> {
    if expected.is_empty() {
        return None;
    }
    let present: HashSet<&String> = present.iter().collect();
    let missing: Vec<&String> = expected
        .iter()
        .filter(|path| !present.contains(path))
        .collect();
    Some(Documents {
        expected: i32::try_from(expected.len()).unwrap_or(i32::MAX),
        written: i32::try_from(expected.len() - missing.len()).unwrap_or(i32::MAX),
        missing: missing.into_iter().take(MISSING).cloned().collect(),
    })
}

/// Returns the path, with a reason where needed, if a docs run may not make this change.
fn outside_docs(change: &Change, own: &HashSet<String>) -> Option<String> {
    if !own.contains(&change.path) {
        return Some(change.path.clone());
    }
    match (change.old, change.new) {
        (_, Mode::Absent | Mode::File) | (Mode::Executable, Mode::Executable) => None,
        (_, mode) => Some(format!("{} (as {})", change.path, mode.noun())),
    }
}

/// Returns the path if a code run may not make this change.
fn outside_code(change: &Change, manifest: &RunManifest) -> Option<String> {
    let path = change.path.as_str();
    let is_plan = path == ".taskmaster/tasks/tasks.json"
        || path.ends_with("/.taskmaster/tasks/tasks.json")
        || manifest
            .tasks_revision
            .as_ref()
            .is_some_and(|revision| revision.path == path);
    let is_ours = path == ".flightdeck" || path.starts_with(".flightdeck/");
    (is_plan || is_ours).then(|| path.to_owned())
}

/// Lists the first of `total` paths.
fn list(paths: &[String], total: usize) -> String {
    let mut named: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| text::sanitize(path).into_owned())
        .collect();
    if total > named.len() {
        named.push(format!("and {} more", total - named.len()));
    }
    named.join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use flightdeck_core::{
        resources::TasksRevision,
        runs::{Layout, RunKind},
    };

    /// A docs run of tasks 1 and 2.
    pub(crate) fn manifest() -> RunManifest {
        RunManifest {
            kind: RunKind::Docs,
            run: "docs-shop-7f3a".into(),
            uid: "u".into(),
            namespace: "default".into(),
            context_version: 1,
            repository_url: "/srv/shop.git".into(),
            source_branch: "main".into(),
            target_branch: "docs/docs-shop-7f3a".into(),
            working_directory: ".".into(),
            tag: "master".into(),
            task_ids: vec!["1".into(), "2".into()],
            tasks_revision: None,
            overwrite: false,
            agent: "template".into(),
            model: String::new(),
            max_turns: None,
            budget_usd: None,
            prompt_modification: None,
            service: None,
            continue_session: false,
            overwrite_memory: false,
            forge: None,
            pull_request: BTreeMap::new(),
            publish_incomplete: false,
            docs: None,
            layout: Layout::default(),
            submodules: Vec::new(),
        }
    }

    fn code() -> RunManifest {
        RunManifest {
            kind: RunKind::Code,
            task_ids: vec!["1".into()],
            tasks_revision: Some(TasksRevision {
                path: "plan/tasks.json".into(),
                ..TasksRevision::default()
            }),
            ..manifest()
        }
    }

    fn change(path: &str, old: Mode, new: Mode) -> Change {
        Change {
            path: path.into(),
            old,
            new,
        }
    }

    /// Changes without reverted commits.
    fn net(changes: &[Change]) -> Changes {
        Changes {
            net: changes.to_vec(),
            ..Changes::default()
        }
    }

    fn written(path: &str) -> Change {
        change(path, Mode::Absent, Mode::File)
    }

    fn documents(written: i32) -> Documents {
        Documents {
            expected: 8,
            written,
            missing: vec!["x/prompt.md".into(); 1],
        }
    }

    /// Returns `publish`, `incomplete`, `done`, or the reason of a refusal.
    fn word(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::Publish => "publish",
            Verdict::Incomplete(_) => "incomplete",
            Verdict::AlreadyDone(_) => "done",
            Verdict::Refuse { reason, .. } => reason,
        }
    }

    #[test]
    fn docs_run_may_only_write_its_documents() {
        use Mode::{Absent, Executable, File, Link, Submodule};
        let doc = ".taskmaster/docs/task-1/task.md";
        for (changes, present, expected) in [
            (vec![written(doc)], 8, "publish"),
            (vec![change(doc, File, File)], 8, "publish"),
            (vec![written(doc)], 5, "incomplete"),
            (vec![change(doc, File, Absent)], 7, "incomplete"),
            (vec![], 8, "done"),
            (vec![], 3, "NoChanges"),
            (vec![], 0, "NoChanges"),
            (
                vec![written(doc), written(".taskmaster/docs/task-3/task.md")],
                8,
                "OutsideTask",
            ),
            (
                vec![
                    written(doc),
                    change(".taskmaster/tasks/tasks.json", File, File),
                ],
                8,
                "OutsideTask",
            ),
            (
                vec![written(".taskmaster/docs/task-1/extra.md")],
                8,
                "OutsideTask",
            ),
            (
                vec![written(".taskmaster/docs/task-1/Task.md")],
                8,
                "OutsideTask",
            ),
            (
                vec![written("web/.taskmaster/docs/task-1/task.md")],
                8,
                "OutsideTask",
            ),
            (
                vec![written(".taskmaster/docs/v2/task-1/task.md")],
                8,
                "OutsideTask",
            ),
            (vec![written(".gitattributes")], 8, "OutsideTask"),
            (vec![written(".github/workflows/x.yml")], 8, "OutsideTask"),
            (vec![change(doc, Absent, Link)], 7, "OutsideTask"),
            (
                vec![change(".taskmaster/docs/task-1", Absent, Link)],
                4,
                "OutsideTask",
            ),
            (vec![change(doc, Absent, Submodule)], 7, "OutsideTask"),
            (vec![change(doc, Absent, Executable)], 8, "OutsideTask"),
            (vec![change(doc, File, Executable)], 8, "OutsideTask"),
            (vec![change(doc, Executable, Executable)], 8, "publish"),
        ] {
            let verdict = check(&manifest(), &net(&changes), Some(&documents(present)));
            assert_eq!(word(&verdict), expected, "{changes:?} with {present} of 8");
        }
    }

    #[test]
    fn checks_reverted_changes_too() {
        let changes = Changes {
            net: vec![written(".taskmaster/docs/task-1/task.md")],
            undone: vec![written("secret.txt")],
        };
        let Verdict::Refuse { message, .. } = check(&manifest(), &changes, Some(&documents(8)))
        else {
            panic!("not refused");
        };
        assert!(
            message.ends_with(": secret.txt (in an earlier commit)"),
            "{message}"
        );
        let nothing_left = Changes {
            net: Vec::new(),
            undone: vec![written("src/lib.rs")],
        };
        assert_eq!(word(&check(&code(), &nothing_left, None)), "NoChanges");
    }

    #[test]
    fn documents_have_a_path_per_tag_and_folder() {
        let run = RunManifest {
            tag: "v2".into(),
            working_directory: "apps/web".into(),
            ..manifest()
        };
        let own = "apps/web/.taskmaster/docs/v2/task-2/prompt.md";
        assert_eq!(
            check(&run, &net(&[written(own)]), Some(&documents(8))),
            Verdict::Publish
        );
        let roots = written(".taskmaster/docs/v2/task-2/prompt.md");
        let verdict = check(&run, &net(&[roots]), Some(&documents(8)));
        assert_eq!(word(&verdict), "OutsideTask");
    }

    #[test]
    fn publishes_incomplete_docs_only_on_request() {
        let with_request = RunManifest {
            publish_incomplete: true,
            ..manifest()
        };
        let changes = [written(".taskmaster/docs/task-1/task.md")];
        assert_eq!(
            check(&with_request, &net(&changes), Some(&documents(1))),
            Verdict::Publish
        );
        let Verdict::Incomplete(message) = check(&manifest(), &net(&changes), Some(&documents(6)))
        else {
            panic!("not incomplete");
        };
        assert!(
            message.starts_with("2 of 8 documents are missing")
                && message.ends_with("x/prompt.md, and 1 more"),
            "{message}"
        );
    }

    #[test]
    fn code_run_may_not_change_plan_or_flightdeck_folder() {
        for (paths, expected) in [
            (vec!["src/main.rs", "docs/x.md"], "publish"),
            (vec![], "NoChanges"),
            (
                vec!["src/main.rs", ".taskmaster/tasks/tasks.json"],
                "OutsideTask",
            ),
            (vec!["web/.taskmaster/tasks/tasks.json"], "OutsideTask"),
            (vec!["plan/tasks.json"], "OutsideTask"),
            (vec![".flightdeck/run.json"], "OutsideTask"),
            (vec![".flightdeck.md"], "publish"),
        ] {
            let changes: Vec<_> = paths.iter().map(|path| written(path)).collect();
            assert_eq!(
                word(&check(&code(), &net(&changes), None)),
                expected,
                "{paths:?}"
            );
        }
    }

    #[test]
    fn refusal_lists_a_limited_number_of_paths() {
        let changes: Vec<_> = (0..5000).map(|n| written(&format!("f{n}"))).collect();
        let Verdict::Refuse { message, .. } = check(&manifest(), &net(&changes), None) else {
            panic!("not refused");
        };
        assert!(
            message.contains("f0, f1") && message.ends_with("and 4990 more"),
            "{message}"
        );
    }

    #[test]
    fn counts_documents_of_the_commit() {
        let expected = manifest().expected_documents();
        assert_eq!(expected.len(), 8);
        let counted = count(&expected, &expected[..6]).unwrap();
        assert_eq!((counted.expected, counted.written), (8, 6));
        assert_eq!(counted.missing, expected[6..]);
        assert_eq!(count(&code().expected_documents(), &[]), None);
    }
}
