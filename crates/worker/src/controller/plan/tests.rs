//! The controller's specification: situations, one line each, and what is done about them.

mod troubles;
mod world;

use super::*;
use flightdeck_core::{
    resources::ContextFile,
    runs::{RunKind, StageReport},
};
use world::{World, report};

/// A situation and what must come of it: `writes | phase stage reason | wake`, with `same` for a status left alone.
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
            "no status yet: a new docs run gets its files, a workspace, the finalizer, and prep",
            docs(),
            "files, workspace, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a new code run holds its workspace from the moment that exists",
            code(),
            "files, workspace, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "what exists already is not made again",
            docs().with_files().with_workspace().with_finalizer(),
            "prep-v1-1 | Pending prep",
        ),
        (
            "a suspended run starts nothing",
            docs().spec(|spec| spec.suspend = true),
            "| Pending prep Suspended",
        ),
        (
            "a run stopped before it began ends without having made anything",
            docs().spec(|spec| spec.cancel_version = 1),
            "| Cancelled - Cancelled | wake 0",
        ),
        (
            "a run that is being deleted makes nothing",
            docs().deleting(),
            "| same",
        ),
        (
            "files that cannot be rendered end the run",
            docs().files_fail("the template docs/prompt.md.hbs is broken"),
            "| Failed prep ConfigInvalid | wake 0",
        ),
        (
            "a reserved variable ends the run before a pod sees it",
            docs().spec(|spec| {
                spec.env.insert("LD_PRELOAD".into(), "x.so".into());
            }),
            "| Failed prep EnvironmentRefused | wake 0",
        ),
        (
            "a Secret with a Git credential never becomes the agent's environment",
            docs().spec(|spec| {
                spec.env_from_secrets
                    .push(flightdeck_core::resources::SecretEnv {
                        name: "TOKEN".into(),
                        secret_name: "github-pat-octocat".into(),
                        secret_key: "token".into(),
                    });
            }),
            "| Failed prep EnvironmentRefused | wake 0",
        ),
        (
            "a Secret that nobody allowed never becomes the agent's environment",
            docs().spec(|spec| {
                spec.env_from_secrets
                    .push(flightdeck_core::resources::SecretEnv {
                        name: "SALARIES".into(),
                        secret_name: "payroll".into(),
                        secret_key: "all".into(),
                    });
            }),
            "| Failed prep EnvironmentRefused | wake 0",
        ),
        (
            "a Git credential is never sent to a host it is not meant for",
            docs().spec(|spec| {
                spec.github_user = Some("octocat".into());
                spec.repository_url = "https://evil.example/shop.git".into();
            }),
            "| Failed prep HostRefused | wake 0",
        ),
        (
            "a ConfigMap of that name that is not ours is never used",
            docs().with_files().foreign_files(),
            "| Failed prep Foreign | wake 0",
        ),
        (
            "a claim of that name that is not ours is never mounted",
            docs().with_workspace().foreign_workspace(),
            "files | Failed prep Foreign | wake 0",
        ),
        (
            "a shared claim made for another repository is never mounted",
            code().with_workspace().foreign_workspace(),
            "files | Failed prep Foreign | wake 0",
        ),
        (
            "a claim that is going away is waited for",
            code().with_workspace().workspace_terminating(),
            "files | Pending prep Terminating | wake 30",
        ),
    ]);
}

#[test]
fn sharing_a_workspace() {
    check(vec![
        (
            "a workspace in use is waited for, and its holder named",
            code().with_workspace().held_by("code-9-aaaa", false, 1),
            "files | Pending prep InUse | wake 30",
        ),
        (
            "a holder that is gone gives way once its pods are gone",
            code().with_workspace().held_by("code-9-aaaa", true, 0),
            "files, hold, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a holder that is gone keeps the workspace while a pod of it lives",
            code().with_workspace().held_by("code-9-aaaa", true, 1),
            "files | Pending prep InUse | wake 30",
        ),
        (
            "a free workspace goes to whoever asked first",
            code().with_workspace().free().ahead("code-8-bbbb"),
            "files | Pending prep InUse | wake 30",
        ),
        (
            "a free workspace is taken by whoever is first",
            code().with_workspace().free(),
            "files, hold, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a run that waits for a workspace and is stopped leaves the queue",
            code()
                .with_workspace()
                .held_by("code-9-aaaa", false, 1)
                .reconciled()
                .spec(|spec| spec.cancel_version = 1),
            "| Cancelled prep Cancelled | wake 0",
        ),
        (
            "waiting on is not written twice",
            code()
                .with_workspace()
                .held_by("code-9-aaaa", false, 1)
                .reconciled()
                .with_files(),
            "| same | wake 30",
        ),
    ]);
}

