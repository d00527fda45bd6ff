//! The checks that are about the cluster, and what only a cluster knows.

use std::sync::Arc;

use super::tests::{Case, table};
use crate::{
    ActiveRun, ClusterFacts, Facts,
    cluster::{Controller, Disk, Permission, Quota, Reachability, SecretState, Served},
    fixtures::answers,
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::Settings;

fn embedded(facts: &mut Facts) {
    let cluster = facts.cluster.as_mut().unwrap();
    cluster.context = None;
}

fn reached(facts: &mut Facts, reached: Reachability) {
    facts.cluster.as_mut().unwrap().reached = reached;
}

fn deny(facts: &mut Facts, resource: &'static str, launches: Option<RunKind>) {
    let denied = Permission {
        verb: "create",
        group: "orchestrator.io",
        resource,
        launches,
    };
    answers(facts, |answers| answers.denied.push(denied));
}

fn run(cases: &[(&str, &[Case])]) {
    for (id, cases) in cases {
        table(id, cases);
    }
}

#[test]
fn cluster_and_controller() {
    run(&[
        (
            "cluster",
            &[
                ("in order", |_| {}, "Pass context prod, namespace agents"),
                ("unknown", |f| f.cluster = None, "-"),
                (
                    "the embedded one at rest",
                    |f| {
                        embedded(f);
                        reached(f, Reachability::NotRunning);
                    },
                    "Pass the embedded cluster starts with the run",
                ),
                (
                    "no answer",
                    |f| reached(f, Reachability::Unreachable("connection refused".into())),
                    "Fail context prod is unreachable: connection refused",
                ),
                (
                    "no definitions",
                    |f| answers(f, |a| a.served[0].1 = Served::No),
                    "Fail context prod does not serve docsruns",
                ),
                (
                    "of the other kind",
                    |f| answers(f, |a| a.served[1].1 = Served::No),
                    "Pass context prod, namespace agents",
                ),
                (
                    "another version",
                    |f| answers(f, |a| a.served[0].1 = Served::Other(vec!["v2".into()])),
                    "Fail context prod serves docsruns only as v2; this version requires v1",
                ),
                (
                    "not allowed to launch",
                    |f| deny(f, "docsruns", Some(RunKind::Docs)),
                    "Fail you may not create docsruns in namespace agents of context prod",
                ),
                (
                    "not allowed to launch the other kind",
                    |f| deny(f, "coderuns", Some(RunKind::Code)),
                    "Pass context prod, namespace agents",
                ),
                (
                    "not allowed to look",
                    |f| deny(f, "pods/log", None),
                    "Warn you may not create pods/log in namespace agents of context prod",
                ),
            ],
        ),
        (
            "controller",
            &[
                ("at work", |_| {}, "Pass flightdeck-0 is running"),
                ("unknown", |f| f.cluster = None, "-"),
                (
                    "embedded and at rest",
                    |f| reached(f, Reachability::NotRunning),
                    "Pass the embedded server is the controller",
                ),
                (
                    "embedded",
                    |f| answers(f, |a| a.controller = Controller::Embedded),
                    "Pass the embedded server is the controller",
                ),
                (
                    "no answer",
                    |f| reached(f, Reachability::Unreachable("x".into())),
                    "-",
                ),
                (
                    "none",
                    |f| answers(f, |a| a.controller = Controller::Absent),
                    "Fail no controller is running in namespace agents of context prod",
                ),
                (
                    "ended",
                    |f| answers(f, |a| a.controller = Controller::Released),
                    "Fail no controller is running in namespace agents of context prod: the last one exited",
                ),
                (
                    "silent",
                    |f| {
                        answers(f, |a| {
                            a.controller = Controller::Stale {
                                holder: "flightdeck-0".into(),
                                seconds: 3600,
                            };
                        });
                    },
                    "Fail no heartbeat from the controller flightdeck-0 for 1h",
                ),
                (
                    "not allowed",
                    |f| answers(f, |a| a.controller = Controller::Unknown),
                    "Warn cannot tell whether a controller is running in namespace agents of context prod",
                ),
            ],
        ),
    ]);
}

#[test]
fn secrets() {
    fn state(facts: &mut Facts, state: SecretState, required: bool) {
        answers(facts, |answers| {
            answers.secrets[0].state = state;
            answers.secrets[0].wanted.required = required;
        });
    }
    run(&[(
        "secrets",
        &[
            ("there", |_| {}, "Pass github-pat-ada exists"),
            ("unknown", |f| f.cluster = None, "-"),
            (
                "embedded",
                embedded,
                "Pass none needed: runs use your git and environment",
            ),
            (
                "none wanted",
                |f| answers(f, |a| a.secrets.clear()),
                "Pass none needed",
            ),
            (
                "absent",
                |f| state(f, SecretState::Absent, true),
                "Fail namespace agents has no Secret github-pat-ada (the GitHub token of ada)",
            ),
            (
                "without the key",
                |f| state(f, SecretState::NoKey, true),
                "Fail the Secret github-pat-ada in namespace agents has no key token (the GitHub token of ada)",
            ),
            (
                "absent and not needed to start",
                |f| state(f, SecretState::Absent, false),
                "Warn namespace agents has no Secret github-pat-ada (the GitHub token of ada)",
            ),
            (
                "not allowed",
                |f| state(f, SecretState::NotAllowed, true),
                "Warn cannot tell whether the Secret github-pat-ada exists: you may not read Secrets in namespace agents",
            ),
            (
                "no record of its keys",
                |f| state(f, SecretState::KeyUnknown, true),
                "Warn the Secret github-pat-ada exists; whether it has the key token is unknown",
            ),
        ],
    )]);
}

#[test]
fn room() {
    fn limit(facts: &mut Facts, resource: &str, hard: &str, used: &str) {
        let quota = Quota {
            name: "compute".into(),
            resource: resource.into(),
            hard: hard.into(),
            used: used.into(),
        };
        answers(facts, |answers| answers.quotas = Some(vec![quota]));
    }
    fn disk(facts: &mut Facts, free: u64) {
        facts.cluster = Some(ClusterFacts {
            disk: Some(Disk {
                place: "/var/lib".into(),
                free,
            }),
            ..ClusterFacts::not_running(std::path::Path::new("/"), Arc::new(Settings::shipped()))
        });
    }
    run(&[(
        "quota",
        &[
            ("no quota", |_| {}, "Pass no quotas"),
            ("not allowed", |f| answers(f, |a| a.quotas = None), "-"),
            (
                "room",
                |f| limit(f, "pods", "10", "9"),
                "Pass within the quotas of namespace agents",
            ),
            (
                "used up",
                |f| limit(f, "pods", "10", "10"),
                "Warn quota compute in namespace agents allows 10 pods; 10 in use",
            ),
            (
                "never enough",
                |f| limit(f, "requests.memory", "512Mi", "0"),
                "Fail quota compute in namespace agents allows 512Mi requests.memory; 0 in use",
            ),
            (
                "of something else",
                |f| limit(f, "services", "0", "0"),
                "Pass within the quotas of namespace agents",
            ),
            (
                "a disk with room",
                |f| disk(f, 100 << 30),
                "Pass 100 GiB free at /var/lib",
            ),
            (
                "a disk with little",
                |f| disk(f, 1 << 30),
                "Warn 1024 MiB free at /var/lib",
            ),
            (
                "a full disk",
                |f| disk(f, 100 << 20),
                "Fail 100 MiB free at /var/lib",
            ),
            (
                "less than the settings require",
                |f| {
                    disk(f, 100 << 30);
                    let mut settings = Settings::shipped();
                    settings.embedded.free_mib = 200 << 10;
                    f.cluster.as_mut().unwrap().settings = Some(Arc::new(settings));
                },
                "Fail 100 GiB free at /var/lib",
            ),
        ],
    )]);
}

#[test]
fn credentials_and_workspace() {
    fn at_work(facts: &mut Facts, tag: &str, service: Option<&str>) {
        facts.kind = RunKind::Code;
        facts.active_runs = Some(vec![ActiveRun {
            name: "code-9-x".into(),
            kind: RunKind::Code,
            tag: tag.into(),
            tasks: vec!["9".into(), "1".into()],
            service: service.map(str::to_owned),
        }]);
    }
    run(&[
        (
            "identity",
            &[
                (
                    "nobody named on a cluster",
                    |f| f.github_user = None,
                    "Warn no GitHub account is set, so the run's pods have no Git credentials",
                ),
                (
                    "nobody needed",
                    |f| {
                        f.github_user = None;
                        embedded(f);
                    },
                    "Pass Ada <ada@example.com>",
                ),
            ],
        ),
        (
            "duplicate",
            &[
                (
                    "the same task",
                    |f| at_work(f, "master", None),
                    "Fail code-9-x is already running on task 1",
                ),
                (
                    "the same number in another tag",
                    |f| at_work(f, "mvp", Some("api")),
                    "Pass no conflicting run",
                ),
                (
                    "the same workspace",
                    |f| at_work(f, "mvp", Some("shop")),
                    "Warn code-9-x uses the workspace of this service",
                ),
                (
                    "another workspace by choice",
                    |f| {
                        at_work(f, "mvp", Some("shop"));
                        f.service = Some("api".into());
                    },
                    "Pass no conflicting run",
                ),
            ],
        ),
    ]);
}
