//! Situations that come from outside: people who change things by hand, nodes that fail, clocks that differ, names at their limit.

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
            "| Cancelled prep Cancelled | wake 0",
        ),
        (
            "cancelled between the agent and publish",
            cancelled(docs().at(Stage::Agent).ends(Ok(report()))),
            "| Cancelled agent Cancelled | wake 0",
        ),
        (
            "cancelled when a stage was recorded and not made",
            cancelled(docs().reconciled().never_made()),
            "| Cancelled prep Cancelled | wake 0",
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
            "suspended when a stage was recorded and not made",
            suspended(docs().reconciled().never_made()),
            "| Pending prep Suspended",
        ),
        (
            "no longer suspended, it goes on where it was",
            suspended(docs().at(Stage::Agent).ends(Ok(report())))
                .reconciled()
                .spec(|spec| spec.suspend = false),
            "publish-v1-1 | Pending publish",
        ),
        (
            "deleted while prep runs",
            at(Stage::Prep).deleting(),
            "-prep-v1-1 | same | wake 30",
        ),
        (
            "deleted while the agent runs",
            at(Stage::Agent).deleting(),
            "-prep-v1-1, -agent-v1-1 | same | wake 30",
        ),
        (
            "deleted while publish runs",
            at(Stage::Publish).deleting(),
            "-prep-v1-1, -agent-v1-1, -publish-v1-1 | same | wake 30",
        ),
        (
            "deleted while its Job has no pod yet: it is not let go before the Job is gone",
            docs().reconciled().deleting(),
            "-prep-v1-1 | same | wake 30",
        ),
        (
            "deleted when a stage was recorded and not made: it is never made",
            docs().reconciled().never_made().deleting(),
            "-finalizer | same",
        ),
    ]);
}

#[test]
fn an_attempt_that_a_stop_has_ended_is_told_as_stopped() {
    let mut world = docs()
        .at(Stage::Agent)
        .running()
        .deadline()
        .spec(|spec| spec.cancel_version = 1);
    world.reconcile();
    let attempt = world.run().status.attempts.last().unwrap();
    assert_eq!(attempt.reason.as_deref(), Some(why::CANCELLED));
    assert!(
        world.notes.iter().all(|note| !note.warning),
        "{:?}",
        world.notes
    );
}

