//! Situations caused from outside: manual changes, failing nodes, clock skew, names at their limit.

use super::*;
use flightdeck_core::runs::naming;

#[test]
fn cancelled_suspended_and_deleted_in_each_stage() {
    let cancelled = |world: World| world.spec(|spec| spec.cancel_version = 1);
    let suspended = |world: World| world.spec(|spec| spec.suspend = true);
    let at = |stage| docs().at(stage).running().reconciled();
    check(vec![
        (
            "cancelled while prep runs",
            cancelled(at(Stage::Prep)),
            "stop-pod | Running prep Stopping",
        ),
        (
            "cancelled while the agent runs",
            cancelled(at(Stage::Agent)),
            "stop-pod | Running agent Stopping",
        ),
        (
            "cancelled while publish runs",
            cancelled(at(Stage::Publish)),
            "stop-pod | Running publish Stopping",
        ),
        (
            "cancelled between prep and the agent",
            cancelled(docs().reconciled().ends(Ok(report()))),
            "| Cancelled prep Cancelled | requeue 0",
        ),
        (
            "cancelled between the agent and publish",
            cancelled(docs().at(Stage::Agent).ends(Ok(report()))),
            "| Cancelled agent Cancelled | requeue 0",
        ),
        (
            "cancelled when a stage was recorded but not created",
            cancelled(docs().reconciled().never_made()),
            "| Cancelled prep Cancelled | requeue 0",
        ),
        (
            "suspended while prep runs",
            suspended(at(Stage::Prep)),
            "| same",
        ),
        (
            "suspended while the agent runs",
            suspended(at(Stage::Agent)),
            "| same",
        ),
        (
            "suspended while publish runs",
            suspended(at(Stage::Publish)),
            "| same",
        ),
        (
            "suspended between the agent and publish",
            suspended(docs().at(Stage::Agent).ends(Ok(report()))),
            "| Pending publish Suspended",
        ),
        (
            "suspended when a stage was recorded but not created",
            suspended(docs().reconciled().never_made()),
            "| Pending prep Suspended",
        ),
        (
            "resumed: it continues where it was",
            suspended(docs().at(Stage::Agent).ends(Ok(report())))
                .reconciled()
                .spec(|spec| spec.suspend = false),
            "publish-v1-1 | Pending publish",
        ),
        (
            "deleted while prep runs",
            at(Stage::Prep).deleting(),
            "-prep-v1-1 | same | requeue 30",
        ),
        (
            "deleted while the agent runs",
            at(Stage::Agent).deleting(),
            "-prep-v1-1, -agent-v1-1 | same | requeue 30",
        ),
        (
            "deleted while publish runs",
            at(Stage::Publish).deleting(),
            "-prep-v1-1, -agent-v1-1, -publish-v1-1 | same | requeue 30",
        ),
        (
            "deleted before its Job has a pod: the Job is deleted first",
            docs().reconciled().deleting(),
            "-prep-v1-1 | same | requeue 30",
        ),
        (
            "deleted when a stage was recorded but not created",
            docs().reconciled().never_made().deleting(),
            "-finalizer | same",
        ),
    ]);
}

#[test]
fn stopped_attempt_is_cancelled_without_a_warning() {
    let mut world = docs()
        .at(Stage::Agent)
        .running()
        .deadline()
        .spec(|spec| spec.cancel_version = 1);
    world.reconcile();
    let attempts = &world.run().status.attempts;
    let attempt = attempts.iter().rfind(|attempt| attempt.stage == "agent");
    let reason = attempt.and_then(|attempt| attempt.reason.as_deref());
    assert_eq!(reason, Some(reason::CANCELLED));
    assert!(
        world.notes.iter().all(|note| !note.warning),
        "{:?}",
        world.notes
    );
}