#[test]
fn following_a_stage() {
    let at_prep = || docs().reconciled();
    check(vec![
        (
            "a Job without a pod is no running run, and nothing new to write",
            at_prep(),
            "| same | wake 10",
        ),
        (
            "a pod whose containers wait is no running run",
            at_prep().pod("Pending"),
            "| same | wake 10",
        ),
        (
            "an init container that runs is a running run",
            at_prep().init_running(),
            "| Running prep",
        ),
        (
            "a pod that runs is a running run",
            at_prep().running(),
            "| Running prep",
        ),
        (
            "its own status write leads to no other",
            at_prep().running().reconciled(),
            "| same",
        ),
        (
            "a finalizer taken away while a stage runs is put back",
            at_prep().running().reconciled().without_finalizer(),
            "+finalizer | same",
        ),
        (
            "a missing Secret is named",
            at_prep().waiting(
                "CreateContainerConfigError",
                "secret \"github-pat-octocat\" not found",
            ),
            "| Pending prep CreateContainerConfigError | wake 10",
        ),
        (
            "an image that cannot be pulled is named",
            at_prep().waiting("ErrImagePull", "not found"),
            "| Pending prep ErrImagePull | wake 10",
        ),
        (
            "a pod no node takes is said to be one",
            at_prep().unschedulable("0/1 nodes"),
            "| Pending prep Unschedulable | wake 10",
        ),
        (
            "a pod the cluster refuses is told by the Job's events",
            at_prep().event_on_job("FailedCreate", "exceeded quota"),
            "| Pending prep FailedCreate | wake 10",
        ),
        (
            "a stage that was recorded and then not made is made under its name",
            docs()
                .with_files()
                .with_workspace()
                .with_finalizer()
                .crashed_after(1),
            "prep-v1-1 | same",
        ),
        (
            "a Job that the status does not know is taken up, not made twice",
            docs().reconciled().status_lost(),
            "| Pending prep | wake 10",
        ),
        (
            "a Job that is still there after its attempt was closed is ended",
            docs().reconciled().running().stray(),
            "stop-pod, prep-v1-2 | Pending prep",
        ),
        (
            "a suspended run lets the stage that runs go on",
            at_prep()
                .running()
                .reconciled()
                .spec(|spec| spec.suspend = true),
            "| same",
        ),
        (
            "suspended between stages, it waits",
            at_prep()
                .ends(Ok(report()))
                .spec(|spec| spec.suspend = true),
            "| Pending agent Suspended",
        ),
        (
            "Complete is believed only when no pod is left",
            at_prep().running().reconciled().complete_but_terminating(),
            "| same",
        ),
    ]);
}

#[test]
fn moving_through_the_stages() {
    check(vec![
        (
            "prep done: the agent",
            docs().reconciled().ends(Ok(report())),
            "agent-v1-1 | Pending agent",
        ),
        (
            "the agent done: publish",
            docs().at(Stage::Agent).ends(Ok(report())),
            "publish-v1-1 | Pending publish",
        ),
        (
            "publish done: the run",
            docs().at(Stage::Publish).ends(Ok(report())),
            "| Succeeded publish Succeeded | wake 0",
        ),
        (
            "tasks that are not the ones a person saw end the run",
            docs().reconciled().ends(Err((
                65,
                StageReport {
                    reason: Some(reason::TASKS_MISMATCH.into()),
                    message: Some("the branch has other tasks".into()),
                    ..report()
                },
            ))),
            "| Failed prep TasksMismatch | wake 0",
        ),
        (
            "an agent that fails is not paid again unasked",
            docs().at(Stage::Agent).ends(Err((1, report()))),
            "| Failed agent AgentFailed | wake 0",
        ),
        (
            "an agent is repeated when that was asked for, after a while",
            docs()
                .spec(|spec| spec.retries = 1)
                .at(Stage::Agent)
                .ends(Err((1, report()))),
            "| Pending agent BackOff | wake 10",
        ),
        (
            "the while has passed",
            docs()
                .spec(|spec| spec.retries = 1)
                .at(Stage::Agent)
                .ends(Err((1, report())))
                .reconciled()
                .later(10),
            "agent-v1-2 | Pending agent",
        ),
        (
            "a budget that is used up is not tried again",
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
            "| Failed agent BudgetExceeded | wake 0",
        ),
        (
            "an agent cannot give another stage's reason",
            docs().at(Stage::Agent).ends(Err((
                1,
                StageReport {
                    reason: Some(reason::TASKS_MISMATCH.into()),
                    ..report()
                },
            ))),
            "| Failed agent AgentFailed | wake 0",
        ),
        (
            "a lost pod of prep is tried again by itself",
            docs().reconciled().running().pod_lost(),
            "| Pending prep BackOff | wake 10",
        ),
        (
            "a lost pod of the agent is not",
            docs().at(Stage::Agent).running().pod_lost(),
            "| Failed agent PodLost | wake 0",
        ),
        (
            "a Job somebody deleted is a new attempt at once",
            docs().reconciled().running().reconciled().job_deleted(),
            "prep-v1-2 | Pending prep",
        ),
        (
            "a deadline is told as one",
            docs().at(Stage::Agent).running().deadline(),
            "| Failed agent DeadlineExceeded | wake 0",
        ),
        (
            "documents that are missing fail the run, and what was pushed is still said",
            docs().at(Stage::Publish).ends(Err((
                1,
                StageReport {
                    reason: Some(reason::INCOMPLETE.into()),
                    commit: Some("b".repeat(40)),
                    ..report()
                },
            ))),
            "| Failed publish Incomplete | wake 0",
        ),
        (
            "a workspace that is gone takes the agent's work with it",
            docs()
                .at(Stage::Agent)
                .ends(Ok(report()))
                .workspace_deleted(),
            "| Failed publish WorkspaceLost | wake 0",
        ),
    ]);
}

