//! The controller's specification: a table of situations with the expected plans.

mod edge_cases;
mod world;

use super::*;
use flightdeck_core::{
    resources::ContextFile,
    runs::{RunKind, StageReport},
};
use world::{World, report};

/// A situation and its expected outcome: `writes | phase stage reason | requeue`, with `same` for an unchanged status.
type Row = (&'static str, World, &'static str);

fn check(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for (name, mut world, expected) in rows {
        let got = world.reconcile();
        if got != expected {
            wrong.push(format!(
                "{name}\n   expected: {expected}\n        got: {got}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn docs() -> World {
    World::new(RunKind::Docs)
}

fn code() -> World {
    World::new(RunKind::Code)
}

#[test]
fn starting() {
    check(vec![
        (
            "a new docs run gets files, workspace, finalizer and prep",
            docs(),
            "files, workspace, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a new code run holds its workspace from creation",
            code(),
            "files, workspace, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "existing objects are not created again",
            docs().with_files().with_workspace().with_finalizer(),
            "prep-v1-1 | Pending prep",
        ),
        (
            "a suspended run starts nothing",
            docs().spec(|spec| spec.suspend = true),
            "| Pending prep Suspended",
        ),
        (
            "a run cancelled before it started creates nothing",
            docs().spec(|spec| spec.cancel_version = 1),
            "| Cancelled - Cancelled | requeue 0",
        ),
        (
            "a run that is being deleted creates nothing",
            docs().deleting(),
            "| same",
        ),
        (
            "files that cannot be rendered fail the run",
            docs().files_fail("the template docs/prompt.md.hbs is broken"),
            "| Failed prep ConfigInvalid | requeue 0",
        ),
        (
            "a reserved variable fails the run before a pod starts",
            docs().spec(|spec| {
                spec.env.insert("LD_PRELOAD".into(), "x.so".into());
            }),
            "| Failed prep EnvironmentRefused | requeue 0",
        ),
        (
            "a Secret with a Git credential is not passed to the agent",
            docs().spec(|spec| {
                spec.env_from_secrets
                    .push(flightdeck_core::resources::SecretEnv {
                        name: "TOKEN".into(),
                        secret_name: "github-pat-octocat".into(),
                        secret_key: "token".into(),
                    });
            }),
            "| Failed prep EnvironmentRefused | requeue 0",
        ),
        (
            "a Secret that is not allowed is not passed to the agent",
            docs().spec(|spec| {
                spec.env_from_secrets
                    .push(flightdeck_core::resources::SecretEnv {
                        name: "SALARIES".into(),
                        secret_name: "payroll".into(),
                        secret_key: "all".into(),
                    });
            }),
            "| Failed prep EnvironmentRefused | requeue 0",
        ),
        (
            "a Git credential is not sent to an unlisted host",
            docs().spec(|spec| {
                spec.github_user = Some("octocat".into());
                spec.repository_url = "https://evil.example/shop.git".into();
            }),
            "| Failed prep HostRefused | requeue 0",
        ),
        (
            "a ConfigMap with another owner is not used",
            docs().with_files().foreign_files(),
            "| Failed prep Foreign | requeue 0",
        ),
        (
            "a claim with another owner is not mounted",
            docs().with_workspace().foreign_workspace(),
            "files | Failed prep Foreign | requeue 0",
        ),
        (
            "a shared claim of another repository is not mounted",
            code().with_workspace().foreign_workspace(),
            "files | Failed prep Foreign | requeue 0",
        ),
        (
            "a run waits while its claim is being deleted",
            code().with_workspace().workspace_terminating(),
            "files | Pending prep Terminating | requeue 30",
        ),
    ]);
}

/// The agent has failed, and publish saves its work.
fn saving() -> World {
    docs()
        .at(Stage::Agent)
        .ends(Err((1, report())))
        .reconciled()
}

fn partial() -> StageReport {
    StageReport {
        message: Some("3 of 8 documents pushed to docs/x".into()),
        pull_request_reason: Some(reason::PARTIAL.into()),
        commit: Some("b".repeat(40)),
        ..report()
    }
}

#[test]
fn saving_the_work_of_an_agent_that_failed() {
    let stopped = |world: World| world.spec(|spec| spec.cancel_version = 1);
    let refused = StageReport {
        reason: Some(reason::NO_CHANGES.into()),
        ..report()
    };
    check(vec![
        (
            "the failure of the agent is the result",
            saving().running().ends(Ok(partial())),
            "| Failed agent AgentFailed | requeue 0",
        ),
        (
            "also if there is nothing to save",
            saving().running().ends(Err((1, refused))),
            "| Failed agent AgentFailed | requeue 0",
        ),
        (
            "complete work succeeds",
            saving().running().ends(Ok(report())),
            "| Succeeded publish Succeeded | requeue 0",
        ),
        (
            "a lost pod is retried",
            saving().running().pod_lost(),
            "| Pending publish BackOff | requeue 10",
        ),
        (
            "a stop does not interrupt it",
            stopped(saving().running()),
            "| Running publish",
        ),
        (
            "a stopped run ends after it",
            stopped(docs().at(Stage::Agent).running().deadline())
                .reconciled()
                .running()
                .ends(Ok(partial())),
            "| Cancelled agent Cancelled | requeue 0",
        ),
        (
            "suspended runs save work too",
            docs()
                .at(Stage::Agent)
                .spec(|spec| spec.suspend = true)
                .ends(Err((1, report()))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "there is nothing to save without the workspace",
            docs()
                .at(Stage::Agent)
                .ends(Err((1, report())))
                .workspace_deleted(),
            "| Failed agent AgentFailed | requeue 0",
        ),
        (
            "there is nothing to save of an agent that never started",
            docs().at(Stage::Agent).job_deadline(),
            "| Failed agent DeadlineExceeded | requeue 0",
        ),
    ]);
}

#[test]
fn failed_run_names_what_was_saved() {
    let mut world = saving().running().ends(Ok(partial()));
    world.reconcile();
    let message = world.run().status.message.clone().unwrap();
    assert!(
        message.ends_with("; 3 of 8 documents pushed to docs/x"),
        "{message}"
    );
    assert_eq!(world.run().status.work_completed, Some(false));
}

#[test]
fn version_that_only_publishes_starts_with_publish() {
    let requested = |world: World| {
        world.spec(|spec| {
            spec.context_version = 2;
            spec.publish_version = 2;
        })
    };
    let refused = || {
        let report = StageReport {
            reason: Some(reason::OUTSIDE_TASK.into()),
            ..report()
        };
        docs()
            .at(Stage::Publish)
            .ends(Err((1, report)))
            .reconciled()
            .reconciled()
    };
    check(vec![
        (
            "after a refusal",
            requested(refused()),
            "files, +finalizer, publish-v2-1 | Pending publish",
        ),
        (
            "not without the workspace",
            requested(refused()).workspace_deleted(),
            "files | Failed publish WorkspaceLost | requeue 0",
        ),
    ]);
}

#[test]
fn sharing_a_workspace() {
    check(vec![
        (
            "a run waits for a workspace in use",
            code().with_workspace().held_by("code-9-aaaa", false, 1),
            "files | Pending prep InUse | requeue 30",
        ),
        (
            "the workspace of a deleted holder without pods is taken",
            code().with_workspace().held_by("code-9-aaaa", true, 0),
            "files, hold, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "the workspace of a deleted holder with a pod is not taken",
            code().with_workspace().held_by("code-9-aaaa", true, 1),
            "files | Pending prep InUse | requeue 30",
        ),
        (
            "a free workspace goes to the first in the queue",
            code().with_workspace().free().ahead("code-8-bbbb"),
            "files | Pending prep InUse | requeue 30",
        ),
        (
            "the first in the queue takes a free workspace",
            code().with_workspace().free(),
            "files, hold, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a waiting run that is cancelled leaves the queue",
            code()
                .with_workspace()
                .held_by("code-9-aaaa", false, 1)
                .reconciled()
                .spec(|spec| spec.cancel_version = 1),
            "| Cancelled prep Cancelled | requeue 0",
        ),
        (
            "an unchanged wait is not written again",
            code()
                .with_workspace()
                .held_by("code-9-aaaa", false, 1)
                .reconciled()
                .with_files(),
            "| same | requeue 30",
        ),
    ]);
}

#[test]
fn following_a_stage() {
    let at_prep = || docs().reconciled();
    check(vec![
        (
            "a Job without a pod changes nothing",
            at_prep(),
            "| same | requeue 10",
        ),
        (
            "a pod whose containers wait is not running",
            at_prep().pod("Pending"),
            "| same | requeue 10",
        ),
        (
            "a running init container makes the run Running",
            at_prep().init_running(),
            "| Running prep",
        ),
        (
            "a running pod makes the run Running",
            at_prep().running(),
            "| Running prep",
        ),
        (
            "its own status write causes no other",
            at_prep().running().reconciled(),
            "| same",
        ),
        (
            "a finalizer removed while a stage runs is added again",
            at_prep().running().reconciled().without_finalizer(),
            "+finalizer | same",
        ),
        (
            "a missing Secret is named",
            at_prep().waiting(
                "CreateContainerConfigError",
                "secret \"github-pat-octocat\" not found",
            ),
            "| Pending prep CreateContainerConfigError | requeue 10",
        ),
        (
            "an image that cannot be pulled is named",
            at_prep().waiting("ErrImagePull", "not found"),
            "| Pending prep ErrImagePull | requeue 10",
        ),
        (
            "an unschedulable pod is reported",
            at_prep().unschedulable("0/1 nodes"),
            "| Pending prep Unschedulable | requeue 10",
        ),
        (
            "a rejected pod is reported from the Job's events",
            at_prep().event_on_job("FailedCreate", "exceeded quota"),
            "| Pending prep FailedCreate | requeue 10",
        ),
        (
            "a recorded stage without a Job is created under its name",
            docs()
                .with_files()
                .with_workspace()
                .with_finalizer()
                .crashed_after(1),
            "prep-v1-1 | same",
        ),
        (
            "a Job that is missing in the status is adopted",
            docs().reconciled().status_lost(),
            "| Pending prep | requeue 10",
        ),
        (
            "a Job of a closed attempt is stopped",
            docs().reconciled().running().orphan(),
            "stop-pod, prep-v1-2 | Pending prep",
        ),
        (
            "suspending does not stop a running stage",
            at_prep()
                .running()
                .reconciled()
                .spec(|spec| spec.suspend = true),
            "| same",
        ),
        (
            "a run suspended between stages waits",
            at_prep()
                .ends(Ok(report()))
                .spec(|spec| spec.suspend = true),
            "| Pending agent Suspended",
        ),
        (
            "a Job is complete only without terminating pods",
            at_prep().running().reconciled().complete_but_terminating(),
            "| same",
        ),
    ]);
}

#[test]
fn moving_through_the_stages() {
    check(vec![
        (
            "prep succeeded: start the agent",
            docs().reconciled().ends(Ok(report())),
            "agent-v1-1 | Pending agent",
        ),
        (
            "the agent succeeded: start publish",
            docs().at(Stage::Agent).ends(Ok(report())),
            "publish-v1-1 | Pending publish",
        ),
        (
            "publish succeeded: the run succeeds",
            docs().at(Stage::Publish).ends(Ok(report())),
            "| Succeeded publish Succeeded | requeue 0",
        ),
        (
            "changed tasks fail the run",
            docs().reconciled().ends(Err((
                65,
                StageReport {
                    reason: Some(reason::TASKS_MISMATCH.into()),
                    message: Some("the branch has other tasks".into()),
                    ..report()
                },
            ))),
            "| Failed prep TasksMismatch | requeue 0",
        ),
        (
            "a failed agent is not retried by default; its work is saved",
            docs().at(Stage::Agent).ends(Err((1, report()))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "an agent is retried if requested, after a backoff",
            docs()
                .spec(|spec| spec.retries = 1)
                .at(Stage::Agent)
                .ends(Err((1, report()))),
            "| Pending agent BackOff | requeue 10",
        ),
        (
            "the backoff has passed",
            docs()
                .spec(|spec| spec.retries = 1)
                .at(Stage::Agent)
                .ends(Err((1, report())))
                .reconciled()
                .later(10),
            "agent-v1-2 | Pending agent",
        ),
        (
            "an exceeded budget is not retried",
            docs()
                .spec(|spec| spec.retries = 3)
                .at(Stage::Agent)
                .ends(Err((
                    1,
                    StageReport {
                        reason: Some(reason::BUDGET_EXCEEDED.into()),
                        ..report()
                    },
                ))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "an agent cannot report another stage's reason",
            docs().at(Stage::Agent).ends(Err((
                1,
                StageReport {
                    reason: Some(reason::TASKS_MISMATCH.into()),
                    ..report()
                },
            ))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "a lost pod of prep is retried automatically",
            docs().reconciled().running().pod_lost(),
            "| Pending prep BackOff | requeue 10",
        ),
        (
            "a lost pod of the agent is not retried",
            docs().at(Stage::Agent).running().pod_lost(),
            "| Failed agent PodLost | requeue 0",
        ),
        (
            "a deleted Job is retried at once",
            docs().reconciled().running().reconciled().job_deleted(),
            "prep-v1-2 | Pending prep",
        ),
        (
            "an exceeded deadline has its own reason",
            docs().at(Stage::Agent).running().deadline(),
            "publish-v1-1 | Pending publish",
        ),
        (
            "missing documents fail the run but the push is reported",
            docs().at(Stage::Publish).ends(Err((
                1,
                StageReport {
                    reason: Some(reason::INCOMPLETE.into()),
                    commit: Some("b".repeat(40)),
                    ..report()
                },
            ))),
            "| Failed publish Incomplete | requeue 0",
        ),
        (
            "a deleted workspace loses the agent's work",
            docs()
                .at(Stage::Agent)
                .ends(Ok(report()))
                .workspace_deleted(),
            "| Failed publish WorkspaceLost | requeue 0",
        ),
    ]);
}

#[test]
fn stopping() {
    let stopped = |world: World| world.spec(|spec| spec.cancel_version = 1);
    check(vec![
        (
            "a running pod is stopped by its deadline, which keeps the log",
            stopped(docs().at(Stage::Agent).running().reconciled()),
            "stop-pod | Running agent Stopping",
        ),
        (
            "a pod is stopped only once",
            stopped(docs().at(Stage::Agent).running().reconciled()).reconciled(),
            "| same",
        ),
        (
            "a Job whose pod never started is deleted",
            stopped(docs().reconciled().pod("Pending")),
            "-prep-v1-1 | Pending prep Stopping",
        ),
        (
            "then the run is cancelled",
            stopped(docs().reconciled().pod("Pending")).reconciled(),
            "| Cancelled prep Cancelled | requeue 0",
        ),
        (
            "a pod stopped by its moved deadline counts as cancelled",
            stopped(docs().at(Stage::Agent).running().deadline()),
            "publish-v1-1 | Pending publish",
        ),
        (
            "a run that published before the stop succeeds",
            stopped(docs().at(Stage::Publish).ends(Ok(report()))),
            "| Succeeded publish Succeeded | requeue 0",
        ),
        (
            "no further stage starts",
            stopped(docs().reconciled().ends(Ok(report()))),
            "| Cancelled prep Cancelled | requeue 0",
        ),
        (
            "a version after the cancelled one runs",
            stopped(docs().reconciled().pod("Pending"))
                .reconciled()
                .reconciled()
                .reconciled()
                .spec(|spec| spec.context_version = 2),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
    ]);
}

#[test]
fn after_the_end() {
    let published = |world: World| world.at(Stage::Publish).ends(Ok(report())).reconciled();
    let publish_failed = |why: &str| {
        docs()
            .at(Stage::Publish)
            .ends(Err((
                1,
                StageReport {
                    reason: Some(why.into()),
                    ..report()
                },
            )))
            .reconciled()
            .reconciled()
    };
    check(vec![
        (
            "Jobs get a TTL and the finalizer is removed",
            published(docs()),
            "expire prep-v1-1, expire agent-v1-1, expire publish-v1-1, -finalizer | same",
        ),
        (
            "a code run releases its workspace",
            published(code()),
            "expire prep-v1-1, expire agent-v1-1, expire publish-v1-1, release, -finalizer | same",
        ),
        (
            "then nothing is left to do",
            published(docs()).reconciled(),
            "| same",
        ),
        (
            "expired Jobs are not created again",
            published(docs()).reconciled().jobs_expired(),
            "| same",
        ),
        (
            "a lower contextVersion has no effect",
            published(docs()).reconciled().seen_version(3),
            "| same",
        ),
        (
            "a raised contextVersion starts again from prep",
            published(docs())
                .reconciled()
                .spec(|spec| spec.context_version = 2),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "several increments are one attempt",
            published(docs())
                .reconciled()
                .spec(|spec| spec.context_version = 5),
            "files, +finalizer, prep-v5-1 | Pending prep",
        ),
        (
            "a failed push is retried without the agent",
            publish_failed(reason::PUSH_FAILED).spec(|spec| spec.context_version = 2),
            "files, +finalizer, publish-v2-1 | Pending publish",
        ),
        (
            "refused work starts again from prep",
            publish_failed(reason::OUTSIDE_TASK).spec(|spec| spec.context_version = 2),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "added context starts again from prep",
            publish_failed(reason::PUSH_FAILED).spec(|spec| {
                spec.context_version = 2;
                spec.context.push(ContextFile {
                    filename: "context-v2.md".into(),
                    content: "x".into(),
                });
            }),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "without the workspace it starts again from prep",
            publish_failed(reason::PUSH_FAILED)
                .workspace_deleted()
                .spec(|spec| spec.context_version = 2),
            "files, workspace, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "a run without a TTL stays",
            published(docs()).reconciled().later(1_000_000),
            "| same",
        ),
        (
            "a run with a TTL waits for it",
            published(docs().spec(|spec| spec.ttl_seconds_after_finished = Some(60)))
                .reconciled()
                .later(20),
            "| same | requeue 40",
        ),
        (
            "and is deleted when it has passed",
            published(docs().spec(|spec| spec.ttl_seconds_after_finished = Some(60)))
                .reconciled()
                .later(60),
            "-run | same",
        ),
    ]);
}

#[test]
fn deleting() {
    check(vec![
        (
            "Jobs are deleted first",
            docs().reconciled().running().deleting(),
            "-prep-v1-1 | same | requeue 30",
        ),
        (
            "the run stays while a pod is active",
            docs()
                .reconciled()
                .running()
                .deleting()
                .jobs_gone_pods_left(),
            "| same | requeue 30",
        ),
        (
            "then the finalizer is removed",
            docs().reconciled().deleting().jobs_expired(),
            "-finalizer | same",
        ),
        (
            "a code run releases its workspace",
            code().reconciled().deleting().jobs_expired(),
            "release, -finalizer | same",
        ),
        (
            "a finished run without a finalizer needs nothing",
            docs()
                .at(Stage::Publish)
                .ends(Ok(report()))
                .reconciled()
                .reconciled()
                .deleting(),
            "| same",
        ),
    ]);
}

#[test]
fn pull_request_condition_has_the_specific_reason() {
    let ready = |mut world: World| {
        world.reconcile();
        let mut conditions = world.run().status.conditions.clone().into_iter();
        let ready = conditions.find(|condition| condition.r#type == "PullRequestReady");
        let ready = ready.unwrap();
        (ready.reason, ready.message)
    };
    let failed = |name: &str| {
        docs().at(Stage::Publish).ends(Err((
            1,
            StageReport {
                reason: Some(reason::PULL_REQUEST_FAILED.into()),
                pull_request_reason: Some(name.into()),
                commit: Some("b".repeat(40)),
                ..report()
            },
        )))
    };
    assert_eq!(ready(failed("RateLimited")).0, "RateLimited");
    // An invalid reason is ignored.
    assert_eq!(ready(failed("not a name")).0, reason::PULL_REQUEST_FAILED);
    let opened = |message: Option<&str>| {
        docs().at(Stage::Publish).ends(Ok(StageReport {
            message: message.map(str::to_owned),
            pull_request_url: Some("https://github.com/acme/shop/pull/41".into()),
            pull_request_number: Some(41),
            ..report()
        }))
    };
    let open = |message: &str| ("Open".to_owned(), message.to_owned());
    assert_eq!(
        ready(opened(None)),
        open("https://github.com/acme/shop/pull/41")
    );
    let note = "could not request a review from octocat";
    assert_eq!(ready(opened(Some(note))), open(note));
}

#[test]
fn status_has_the_results_of_the_stages() {
    let mut world = code().at(Stage::Agent);
    world = world.ends(Ok(StageReport {
        session_id: Some("s-1".into()),
        usage: Some(flightdeck_core::resources::Usage {
            cost_micro_usd: 420_000,
            turns: 7,
            ..Default::default()
        }),
        // The agent may not report these.
        commit: Some("e".repeat(40)),
        pull_request_url: Some("https://evil.example".into()),
        ..report()
    }));
    world.reconcile();
    let status = &world.run().status;
    assert_eq!(status.session_id.as_deref(), Some("s-1"));
    assert_eq!(
        status.usage.map(|usage| usage.cost_micro_usd),
        Some(420_000)
    );
    assert_eq!(
        (status.commit.as_deref(), status.pull_request_url.as_deref()),
        (None, None)
    );
    assert_eq!(status.base_commit, Some("a".repeat(40)));

    let mut world = world.ends(Ok(StageReport {
        commit: Some("b".repeat(40)),
        pull_request_url: Some("https://github.com/acme/shop/pull/41".into()),
        pull_request_number: Some(41),
        ..report()
    }));
    world.reconcile();
    let status = &world.run().status;
    assert_eq!(status.commit, Some("b".repeat(40)));
    assert_eq!(status.pull_request_number, Some(41));
    assert_eq!(status.work_completed, Some(true));
    assert_eq!(status.conditions.len(), 8);
    let odd = status
        .conditions
        .iter()
        .filter(|condition| condition.status != flightdeck_core::resources::ConditionStatus::True);
    assert_eq!(
        odd.map(|condition| condition.r#type.as_str())
            .collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
    assert_eq!(
        status
            .attempts
            .iter()
            .map(|attempt| attempt.stage.as_str())
            .collect::<Vec<_>>(),
        ["prep", "agent", "publish"]
    );
    assert!(
        status
            .attempts
            .iter()
            .all(|attempt| attempt.exit_code == Some(0) && attempt.pod_name.is_some())
    );
}

#[test]
fn docs_run_has_its_expected_documents_from_the_start() {
    let world = docs().reconciled();
    let status = &world.run().status;
    assert_eq!(
        status
            .documents
            .as_ref()
            .map(|documents| documents.expected),
        Some(8)
    );
    assert_eq!(status.branch.as_deref(), Some("docs/docs-shop-7f3a"));
    assert_eq!(status.conditions.len(), 8);
}

#[test]
fn status_has_the_pushed_branch() {
    let note = "docs/x holds the commits of an earlier attempt; pushed to docs/x-v2";
    let url = "https://github.com/acme/shop/pull/41";
    let pushed = |commit: &str, branch: &str| StageReport {
        commit: Some(commit.repeat(40)),
        branch: Some(branch.into()),
        message: Some(note.into()),
        pull_request_url: Some(url.into()),
        pull_request_number: Some(41),
        ..report()
    };
    let mut world = docs().at(Stage::Publish).ends(Ok(pushed("b", "docs/x-v2")));
    world.reconcile();
    let status = &world.run().status;
    assert_eq!(status.branch.as_deref(), Some("docs/x-v2"));
    let message = status.message.as_deref();
    assert_eq!(
        message,
        Some(format!("published as {url}; {note}").as_str())
    );
    // Another attempt plans the same branch as the first.
    assert_eq!(world.run().planned_branch(), "docs/docs-shop-7f3a");
    world = world.spec(|spec| spec.context_version = 2);
    world.reconcile();
    assert_eq!(world.run().branch(), "docs/x-v2");

    for (commit, branch) in [("no id", "docs/x-v2"), ("b", "x\u{1b}[31m"), ("b", "")] {
        let mut world = docs().at(Stage::Publish).ends(Ok(pushed(commit, branch)));
        world.reconcile();
        assert_eq!(world.run().branch(), "docs/docs-shop-7f3a", "{branch}");
    }
}

#[test]
fn names_a_missing_secret_with_its_key() {
    let mut world = docs()
        .spec(|spec| spec.github_user = Some("octocat".into()))
        .reconciled()
        .waiting(
            "CreateContainerConfigError",
            "secret \"github-pat-octocat\" not found",
        );
    world.reconcile();
    let message = world.run().status.message.clone().unwrap_or_default();
    assert!(
        message.contains("github-pat-octocat") && message.contains("token"),
        "{message}"
    );
    assert!(
        world
            .notes
            .iter()
            .any(|note| note.warning && note.reason == "CreateContainerConfigError")
    );
}

#[test]
fn limits_reported_text_to_one_line() {
    let mut world = docs().reconciled().ends(Err((
        1,
        StageReport {
            reason: Some("Evil\u{1b}[2J".into()),
            message: Some(format!("a\nb\u{1b}]52;c;x\u{7} {}", "x".repeat(3000))),
            ..report()
        },
    )));
    world.reconcile();
    let status = &world.run().status;
    assert_eq!(status.reason.as_deref(), Some(reason::CLONE_FAILED));
    let text = status.message.clone().unwrap_or_default();
    let shown = text.chars().count() < 1200 && !text.contains(['\n', '\u{1b}', '\u{7}']);
    assert!(shown, "{text}");
}

/// Stops after every write of every reconciliation of a whole run and restarts: the result must be the same.
#[test]
fn interrupting_between_any_two_writes_gives_the_same_result() {
    for make in [docs, code] {
        let mut uninterrupted = make();
        let writes = uninterrupted.run_to_completion(None);
        assert!(writes >= 12, "{writes} writes");
        for stop_after in 0..writes {
            let mut world = make();
            world.run_to_completion(Some(stop_after));
            let (a, b) = (uninterrupted.outcome(), world.outcome());
            assert_eq!(a, b, "stopped after write {stop_after}");
        }
    }
}

#[test]
fn repeatedly_deleted_jobs_back_off_and_fail() {
    let mut world = docs().reconciled().running().reconciled();
    let mut seen = Vec::new();
    for _ in 0..8 {
        world = world.job_deleted();
        let line = world.reconcile();
        if line.contains("BackOff") {
            world = world.later(60);
            world.reconcile();
        }
        seen.push(line);
        if world.run().phase().finished() {
            break;
        }
    }
    assert_eq!(
        seen,
        [
            "prep-v1-2 | Pending prep",
            "| Pending prep BackOff | requeue 20",
            "| Pending prep BackOff | requeue 40",
            "| Failed prep JobLost | requeue 0",
        ]
    );
}

#[test]
fn rechecks_a_waiting_pod_less_and_less_often() {
    check(vec![
        (
            "at first",
            docs().reconciled().later(15),
            "| same | requeue 15",
        ),
        (
            "after an hour",
            docs().reconciled().later(3600),
            "| same | requeue 300",
        ),
    ]);
}

#[test]
fn status_reports_a_refused_write() {
    let world = docs();
    let plan = refused(
        world.observed(),
        "ClusterRefused",
        "cannot create the Job x: exceeded\nquota",
    );
    let status = plan.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("ClusterRefused"));
    assert_eq!(
        status.message.as_deref(),
        Some("cannot create the Job x: exceeded quota")
    );
    assert_eq!(plan.notes.len(), 1);
    let ended = docs().at(Stage::Publish).ends(Ok(report())).reconciled();
    assert_eq!(
        refused(ended.observed(), "ClusterRefused", "x"),
        Plan::default()
    );
}

#[test]
fn run_is_settled_until_its_spec_changes() {
    let ended = || docs().at(Stage::Publish).ends(Ok(report())).reconciled();
    assert!(!is_settled(docs().run()));
    assert!(!is_settled(docs().reconciled().run()));
    assert!(!is_settled(ended().run()), "it still has its finalizer");
    let settled = ended().reconciled();
    assert!(is_settled(settled.run()));
    assert!(!is_settled(
        settled.clone().spec(|spec| spec.context_version = 2).run()
    ));
    assert!(!is_settled(
        settled
            .spec(|spec| spec.ttl_seconds_after_finished = Some(1))
            .run()
    ));
}
