//! What a run works on, and whether its result left the workspace.

use std::collections::BTreeSet;

use crate::remote_url;

use super::{Phase, Run, RunKind, Stage, naming, reason};

/// Publish failures that come after the push: the work is on the remote.
const PUSHED: [&str; 2] = [reason::INCOMPLETE, reason::PULL_REQUEST_FAILED];

/// Identity of the work a run does: runs with equal values do the same work, so that one can take the place of the other.
///
/// A task id alone identifies nothing: every Task Master project of a repository, every tag and every branch has its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Work {
    kind: RunKind,
    tasks: BTreeSet<String>,
    tag: String,
    repository: String,
    /// The work starts here, and is merged here.
    source_branch: String,
    /// Directory of the project, with a slash behind it; empty for the root.
    project: String,
    service: Option<String>,
    docs: Option<DocsWork>,
}

/// Where the plan of a code run is, when it has a repository of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DocsWork {
    repository: String,
    project: String,
    branch: Option<String>,
}

impl Run {
    /// Returns the identity of this run's work, with every address and path in one spelling.
    #[must_use]
    pub fn work(&self) -> Work {
        let code = self.code.as_ref();
        let docs = code.and_then(|code| {
            let directory = code.docs_project_directory.as_deref();
            Some(DocsWork {
                repository: remote_url::identity(code.docs_repository_url.as_deref()?),
                project: naming::directory_prefix(directory.unwrap_or(".")),
                branch: code.docs_branch.clone(),
            })
        });
        Work {
            kind: self.kind,
            tasks: self.tasks.iter().cloned().collect(),
            tag: self.spec.tag.clone(),
            repository: remote_url::identity(&self.spec.repository_url),
            source_branch: self.spec.source_branch.clone(),
            project: naming::directory_prefix(&self.spec.working_directory),
            service: code.map(|code| code.service.clone()),
            docs,
        }
    }

