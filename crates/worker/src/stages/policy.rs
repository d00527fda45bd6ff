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

/// The result of checking the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Review {
    pub verdict: Verdict,
    /// Changes that are not published, as named paths. If there are any, the commits are not pushed as they are.
    pub left_out: Vec<String>,
}

/// How publish treats a change.
enum Class {
    Include,
    /// Left out, or refused by setting. With the path, and a reason where needed.
    Stray(String),
    /// Never published without the consent of a person.
    Forbidden(String),
}

/// Checks the changes of a run; `documents` counts its documents in the commit to push.
pub(crate) fn check(
    manifest: &RunManifest,
    changes: &Changes,
    documents: Option<&Documents>,
) -> Review {
    let own: HashSet<String> = manifest.expected_documents().into_iter().collect();
    let class = |change: &Change| {
        if is_accepted(manifest, &change.path) {
            Class::Include
        } else if manifest.kind.writes_documents() {
            class_in_docs(change, &own)
        } else {
            class_in_code(change, manifest)
        }
    };
    let (mut included, mut left_out, mut forbidden) = (0_usize, Vec::new(), Vec::new());
    for change in &changes.net {
        match class(change) {
            Class::Include => included += 1,
            Class::Stray(named) => {
                // The content of a document is published in any case.
                included += usize::from(own.contains(&change.path));
                left_out.push(named);
            }
            Class::Forbidden(named) => forbidden.push(named),
        }
    }
    for change in &changes.undone {
        // A push of the commits as they are would publish reverted changes too.
        let earlier = |named: String| format!("{named} (in an earlier commit)");
        match class(change) {
            Class::Include => {}
            Class::Stray(named) => left_out.push(earlier(named)),
            Class::Forbidden(named) if manifest.kind.writes_documents() => {
                left_out.push(earlier(named));
            }
            Class::Forbidden(named) => forbidden.push(earlier(named)),
        }
    }
    if manifest.refuse_other_changes {
        forbidden.append(&mut left_out);
    }
    if !forbidden.is_empty() {
        let message = format!(
            "nothing was pushed: the agent changed paths outside its task: {}",
            list(&forbidden, forbidden.len())
        );
        return Review {
            verdict: Verdict::Refuse {
                reason: reason::OUTSIDE_TASK,
                message,
            },
            left_out,
        };
    }
    let missing = documents.filter(|documents| documents.written < documents.expected);
    let verdict = match (included == 0, missing) {
        (true, None) if manifest.kind.writes_documents() => {
            Verdict::AlreadyDone("all documents already exist: nothing to push".into())
        }
        (true, _) if left_out.is_empty() => Verdict::Refuse {
            reason: reason::NO_CHANGES,
            message: "the agent made no changes: nothing to push".into(),
        },
        (true, _) => Verdict::Refuse {
            reason: reason::NO_CHANGES,
            message: format!(
                "nothing was pushed: the agent wrote no documents, and changed only {}",
                list(&left_out, left_out.len())
            ),
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
    };
    Review { verdict, left_out }
}

/// Returns a sentence about changes that were left out, or `None` if there are none.
pub(crate) fn left_out_note(left_out: &[String]) -> Option<String> {
    (!left_out.is_empty()).then(|| {
        format!(
            "left out {} outside the task: {}",
            text::count(left_out.len(), "change"),
            list(left_out, left_out.len())
        )
    })
}

/// Returns whether a person accepted the path, or a folder above it.
pub(crate) fn is_accepted(manifest: &RunManifest, path: &str) -> bool {
    manifest.accepted_paths.iter().any(|accepted| {
        let rest = path.strip_prefix(accepted.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
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

/// Classifies a change of a docs run, which may write only its own documents.
fn class_in_docs(change: &Change, own: &HashSet<String>) -> Class {
    let path = &change.path;
    let named = || format!("{path} (as {})", change.new.noun());
    match (change.old, change.new) {
        (_, Mode::Link | Mode::Submodule | Mode::Other) => Class::Forbidden(named()),
        (Mode::Link | Mode::Submodule, _) => Class::Forbidden(path.clone()),
        _ if !own.contains(path) => {
            if is_protected(path) {
                Class::Forbidden(path.clone())
            } else {
                Class::Stray(path.clone())
            }
        }
        (_, Mode::Absent | Mode::File) | (Mode::Executable, Mode::Executable) => Class::Include,
        (_, Mode::Executable) => Class::Stray(named()),
    }
}

/// Classifies a change of a code run, which may change everything but the plan and our own files.
fn class_in_code(change: &Change, manifest: &RunManifest) -> Class {
    let path = change.path.as_str();
    let is_verified_plan = manifest
        .tasks_revision
        .as_ref()
        .is_some_and(|revision| revision.path == path);
    if is_plan(path) || is_verified_plan || is_ours(path) {
        Class::Forbidden(path.to_owned())
    } else {
        Class::Include
    }
}

fn is_plan(path: &str) -> bool {
    path == ".taskmaster/tasks/tasks.json" || path.ends_with("/.taskmaster/tasks/tasks.json")
}

fn is_ours(path: &str) -> bool {
    path == ".flightdeck" || path.starts_with(".flightdeck/")
}

/// Returns whether a change of the path would affect the plan, what runs in CI, or where submodules come from.
fn is_protected(path: &str) -> bool {
    /// Files and folders that CI systems run.
    const CI: [&str; 9] = [
        ".github/workflows/",
        ".github/actions/",
        ".gitlab-ci.yml",
        ".circleci/",
        ".buildkite/",
        ".travis.yml",
        "azure-pipelines.yml",
        "bitbucket-pipelines.yml",
        "Jenkinsfile",
    ];
    let lower = path.to_lowercase();
    let is_ci = |entry: &str| {
        let entry = entry.to_lowercase();
        if entry.ends_with('/') {
            lower.starts_with(&entry)
        } else {
            lower == entry
        }
    };
    let file = lower.rsplit('/').next().unwrap_or_default();
    is_plan(&lower)
        || is_ours(&lower)
        || file == "tasks.json"
        || file == ".gitmodules"
        || CI.iter().any(|entry| is_ci(entry))
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
            continue_session: true,
            pushed_branch: None,
            accepted_paths: Vec::new(),
            overwrite_memory: false,
            forge: None,
            pull_request: BTreeMap::new(),
            publish_incomplete: false,
            refuse_other_changes: false,
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
                "publish, 1 left out",
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
                3,
                "NoChanges, 1 left out",
            ),
            (
                vec![written(".taskmaster/docs/task-1/Task.md")],
                8,
                "done, 1 left out",
            ),
            (
                vec![written("web/.taskmaster/docs/task-1/task.md")],
                8,
                "done, 1 left out",
            ),
            (
                vec![written(".taskmaster/docs/v2/task-1/task.md"), written(doc)],
                5,
                "incomplete, 1 left out",
            ),
            (vec![written(".gitmodules")], 8, "OutsideTask"),
            (vec![written("plan/Tasks.json")], 8, "OutsideTask"),
            (vec![written(".github/workflows/x.yml")], 8, "OutsideTask"),
            (vec![change(doc, Absent, Link)], 7, "OutsideTask"),
            (
                vec![change(".taskmaster/docs/task-1", Absent, Link)],
                4,
                "OutsideTask",
            ),
            (vec![change(doc, Absent, Submodule)], 7, "OutsideTask"),
            (
                vec![change(doc, Absent, Executable)],
                8,
                "publish, 1 left out",
            ),
            (
                vec![change(doc, File, Executable)],
                8,
                "publish, 1 left out",
            ),
            (vec![change("README.md", File, Link)], 8, "OutsideTask"),
            (vec![change("lib", Submodule, Absent)], 8, "OutsideTask"),
            (vec![change(doc, Executable, Executable)], 8, "publish"),
        ] {
            let review = check(&manifest(), &net(&changes), Some(&documents(present)));
            let left_out = review.left_out.len();
            let got = match left_out {
                0 => word(&review.verdict).to_owned(),
                _ => format!("{}, {left_out} left out", word(&review.verdict)),
            };
            assert_eq!(got, expected, "{changes:?} with {present} of 8");
        }
    }

    #[test]
    fn leaves_out_reverted_changes_of_a_docs_run() {
        let changes = Changes {
            net: vec![written(".taskmaster/docs/task-1/task.md")],
            undone: vec![written("secret.txt"), written(".github/workflows/x.yml")],
        };
        let review = check(&manifest(), &changes, Some(&documents(8)));
        assert_eq!(review.verdict, Verdict::Publish);
        assert_eq!(
            review.left_out,
            [
                "secret.txt (in an earlier commit)",
                ".github/workflows/x.yml (in an earlier commit)"
            ]
        );
        let strict = RunManifest {
            refuse_other_changes: true,
            ..manifest()
        };
        let verdict = check(&strict, &changes, Some(&documents(8))).verdict;
        assert_eq!(word(&verdict), "OutsideTask");
    }

    #[test]
    fn refuses_reverted_changes_of_a_code_run() {
        let changes = |undone: &str| Changes {
            net: vec![written("src/lib.rs")],
            undone: vec![written(undone)],
        };
        let plan = changes(".taskmaster/tasks/tasks.json");
        let Verdict::Refuse { message, .. } = check(&code(), &plan, None).verdict else {
            panic!("not refused");
        };
        assert!(
            message.ends_with("tasks.json (in an earlier commit)"),
            "{message}"
        );
        let nothing_left = Changes {
            net: Vec::new(),
            ..changes("src/main.rs")
        };
        assert_eq!(
            word(&check(&code(), &nothing_left, None).verdict),
            "NoChanges"
        );
    }

    #[test]
    fn publishes_accepted_paths() {
        let run = RunManifest {
            accepted_paths: vec![".github".into(), "plan/tasks.json".into()],
            ..manifest()
        };
        for (path, expected) in [
            (".github/workflows/x.yml", "publish"),
            ("plan/tasks.json", "publish"),
            (".githubx/y", "done"),
            (".taskmaster/tasks/tasks.json", "OutsideTask"),
        ] {
            let review = check(&run, &net(&[written(path)]), Some(&documents(8)));
            assert_eq!(word(&review.verdict), expected, "{path}");
        }
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
            check(&run, &net(&[written(own)]), Some(&documents(8))).verdict,
            Verdict::Publish
        );
        let roots = written(".taskmaster/docs/v2/task-2/prompt.md");
        let review = check(&run, &net(&[roots]), Some(&documents(8)));
        assert_eq!(review.left_out.len(), 1);
    }

    #[test]
    fn publishes_incomplete_docs_only_on_request() {
        let with_request = RunManifest {
            publish_incomplete: true,
            ..manifest()
        };
        let changes = [written(".taskmaster/docs/task-1/task.md")];
        assert_eq!(
            check(&with_request, &net(&changes), Some(&documents(1))).verdict,
            Verdict::Publish
        );
        let review = check(&manifest(), &net(&changes), Some(&documents(6)));
        let Verdict::Incomplete(message) = review.verdict else {
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
                word(&check(&code(), &net(&changes), None).verdict),
                expected,
                "{paths:?}"
            );
        }
    }

    #[test]
    fn refusal_lists_a_limited_number_of_paths() {
        let changes: Vec<_> = (0..5000)
            .map(|n| written(&format!("f{n}/.gitmodules")))
            .collect();
        let Verdict::Refuse { message, .. } = check(&manifest(), &net(&changes), None).verdict
        else {
            panic!("not refused");
        };
        assert!(
            message.contains("f0/.gitmodules, f1/") && message.ends_with("and 4990 more"),
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