#[test]
fn a_version_that_is_raised() {
    let raised = |world: World| world.spec(|spec| spec.context_version = 2);
    let failed = || docs().at(Stage::Agent).ends(Err((1, report())));
    check(vec![
        (
            "while a stage runs: that attempt goes on",
            raised(docs().at(Stage::Agent).running().reconciled()),
            "| same",
        ),
        (
            "between two stages: the older version goes on",
            raised(docs().at(Stage::Agent).ends(Ok(report()))),
            "publish-v1-1 | Pending publish",
        ),
        (
            "and begins once the older version has ended",
            raised(failed()).reconciled(),
            "files, prep-v2-1 | Pending prep",
        ),
        (
            "after success",
            raised(
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
            raised(failed().reconciled().reconciled()),
            "files, +finalizer, prep-v2-1 | Pending prep",
        ),
        (
            "together with the cancellation of the older one, while that runs",
            raised(docs().at(Stage::Agent).running().reconciled())
                .spec(|spec| spec.cancel_version = 1),
            "stop-pod | Running agent Stopping",
        ),
    ]);
}

#[test]
fn what_people_do_by_hand() {
    check(vec![
        (
            "files deleted between two stages are made again",
            docs().reconciled().ends(Ok(report())).files_deleted(),
            "files, agent-v1-1 | Pending agent",
        ),
        (
            "files deleted and made by somebody else are never used",
            docs().reconciled().ends(Ok(report())).foreign_files(),
            "| Failed agent Foreign | wake 0",
        ),
        (
            "a Job deleted with the agent's work under way is a new attempt at once",
            docs().at(Stage::Agent).running().reconciled().job_deleted(),
            "agent-v1-2 | Pending agent",
        ),
        (
            "a claim deleted while prep is yet to begin is made",
            docs().reconciled().never_made().workspace_deleted(),
            "workspace, prep-v1-1 | same",
        ),
        (
            "a claim deleted under a code run takes the agent's work with it",
            code()
                .at(Stage::Agent)
                .ends(Ok(report()))
                .workspace_deleted(),
            "| Failed publish WorkspaceLost | wake 0",
        ),
        (
            "a holder written over by hand is waited for",
            code()
                .at(Stage::Agent)
                .ends(Ok(report()))
                .held_by("code-9-aaaa", false, 0),
            "| Pending publish InUse | wake 30",
        ),
        (
            "a Job made after the run's end, by a controller that was cut off, is ended",
            docs()
                .at(Stage::Publish)
                .ends(Ok(report()))
                .reconciled()
                .late_job(Stage::Agent, 2),
            "-agent-v1-2, expire prep-v1-1, expire agent-v1-1, expire publish-v1-1 | same",
        ),
    ]);
}

/// What a watch has not told is asked for before a run fails of it, or leaves with what it holds.
#[test]
fn a_workspace_that_is_not_told_of() {
    let doubtful = |world: World| world.observed().workspace_is_doubtful();
    let untold = |world: World| doubtful(world.workspace_deleted());
    assert!(!untold(docs()), "nothing was begun");
    assert!(!untold(docs().reconciled()), "nothing of prep was seen");
    assert!(untold(docs().reconciled().running().reconciled()));
    let at_once = docs().reconciled().ends(Ok(report()));
    assert!(!doubtful(at_once.clone()), "it is known");
    assert!(untold(at_once), "prep began and ended between two looks");

    let published = |world: World| world.at(Stage::Publish).ends(Ok(report())).reconciled();
    assert!(untold(published(code())), "it may hold one");
    assert!(!untold(published(docs())), "nobody waits for it");
    assert!(!untold(published(code()).without_finalizer()));
    assert!(untold(code().at(Stage::Agent).deleting()));
}

#[test]
fn who_waits_for_a_workspace() {
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
            "files | Pending prep InUse | wake 30",
        ),
        (
            "a waiter that is suspended leaves the queue",
            waiting().spec(|spec| spec.suspend = true),
            "| Pending prep Suspended",
        ),
        (
            "a waiter that is cancelled leaves the queue",
            waiting().spec(|spec| spec.cancel_version = 1),
            "| Cancelled prep Cancelled | wake 0",
        ),
        (
            "a waiter that is deleted leaves the queue, and holds nothing",
            waiting().deleting(),
            "| same",
        ),
        (
            "a waiter whose turn has come takes the workspace",
            waiting().free(),
            "hold, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "a claim that waits for its first pod keeps nobody waiting",
            docs().with_workspace().claim_pending(),
            "files, +finalizer, prep-v1-1 | Pending prep",
        ),
        (
            "each stage proves anew that the workspace is held",
            code().at(Stage::Agent).ends(Ok(report())),
            "hold, publish-v1-1 | Pending publish",
        ),
    ]);
}

#[test]
fn what_keeps_a_pod_from_running() {
    let at_prep = || docs().reconciled();
    check(vec![
        (
            "an image pull that is put off",
            at_prep().waiting("ImagePullBackOff", "Back-off pulling image"),
            "| Pending prep ImagePullBackOff | wake 10",
        ),
        (
            "an image name that is none",
            at_prep().waiting("InvalidImageName", "couldn't parse"),
            "| Pending prep InvalidImageName | wake 10",
        ),
        (
            "a container the runtime refuses",
            at_prep().waiting("CreateContainerError", "no such directory"),
            "| Pending prep CreateContainerError | wake 10",
        ),
        (
            "a container that cannot be run",
            at_prep().waiting("RunContainerError", "exec format error"),
            "| Pending prep RunContainerError | wake 10",
        ),
        (
            "a volume that cannot be mounted, told by an event",
            at_prep()
                .waiting("ContainerCreating", "")
                .event_on_job("FailedMount", "configmap not found"),
            "| Pending prep FailedMount | wake 10",
        ),
        (
            "a node that does not answer",
            at_prep().running().reconciled().node_lost(),
            "| Pending prep NodeLost | wake 10",
        ),
    ]);
}