#[test]
fn stopping() {
    let stopped = |world: World| world.spec(|spec| spec.cancel_version = 1);
    check(vec![
        (
            "a pod that runs is ended by its own deadline, which keeps the log",
            stopped(docs().at(Stage::Agent).running().reconciled()),
            "stop-pod | Running agent Stopping",
        ),
        (
            "it is told only once",
            stopped(docs().at(Stage::Agent).running().reconciled()).reconciled(),
            "| same",
        ),
        (
            "a Job whose pod never started is deleted",
            stopped(docs().reconciled().pod("Pending")),
            "-prep-v1-1 | Pending prep Stopping",
        ),
        (
            "and then the run is stopped",
            stopped(docs().reconciled().pod("Pending")).reconciled(),
            "| Cancelled prep Cancelled | wake 0",
        ),
        (
            "a pod that its moved deadline ended is stopped, not late",
            stopped(docs().at(Stage::Agent).running().deadline()),
            "| Cancelled agent Cancelled | wake 0",
        ),
        (
            "what was published before the stop came is published",
            stopped(docs().at(Stage::Publish).ends(Ok(report()))),
            "| Succeeded publish Succeeded | wake 0",
        ),
        (
            "no further stage begins",
            stopped(docs().reconciled().ends(Ok(report()))),
            "| Cancelled prep Cancelled | wake 0",
        ),
        (
            "a version after the stopped one runs",
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
            "Jobs may expire, and the finalizer goes",
            published(docs()),
            "expire prep-v1-1, expire agent-v1-1, expire publish-v1-1, -finalizer | same",
        ),
        (
            "a code run gives its workspace back",
            published(code()),
            "expire prep-v1-1, expire agent-v1-1, expire publish-v1-1, release, -finalizer | same",
        ),
        (
            "then there is nothing more to do",
            published(docs()).reconciled(),
            "| same",
        ),
        (
            "Jobs gone by their time to live are not made again",
            published(docs()).reconciled().jobs_expired(),
            "| same",
        ),
        (
            "a lower contextVersion, applied again, does nothing",
            published(docs()).reconciled().seen_version(3),
            "| same",
        ),
        (
            "a raised contextVersion is a new attempt from prep",
            published(docs())
                .reconciled()
                .spec(|spec| spec.context_version = 2),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "several raises are one attempt",
            published(docs())
                .reconciled()
                .spec(|spec| spec.context_version = 5),
            "files, +finalizer, prep-v5-1 | Pending prep",
        ),
        (
            "a push that failed is published again, without paying the agent",
            publish_failed(reason::PUSH_FAILED).spec(|spec| spec.context_version = 2),
            "files, +finalizer, publish-v2-1 | Pending publish",
        ),
        (
            "work that was refused is done anew",
            publish_failed(reason::OUTSIDE_TASK).spec(|spec| spec.context_version = 2),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "added context is for the agent",
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
            "without the workspace there is nothing to publish again",
            publish_failed(reason::PUSH_FAILED)
                .workspace_deleted()
                .spec(|spec| spec.context_version = 2),
            "files, workspace, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "a run without a time to live stays",
            published(docs()).reconciled().later(1_000_000),
            "| same",
        ),
        (
            "one with a time to live waits for it",
            published(docs().spec(|spec| spec.ttl_seconds_after_finished = Some(60)))
                .reconciled()
                .later(20),
            "| same | wake 40",
        ),
        (
            "and goes when it has passed",
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
            "Jobs go first",
            docs().reconciled().running().deleting(),
            "-prep-v1-1 | same | wake 30",
        ),
        (
            "the run stays while a pod lives",
            docs()
                .reconciled()
                .running()
                .deleting()
                .jobs_gone_pods_left(),
            "| same | wake 30",
        ),
        (
            "then it is let go",
            docs().reconciled().deleting().jobs_expired(),
            "-finalizer | same",
        ),
        (
            "a code run gives its workspace back on the way",
            code().reconciled().deleting().jobs_expired(),
            "release, -finalizer | same",
        ),
        (
            "a finished run without a finalizer is no work",
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
fn the_condition_of_a_pull_request_names_what_stood_in_its_way() {
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
    // What could not be a reason is none.
    assert_eq!(ready(failed("not a name")).0, reason::PULL_REQUEST_FAILED);
    let made = |message: Option<&str>| {
        docs().at(Stage::Publish).ends(Ok(StageReport {
            message: message.map(str::to_owned),
            pull_request_url: Some("https://github.com/acme/shop/pull/41".into()),
            pull_request_number: Some(41),
            ..report()
        }))
    };
    let open = |message: &str| ("Open".to_owned(), message.to_owned());
    assert_eq!(
        ready(made(None)),
        open("https://github.com/acme/shop/pull/41")
    );
    let note = "acme/shop knows no reviewer nobody";
    assert_eq!(ready(made(Some(note))), open(note));
}

#[test]
fn what_the_stages_report_is_in_the_status() {
    let mut world = code().at(Stage::Agent);
    world = world.ends(Ok(StageReport {
        session_id: Some("s-1".into()),
        usage: Some(flightdeck_core::resources::Usage {
            cost_micro_usd: 420_000,
            turns: 7,
            ..Default::default()
        }),
        // Not the agent's to say.
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
fn a_docs_run_says_at_once_how_many_documents_are_expected() {
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
fn the_branch_in_the_status_is_the_one_that_was_pushed() {
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
    // The next attempt is planned for the same branch as the first.
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
fn a_missing_secret_is_named_with_its_key() {
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
fn text_from_outside_is_one_bounded_line() {
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

/// Stops after every write of every reconciliation of a whole run, and begins anew: the end must be the same.
#[test]
fn a_controller_that_stops_between_any_two_writes_comes_to_the_same_end() {
    for make in [docs, code] {
        let mut smooth = make();
        let writes = smooth.live_to_the_end(None);
        assert!(writes >= 12, "{writes} writes");
        for stop_after in 0..writes {
            let mut world = make();
            world.live_to_the_end(Some(stop_after));
            let (a, b) = (smooth.outcome(), world.outcome());
            assert_eq!(a, b, "stopped after write {stop_after}");
        }
    }
}

#[test]
fn what_deletes_every_job_does_not_make_the_controller_run_in_circles() {
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
            "| Pending prep BackOff | wake 20",
            "| Pending prep BackOff | wake 40",
            "| Failed prep JobLost | wake 0",
        ]
    );
}

#[test]
fn the_longer_a_pod_waits_the_seldomer_it_is_looked_at() {
    check(vec![
        (
            "at first",
            docs().reconciled().later(15),
            "| same | wake 15",
        ),
        (
            "after an hour",
            docs().reconciled().later(3600),
            "| same | wake 300",
        ),
    ]);
}

#[test]
fn what_the_cluster_refuses_is_in_the_status() {
    let world = docs();
    let told = refused(
        world.observed(),
        "ClusterRefused",
        "cannot create the Job x: exceeded\nquota",
    );
    let status = told.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("ClusterRefused"));
    assert_eq!(
        status.message.as_deref(),
        Some("cannot create the Job x: exceeded quota")
    );
    assert_eq!(told.notes.len(), 1);
    let ended = docs().at(Stage::Publish).ends(Ok(report())).reconciled();
    assert_eq!(
        refused(ended.observed(), "ClusterRefused", "x"),
        Plan::default()
    );
}

#[test]
fn a_run_at_rest_is_not_read_again_until_somebody_asks_for_something() {
    let ended = || docs().at(Stage::Publish).ends(Ok(report())).reconciled();
    assert!(!at_rest(docs().run()));
    assert!(!at_rest(docs().reconciled().run()));
    assert!(
        !at_rest(ended().run()),
        "its finalizer is still to be given back"
    );
    let rests = ended().reconciled();
    assert!(at_rest(rests.run()));
    assert!(!at_rest(
        rests.clone().spec(|spec| spec.context_version = 2).run()
    ));
    assert!(!at_rest(
        rests
            .spec(|spec| spec.ttl_seconds_after_finished = Some(1))
            .run()
    ));
}