    /// Whether the workspace may hold work that is nowhere else: an agent ran, and nothing was published since.
    #[must_use]
    pub fn may_hold_unpushed_work(&self) -> bool {
        let status = &self.status;
        if self.phase() == Phase::Succeeded {
            return false;
        }
        let mut attempts = status.attempts.iter().rev();
        let last = attempts.find_map(|attempt| match Stage::parse(&attempt.stage)? {
            Stage::Prep => None,
            stage => Some((stage, attempt)),
        });
        match last {
            Some((Stage::Publish, attempt)) => match attempt.reason.as_deref() {
                None => attempt.finished_at.is_none(),
                Some(reason::NO_CHANGES) => false,
                Some(why) => !(PUSHED.contains(&why) && status.commit.is_some()),
            },
            Some(_) => true,
            // Only the last attempts are kept; what the agent used is kept from all of them.
            None => {
                let ran = status.usage.is_some() || status.session_id.is_some();
                ran && status.commit.is_none()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::{
        resources::{Attempt, RunSpec, RunStatus, Usage},
        runs::CodeDetails,
    };

    fn run(kind: RunKind) -> Run {
        Run {
            kind,
            metadata: ObjectMeta::default(),
            tasks: vec!["1".into(), "2".into()],
            spec: RunSpec {
                repository_url: "https://github.com/acme/shop.git".into(),
                source_branch: "main".into(),
                working_directory: "apps/web".into(),
                ..RunSpec::default()
            },
            code: (kind == RunKind::Code).then(|| CodeDetails {
                service: "web".into(),
                docs_repository_url: Some("https://github.com/acme/plans".into()),
                docs_project_directory: Some("shop".into()),
                docs_branch: Some("main".into()),
                ..CodeDetails::default()
            }),
            status: RunStatus::default(),
        }
    }

    fn code(run: &mut Run) -> &mut CodeDetails {
        run.code.get_or_insert_default()
    }

    #[test]
    fn same_work_requires_equal_task_identity() {
        type Change = fn(&mut Run);
        let same: [(&str, Change); 8] = [
            ("name", |run| run.metadata.name = Some("other".into())),
            ("order", |run| run.tasks.reverse()),
            ("address", |run| {
                run.spec.repository_url = "git@github.com:acme/shop".into();
            }),
            ("directory", |run| {
                run.spec.working_directory = "./apps/web/".into();
            }),
            ("model", |run| run.spec.model = "opus".into()),
            ("target", |run| {
                run.spec.target_branch = Some("docs/x".into());
            }),
            ("docs address", |run| {
                code(run).docs_repository_url = Some("git@github.com:acme/plans.git".into());
            }),
            ("docs directory", |run| {
                code(run).docs_project_directory = Some("./shop".into());
            }),
        ];
        let other: [(&str, Change); 11] = [
            ("fewer tasks", |run| run.tasks.truncate(1)),
            ("kind", |run| run.kind = RunKind::Docs),
            ("repository", |run| {
                run.spec.repository_url = "https://github.com/acme/api".into();
            }),
            ("branch", |run| run.spec.source_branch = "release".into()),
            ("project", |run| {
                run.spec.working_directory = "apps/api".into();
            }),
            ("tag", |run| run.spec.tag = "v2".into()),
            ("service", |run| code(run).service = "api".into()),
            ("docs repository", |run| {
                code(run).docs_repository_url = Some("https://github.com/acme/other".into());
            }),
            ("no docs repository", |run| {
                code(run).docs_repository_url = None;
            }),
            ("docs project", |run| {
                code(run).docs_project_directory = None;
            }),
            ("docs branch", |run| code(run).docs_branch = None),
        ];
        let all = same
            .map(|case| (case, true))
            .into_iter()
            .chain(other.map(|case| (case, false)));
        for ((name, change), expected) in all {
            let mut changed = run(RunKind::Code);
            change(&mut changed);
            assert_eq!(
                changed.work() == run(RunKind::Code).work(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn unpushed_work_is_what_an_agent_left_and_nothing_published() {
        // Attempts as `stage reason`, `+` for one that went well and `~` for one that has not ended.
        let cases = [
            ("Failed", "", false),
            ("Failed", "prep CloneFailed", false),
            ("Failed", "prep +, agent AgentFailed", true),
            ("Cancelled", "prep +, agent Cancelled", true),
            ("Failed", "prep +, agent +, publish PushFailed", true),
            ("Failed", "prep +, agent +, publish OutsideTask", true),
            ("Failed", "prep +, agent +, publish ~", true),
            ("Failed", "prep +, agent +, publish +", false),
            ("Failed", "prep +, agent +, publish NoChanges", false),
            (
                "Failed",
                "prep +, agent +, publish Incomplete pushed",
                false,
            ),
            (
                "Failed",
                "prep +, agent +, publish PullRequestFailed pushed",
                false,
            ),
            ("Failed", "prep +, agent +, publish Incomplete", true),
            (
                "Failed",
                "prep +, agent +, publish + pushed, prep +, agent +, publish PushFailed",
                true,
            ),
            (
                "Failed",
                "prep +, agent +, publish PushFailed, prep CloneFailed",
                true,
            ),
            ("Succeeded", "prep +, agent +, publish + pushed", false),
        ];
        for (phase, attempts, expected) in cases {
            let mut run = run(RunKind::Docs);
            run.status.phase = Some(phase.into());
            for words in attempts.split(", ").filter(|words| !words.is_empty()) {
                let words: Vec<&str> = words.split(' ').collect();
                run.status.attempts.push(Attempt {
                    stage: words[0].into(),
                    reason: (!["+", "~"].contains(&words[1])).then(|| words[1].into()),
                    finished_at: (words[1] != "~").then(|| "2026-01-01T00:00:00Z".into()),
                    ..Attempt::default()
                });
                if words.len() > 2 {
                    run.status.commit = Some("c0".into());
                }
            }
            assert_eq!(
                run.may_hold_unpushed_work(),
                expected,
                "{phase}: {attempts}"
            );
        }
        // The attempts of the agent are no longer in the status.
        let mut run = run(RunKind::Docs);
        run.status.usage = Some(Usage::default());
        assert!(run.may_hold_unpushed_work());
        run.status.commit = Some("c0".into());
        assert!(!run.may_hold_unpushed_work());
    }
}