#[test]
fn how_stages_end() {
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
            "a pod of prep that was evicted is tried again by itself",
            docs().reconciled().running().evicted(),
            "| Pending prep BackOff | wake 10",
        ),
        (
            "a pod of the agent that was evicted is not paid again",
            docs().at(Stage::Agent).running().evicted(),
            "| Failed agent Evicted | wake 0",
        ),
        (
            "a pod of publish that was lost is published again, without the agent",
            docs().at(Stage::Publish).running().pod_lost(),
            "| Pending publish BackOff | wake 10",
        ),
        (
            "out of memory",
            docs().at(Stage::Agent).out_of_memory(),
            "| Failed agent OutOfMemory | wake 0",
        ),
        (
            "the Job's own deadline, for a pod that never began",
            docs().reconciled().job_deadline(),
            "| Failed prep DeadlineExceeded | wake 0",
        ),
        (
            "any other exit code of prep",
            docs().reconciled().ends(Err((128, report()))),
            "| Failed prep CloneFailed | wake 0",
        ),
        (
            "any other exit code of the agent",
            docs().at(Stage::Agent).ends(Err((2, report()))),
            "| Failed agent AgentFailed | wake 0",
        ),
        (
            "any other exit code of publish",
            docs().at(Stage::Publish).ends(Err((2, report()))),
            "| Failed publish PushFailed | wake 0",
        ),
        (
            "publish judges: outside its tasks",
            publish(reason::OUTSIDE_TASK),
            "| Failed publish OutsideTask | wake 0",
        ),
        (
            "publish judges: incomplete",
            publish(reason::INCOMPLETE),
            "| Failed publish Incomplete | wake 0",
        ),
        (
            "publish judges: no changes",
            publish(reason::NO_CHANGES),
            "| Failed publish NoChanges | wake 0",
        ),
        (
            "publish judges: the base has moved",
            publish(reason::BASE_MOVED),
            "| Failed publish BaseMoved | wake 0",
        ),
        (
            "publish judges: the push was refused",
            publish(reason::PUSH_FAILED),
            "| Failed publish PushFailed | wake 0",
        ),
        (
            "publish judges: no pull request",
            publish(reason::PULL_REQUEST_FAILED),
            "| Failed publish PullRequestFailed | wake 0",
        ),
        (
            "publish judges: pushed where there is no forge",
            docs().at(Stage::Publish).ends(Ok(StageReport {
                pull_request_reason: Some(reason::NO_FORGE.into()),
                ..report()
            })),
            "| Succeeded publish Succeeded | wake 0",
        ),
        (
            "publish judges: every document was there already",
            docs().at(Stage::Publish).ends(Ok(StageReport {
                reason: Some(reason::NO_CHANGES.into()),
                ..report()
            })),
            "| Succeeded publish Succeeded | wake 0",
        ),
    ]);
}

#[test]
fn clocks_that_differ() {
    let failed = || {
        docs()
            .spec(|spec| spec.retries = 1)
            .at(Stage::Agent)
            .ends(Err((1, report())))
            .reconciled()
    };
    check(vec![
        (
            "an end a few seconds ahead is waited for",
            failed().later(-5),
            "| same | wake 15",
        ),
        (
            "an end an hour ahead, by another clock, holds nothing up",
            failed().later(-3600),
            "agent-v1-2 | Pending agent",
        ),
        (
            "a Job made in the future is looked at as one made now",
            docs().reconciled().later(-3600),
            "| same | wake 10",
        ),
    ]);
}

#[test]
fn a_name_of_253_characters_is_cut_and_what_makes_it_unique_is_not() {
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
fn two_runs_of_a_task_share_no_name() {
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