#[test]
fn incrementing_the_version() {
    let incremented = |world: World| world.spec(|spec| spec.context_version = 2);
    let failed = || docs().at(Stage::Prep).ends(Err((1, report())));
    check(vec![
        (
            "while a stage runs: that attempt continues",
            incremented(docs().at(Stage::Agent).running().reconciled()),
            "| same",
        ),
        (
            "between two stages: the older version continues",
            incremented(docs().at(Stage::Agent).ends(Ok(report()))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "it starts once the older version has ended",
            incremented(failed()).reconciled(),
            "files, prep-v2-1 | Pending prep",
        ),
        (
            "after success",
            incremented(
                docs()
                    .at(Stage::Publish)
                    .ends(Ok(report()))
                    .reconciled()
                    .reconciled(),
            ),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "after failure",
            incremented(failed().reconciled().reconciled()),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "while the older one runs and is cancelled",
            incremented(docs().at(Stage::Agent).running().reconciled())
                .spec(|spec| spec.cancel_version = 1),
            "stop-pod | Running agent Stopping",
        ),
    ]);
}

#[test]
fn manual_changes() {
    check(vec![
        (
            "files deleted between two stages are created again",
            docs().reconciled().ends(Ok(report())).files_deleted(),
            "files, agent-v1-1 | Pending agent",
        ),
        (
            "files recreated by someone else are not used",
            docs().reconciled().ends(Ok(report())).foreign_files(),
            "| Failed agent Foreign | requeue 0",
        ),
        (
            "a Job deleted while the agent runs is not paid again; its work is saved",
            docs().at(Stage::Agent).running().reconciled().job_deleted(),
            "publish-v1-1 | Pending publish",
        ),
        (
            "a Job deleted while the agent runs is retried if requested",
            docs()
                .spec(|spec| spec.retries = 1)
                .at(Stage::Agent)
                .running()
                .reconciled()
                .job_deleted(),
            "agent-v1-2 | Pending agent",
        ),
        (
            "a Job deleted while prep runs is retried at once",
            docs().reconciled().running().reconciled().job_deleted(),
            "prep-v1-2 | Pending prep",
        ),
        (
            "a claim deleted before prep started is created again",
            docs().reconciled().never_made().workspace_deleted(),
            "workspace, prep-v1-1 | same",
        ),
        (
            "a claim deleted under a code run loses the agent's work",
            code()
                .at(Stage::Agent)
                .ends(Ok(report()))
                .workspace_deleted(),
            "| Failed publish WorkspaceLost | requeue 0",
        ),
        (
            "a run waits if its holder annotation was overwritten",
            code()
                .at(Stage::Agent)
                .ends(Ok(report()))
                .held_by("code-9-aaaa", false, 0),
            "| Pending publish InUse | requeue 30",
        ),
        (
            "a Job created late by an interrupted controller is deleted",
            docs()
                .at(Stage::Publish)
                .ends(Ok(report()))
                .reconciled()
                .late_job(Stage::Agent, 2),
            "-agent-v1-2, expire prep-v1-1, expire agent-v1-1, expire publish-v1-1 | same",
        ),
    ]);
}

/// A workspace missing in the cache is read before a run fails because of it, or ends without releasing it.
#[test]
fn reads_the_workspace_before_relying_on_its_absence() {
    let stale = |world: World| world.observed().needs_fresh_workspace();
    let missing = |world: World| stale(world.workspace_deleted());
    assert!(!missing(docs()), "nothing was started");
    assert!(!missing(docs().reconciled()), "prep was not seen");
    assert!(missing(docs().reconciled().running().reconciled()));
    let at_once = docs().reconciled().ends(Ok(report()));
    assert!(!stale(at_once.clone()), "it is cached");
    assert!(
        missing(at_once),
        "prep started and ended between two reconciliations"
    );

    let published = |world: World| world.at(Stage::Publish).ends(Ok(report())).reconciled();
    assert!(missing(published(code())), "it may hold one");
    assert!(!missing(published(docs())), "no run waits for it");
    assert!(!missing(published(code()).without_finalizer()));
    assert!(missing(code().at(Stage::Agent).deleting()));
}

#[test]
fn waiting_for_a_workspace() {
    let waiting = || {
        code()
            .with_workspace()
            .held_by("code-9-aaaa", false, 1)
            .reconciled()
            .with_files()
    };
    check(vec![
        (
            "a second run of the same task waits for the first one's workspace",
            code().with_workspace().held_by("code-1-aaaa", false, 1),
            "files | Pending prep InUse | requeue 30",
        ),
        (
            "a waiter that is suspended leaves the queue",
            waiting().spec(|spec| spec.suspend = true),
            "| Pending prep Suspended",
        ),
        (
            "a waiter that is cancelled leaves the queue",
            waiting().spec(|spec| spec.cancel_version = 1),
            "| Cancelled prep Cancelled | requeue 0",
        ),
        (
            "a waiter that is deleted leaves the queue",
            waiting().deleting(),
            "| same",
        ),
        (
            "the next waiter takes a free workspace",
            waiting().free(),
            "hold, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a pending claim does not delay its first pod",
            docs().with_workspace().claim_pending(),
            "files, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "every stage verifies that it holds the workspace",
            code().at(Stage::Agent).ends(Ok(report())),
            "hold, publish-v1-1 | Pending publish",
        ),
    ]);
}

#[test]
fn blocked_pods() {
    let at_prep = || docs().reconciled();
    check(vec![
        (
            "an image pull in backoff",
            at_prep().waiting("ImagePullBackOff", "Back-off pulling image"),
            "| Pending prep ImagePullBackOff | requeue 10",
        ),
        (
            "an invalid image name",
            at_prep().waiting("InvalidImageName", "couldn't parse"),
            "| Pending prep InvalidImageName | requeue 10",
        ),
        (
            "a container the runtime refuses",
            at_prep().waiting("CreateContainerError", "no such directory"),
            "| Pending prep CreateContainerError | requeue 10",
        ),
        (
            "a container that cannot be run",
            at_prep().waiting("RunContainerError", "exec format error"),
            "| Pending prep RunContainerError | requeue 10",
        ),
        (
            "a volume that cannot be mounted, reported by an event",
            at_prep()
                .waiting("ContainerCreating", "")
                .event_on_job("FailedMount", "configmap not found"),
            "| Pending prep FailedMount | requeue 10",
        ),
        (
            "a node that does not respond",
            at_prep().running().reconciled().node_lost(),
            "| Pending prep NodeLost | requeue 10",
        ),
    ]);
}

#[test]
fn results_of_stages() {
    let publish = |why: &str| {
        docs().at(Stage::Publish).ends(Err((
            1,
            StageReport {
                reason: Some(why.into()),
                ..report()
            },
        )))
    };
    check(vec![
        (
            "an evicted pod of prep is retried automatically",
            docs().reconciled().running().evicted(),
            "| Pending prep BackOff | requeue 10",
        ),
        (
            "an evicted pod of the agent is not retried; its work is saved",
            docs().at(Stage::Agent).running().evicted(),
            "publish-v1-1 | Pending publish",
        ),
        (
            "a lost pod of publish is retried without the agent",
            docs().at(Stage::Publish).running().pod_lost(),
            "| Pending publish BackOff | requeue 10",
        ),
        (
            "out of memory",
            docs().at(Stage::Agent).out_of_memory(),
            "publish-v1-1 | Pending publish",
        ),
        (
            "the Job's own deadline, for a pod that never started",
            docs().reconciled().job_deadline(),
            "| Failed prep DeadlineExceeded | requeue 0",
        ),
        (
            "any other exit code of prep",
            docs().reconciled().ends(Err((128, report()))),
            "| Failed prep CloneFailed | requeue 0",
        ),
        (
            "any other exit code of the agent",
            docs().at(Stage::Agent).ends(Err((2, report()))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "any other exit code of publish",
            docs().at(Stage::Publish).ends(Err((2, report()))),
            "| Failed publish PushFailed | requeue 0",
        ),
        (
            "publish: outside its tasks",
            publish(reason::OUTSIDE_TASK),
            "| Failed publish OutsideTask | requeue 0",
        ),
        (
            "publish: incomplete",
            publish(reason::INCOMPLETE),
            "| Failed publish Incomplete | requeue 0",
        ),
        (
            "publish: no changes",
            publish(reason::NO_CHANGES),
            "| Failed publish NoChanges | requeue 0",
        ),
        (
            "publish: the base has moved",
            publish(reason::BASE_MOVED),
            "| Failed publish BaseMoved | requeue 0",
        ),
        (
            "publish: the push was refused",
            publish(reason::PUSH_FAILED),
            "| Failed publish PushFailed | requeue 0",
        ),
        (
            "publish: no pull request",
            publish(reason::PULL_REQUEST_FAILED),
            "| Failed publish PullRequestFailed | requeue 0",
        ),
        (
            "publish: pushed to an unknown Git host",
            docs().at(Stage::Publish).ends(Ok(StageReport {
                pull_request_reason: Some(reason::NO_FORGE.into()),
                ..report()
            })),
            "| Succeeded publish Succeeded | requeue 0",
        ),
        (
            "publish: all documents exist already",
            docs().at(Stage::Publish).ends(Ok(StageReport {
                reason: Some(reason::NO_CHANGES.into()),
                ..report()
            })),
            "| Succeeded publish Succeeded | requeue 0",
        ),
    ]);
}

#[test]
fn clock_skew() {
    let failed = || {
        docs()
            .spec(|spec| spec.retries = 1)
            .at(Stage::Agent)
            .ends(Err((1, report())))
            .reconciled()
    };
    check(vec![
        (
            "an end a few seconds ahead is respected",
            failed().later(-5),
            "| same | requeue 15",
        ),
        (
            "an end an hour ahead is ignored",
            failed().later(-3600),
            "agent-v1-2 | Pending agent",
        ),
        (
            "a Job created in the future counts as created now",
            docs().reconciled().later(-3600),
            "| same | requeue 10",
        ),
    ]);
}

#[test]
fn long_run_names_are_cut_and_stay_unique() {
    let name = format!("{}.{}", "Docs-x".to_lowercase().repeat(20), "y".repeat(132));
    assert_eq!(name.len(), 253);
    check(vec![(
        "a run name of 253 characters, with a dot",
        docs().named(&name),
        "files, workspace, +finalizer, prep-v1-1 | Pending prep",
    )]);
    let mut world = docs().named(&name);
    world.reconcile();
    let job = world.observed().jobs[0].clone();
    let job_name = job.metadata.name.unwrap();
    assert!(
        job_name.len() <= 57 && !job_name.contains('.'),
        "{job_name}"
    );
    assert!(job_name.ends_with("-0f2c6c1e-prep-v1-1"), "{job_name}");
    let labels = job.metadata.labels.unwrap();
    assert!(labels.values().all(|value| value.len() <= 63), "{labels:?}");
}

#[test]
fn two_runs_of_a_task_have_distinct_names() {
    let names = |world: World| {
        let run = world.run();
        let (name, uid) = (run.name(), run.uid());
        let job = naming::job_name(name, uid, Stage::Prep, 1, 1);
        [job, naming::config_map_name(name, uid, 1)]
    };
    let first = names(docs());
    let second = names(docs().of_uid("9999aaaa-0000-4000-8000-000000000000"));
    assert!(first.iter().all(|name| !second.contains(name)), "{first:?}");
}
