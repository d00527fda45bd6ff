use crate::{
    ActiveRun, DocsLocation, Facts, Report, TaskDocuments,
    fixtures::{self, PATH, blob, facts, plan, remote, repository, there},
};
use flightdeck_core::{
    runs::RunKind,
    tasks::{self, DocumentSet, Status},
};
use flightdeck_host::repository::{Difference, Differing, Head, Operation, RemoteError};

/// Returns `level message [fix]` of one check after modifying the facts, or `-` without a verdict.
fn verdict(id: &str, spoil: impl FnOnce(&mut Facts)) -> String {
    let mut facts = facts();
    spoil(&mut facts);
    let report = Report::of(&facts);
    let Some(check) = report.check(id) else {
        return "-".into();
    };
    let fix = check
        .fix
        .map_or_else(String::new, |fix| format!(" [{}]", fix.as_str()));
    format!("{:?} {}{fix}", check.level, check.message)
}

pub(super) type Case = (&'static str, fn(&mut Facts), &'static str);

pub(super) fn table(id: &str, cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(why, spoil, expected)| (why, verdict(id, spoil), *expected))
        .filter(|(_, actual, expected)| actual != expected)
        .map(|(why, actual, expected)| format!("{why}\n  expected {expected}\n  actual   {actual}"))
        .collect();
    assert!(wrong.is_empty(), "{id}:\n{}", wrong.join("\n"));
}

fn differ(facts: &mut Facts, path: &str, how: Difference) {
    repository(facts).differing.push(Differing {
        path: path.into(),
        how,
    });
}

fn other() -> String {
    "b".repeat(40)
}

#[test]
fn branch() {
    table(
        "branch",
        &[
            ("on a branch", |_| {}, "Pass feature/x"),
            (
                "unborn",
                |f| {
                    repository(f).head = Head::Unborn {
                        name: "main".into(),
                    }
                },
                "Fail main has no commit yet [commit-and-push]",
            ),
            (
                "detached",
                |f| {
                    repository(f).head = Head::Detached {
                        commit: "0123456789ab".into(),
                    }
                },
                "Fail HEAD is detached at 01234567 [switch]",
            ),
            (
                "in a rebase",
                |f| repository(f).operation = Some(Operation::Rebase),
                "Fail a rebase is in progress",
            ),
        ],
    );
}

#[test]
fn remote_check() {
    table(
        "remote",
        &[
            (
                "answers",
                |_| {},
                "Pass origin = https://forge.example/acme/shop",
            ),
            (
                "none",
                |f| repository(f).remote = None,
                "Fail the repository has no remote",
            ),
            (
                "silent",
                |f| {
                    f.remote = Some(Err(RemoteError::Timeout {
                        place: "forge".into(),
                        seconds: 20,
                    }));
                },
                "Fail forge did not respond within 20 s",
            ),
            (
                "a path, on a cluster",
                |f| remote(f).clone_url = "/srv/origin.git".into(),
                "Fail /srv/origin.git can only be cloned on this machine",
            ),
            (
                "a path, embedded",
                |f| {
                    f.embedded = true;
                    remote(f).clone_url = "/srv/o.git".into();
                    remote(f).push_url = "/srv/o.git".into();
                },
                "Pass origin = /srv/o.git",
            ),
            (
                "pushed elsewhere",
                |f| remote(f).push_url = "git@forge.example:ada/shop".into(),
                "Warn origin fetches from https://forge.example/acme/shop but pushes to git@forge.example:ada/shop",
            ),
            (
                "not asked",
                |f| {
                    f.remote = None;
                    f.now = "2026-05-04T14:00:00Z".parse().unwrap();
                },
                "Pass origin = https://forge.example/acme/shop, last contacted 2h ago",
            ),
            (
                "never asked",
                |f| {
                    f.remote = None;
                    remote(f).fetched = None;
                },
                "Pass origin = https://forge.example/acme/shop, not contacted yet",
            ),
        ],
    );
}

#[test]
fn upstream() {
    table(
        "upstream",
        &[
            ("exists", |_| {}, "Pass origin/feature/x exists"),
            (
                "never pushed",
                |f| {
                    f.remote = None;
                    remote(f).known = None;
                    remote(f).follows = None;
                },
                "Fail origin/feature/x does not exist yet [push]",
            ),
            (
                "gone since",
                |f| {
                    there(f, |known| known.seen = None);
                    f.remote.as_mut().unwrap().as_mut().unwrap().commit = None;
                },
                "Fail origin/feature/x does not exist yet; its upstream is origin/feature/x [push]",
            ),
            (
                "pushed after the remote was asked",
                |f| {
                    there(f, |known| {
                        known.seen = Some("2026-05-04T12:00:01Z".parse().unwrap());
                    });
                    f.remote.as_mut().unwrap().as_mut().unwrap().commit = None;
                },
                "Pass origin/feature/x exists",
            ),
            ("detached", |f| remote(f).branch = None, "-"),
        ],
    );
}

#[test]
fn tasks_file() {
    table(
        "tasks-file",
        &[
            (
                "good",
                |_| {},
                "Pass .taskmaster/tasks/tasks.json has 2 tasks in master",
            ),
            (
                "none",
                |f| {
                    repository(f).plan.relative = None;
                    repository(f).plan.path = None;
                    f.plan = None;
                },
                "Fail .taskmaster/tasks/tasks.json not found",
            ),
            (
                "a pipe",
                |f| repository(f).plan.unreadable = Some("/srv/x is a pipe, not a file".into()),
                "Fail /srv/x is a pipe, not a file",
            ),
            (
                "in a folder that cannot be named",
                |f| repository(f).plan.relative = None,
                "Fail the path of /srv/shop/.taskmaster/tasks/tasks.json is not UTF-8",
            ),
            (
                "known to git by another case",
                |f| repository(f).plan.known_as = Some(".TaskMaster/tasks/tasks.json".into()),
                "Fail git tracks .taskmaster/tasks/tasks.json as .TaskMaster/tasks/tasks.json",
            ),
            (
                "none here, one elsewhere",
                |f| {
                    repository(f).plan.relative = None;
                    repository(f).plan.path = None;
                    repository(f).plan.others = vec!["/srv/shop/apps/web/x.json".into()];
                    f.plan = None;
                },
                "Fail .taskmaster/tasks/tasks.json not found; found apps/web/x.json",
            ),
            (
                "a pointer of LFS",
                |f| {
                    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n";
                    repository(f).plan.bytes = Some(pointer.as_slice().into());
                    f.plan = Some(tasks::read(pointer));
                },
                "Fail .taskmaster/tasks/tasks.json is a Git LFS pointer, not the plan",
            ),
            (
                "broken",
                |f| f.plan = Some(tasks::read(b"{\"tasks\": [,")),
                "Fail .taskmaster/tasks/tasks.json: line 1, column 12: not JSON: expected value",
            ),
            (
                "ignored",
                |f| repository(f).plan.ignored = true,
                "Fail git ignores .taskmaster/tasks/tasks.json",
            ),
            (
                "another tag",
                |f| f.tag = "mvp".into(),
                "Fail .taskmaster/tasks/tasks.json has no tasks in tag mvp; it has master (2)",
            ),
            (
                "empty",
                |f| f.plan = Some(plan(&[])),
                "Fail .taskmaster/tasks/tasks.json has no tasks in tag master; it has master (0)",
            ),
            (
                "no such task",
                |f| f.tasks = vec!["1".into(), "99".into()],
                "Fail .taskmaster/tasks/tasks.json has no task 99 in tag master",
            ),
            (
                "several plans",
                |f| repository(f).plan.others = vec!["/srv/shop/web/tasks.json".into()],
                "Warn using .taskmaster/tasks/tasks.json, not web/tasks.json",
            ),
        ],
    );
}

#[test]
fn tasks_committed() {
    table(
        "tasks-committed",
        &[
            ("clean", |_| {}, "Pass the files a run reads are committed"),
            (
                "edited",
                |f| differ(f, PATH, Difference::Changed),
                "Fail .taskmaster/tasks/tasks.json is changed and not committed [commit]",
            ),
            (
                "new",
                |f| differ(f, PATH, Difference::Untracked),
                "Fail .taskmaster/tasks/tasks.json is new and not committed [commit]",
            ),
            (
                "in conflict",
                |f| differ(f, PATH, Difference::Conflicted),
                "Fail .taskmaster/tasks/tasks.json has a merge conflict",
            ),
            (
                "several",
                |f| {
                    differ(f, ".taskmaster/docs/prd.md", Difference::Staged);
                    differ(f, PATH, Difference::Changed);
                },
                "Fail not committed: .taskmaster/docs/prd.md, .taskmaster/tasks/tasks.json [commit]",
            ),
            (
                "what a docs run does not read",
                |f| {
                    differ(f, ".taskmaster/docs/task-1/task.md", Difference::Untracked);
                    differ(f, ".taskmaster/docs/notes.png", Difference::Untracked);
                },
                "Pass the files a run reads are committed",
            ),
            (
                "a code run reads its task's documents",
                |f| {
                    f.kind = RunKind::Code;
                    differ(f, ".taskmaster/docs/task-1/task.md", Difference::Changed);
                    differ(f, ".taskmaster/docs/task-10/task.md", Difference::Changed);
                },
                "Fail .taskmaster/docs/task-1/task.md is changed and not committed [commit]",
            ),
            ("no plan", |f| repository(f).plan.path = None, "-"),
        ],
    );
}

#[test]
fn tasks_pushed() {
    table(
        "tasks-pushed",
        &[
            (
                "the same",
                |_| {},
                "Pass the plan on origin/feature/x matches yours",
            ),
            (
                "the same, seen a while ago",
                |f| {
                    f.remote = None;
                    f.now = "2026-05-04T12:12:00Z".parse().unwrap();
                },
                "Pass the plan on origin/feature/x matches yours (as of 12m ago)",
            ),
            (
                "the remote has an older plan",
                |f| {
                    there(f, |k| {
                        k.plan_blob = Some(other());
                        k.ahead = 1;
                    });
                    f.remote_plan = Some(plan(&["Initialize Express"]));
                },
                "Fail origin/feature/x has 1 task, first \"Initialize Express\"; your plan has 2, first \"Setup repository\" [push]",
            ),
            (
                "the remote has a newer plan",
                |f| {
                    there(f, |k| {
                        k.plan_blob = Some(other());
                        k.behind = 2;
                    });
                    f.remote_plan = Some(plan(&["Setup repository"]));
                },
                "Fail origin/feature/x has 1 task, first \"Setup repository\"; your plan has 2 [pull]",
            ),
            (
                "both have changes",
                |f| {
                    there(f, |k| {
                        k.plan_blob = Some(other());
                        k.behind = 1;
                        k.ahead = 1;
                    });
                    f.remote_plan = Some(plan(&["Setup repository"]));
                },
                "Fail origin/feature/x has 1 task, first \"Setup repository\"; your plan has 2",
            ),
            (
                "the remote has none",
                |f| {
                    there(f, |k| {
                        k.plan_blob = None;
                        k.ahead = 3;
                    });
                },
                "Fail origin/feature/x has no .taskmaster/tasks/tasks.json [push]",
            ),
            (
                "edited after the push",
                |f| {
                    repository(f).plan.disk_blob = Some(other());
                    let mut old = plan(&["Setup repository", "Define protobufs"]).unwrap();
                    old.tags[0].tasks[1].status = Status::Done;
                    f.remote_plan = Some(Ok(old));
                },
                "Fail origin/feature/x differs from your plan (2 tasks): 1 changed [commit-and-push]",
            ),
            (
                "edited, and behind with the same plan",
                |f| {
                    repository(f).plan.disk_blob = Some(other());
                    there(f, |k| k.behind = 1);
                },
                "Fail .taskmaster/tasks/tasks.json on origin/feature/x differs from yours [pull]",
            ),
            (
                "edited, and behind with another plan",
                |f| {
                    repository(f).plan.disk_blob = Some(other());
                    there(f, |k| {
                        k.behind = 1;
                        k.plan_blob = Some("d".repeat(40));
                    });
                },
                "Fail .taskmaster/tasks/tasks.json on origin/feature/x differs from yours",
            ),
            (
                "the branch is new",
                |f| {
                    f.remote = None;
                    remote(f).known = None;
                },
                "Fail origin/feature/x does not exist yet, so a run would not find .taskmaster/tasks/tasks.json [push]",
            ),
            (
                "the branch is new and the plan edited",
                |f| {
                    f.remote = None;
                    remote(f).known = None;
                    repository(f).plan.head_blob = None;
                },
                "Fail origin/feature/x does not exist yet, so a run would not find .taskmaster/tasks/tasks.json [commit-and-push]",
            ),
            (
                "theirs is broken",
                |f| {
                    there(f, |k| {
                        k.plan_blob = Some(other());
                        k.ahead = 1;
                    });
                    f.remote_plan = Some(tasks::read(b""));
                },
                "Fail .taskmaster/tasks/tasks.json on origin/feature/x cannot be read: the file is empty [push]",
            ),
            ("no plan", |f| repository(f).plan.disk_blob = None, "-"),
            ("no remote", |f| repository(f).remote = None, "-"),
        ],
    );
}

#[test]
fn equal_object_ids_pass() {
    // Ahead, behind, dirty elsewhere: what counts is the file.
    let passed = verdict("tasks-pushed", |facts| {
        there(facts, |known| (known.ahead, known.behind) = (3, 4));
        differ(facts, "src/main.rs", Difference::Changed);
        repository(facts).plan.head_blob = Some(other());
        repository(facts).plan.disk_blob = Some(blob());
    });
    assert!(passed.starts_with("Pass"), "{passed}");
}

#[test]
fn sync() {
    table(
        "sync",
        &[
            ("in step", |_| {}, "Pass up to date with origin/feature/x"),
            (
                "ahead",
                |f| there(f, |k| k.ahead = 2),
                "Warn 2 commits ahead of origin/feature/x [push]",
            ),
            (
                "behind",
                |f| there(f, |k| k.behind = 1),
                "Warn 1 commit behind origin/feature/x [pull]",
            ),
            (
                "parted",
                |f| there(f, |k| (k.ahead, k.behind) = (2, 1)),
                "Warn diverged from origin/feature/x: 2 commits ahead, 1 commit behind",
            ),
            (
                "unknown",
                |f| {
                    f.remote = None;
                    remote(f).known = None;
                },
                "-",
            ),
        ],
    );
}

#[test]
fn base() {
    table(
        "base",
        &[
            ("a branch of its own", |_| {}, "Pass feature/x"),
            (
                "the default branch",
                |f| remote(f).branch = Some("main".into()),
                "Warn main is the default branch of origin [switch]",
            ),
            (
                "the default branch was renamed",
                |f| {
                    f.remote.as_mut().unwrap().as_mut().unwrap().default_branch =
                        Some("trunk".into());
                    remote(f).branch = Some("trunk".into());
                },
                "Warn trunk is the default branch of origin [switch]",
            ),
            (
                "by the last known state",
                |f| {
                    f.remote = None;
                    remote(f).branch = Some("main".into());
                },
                "Warn main is the default branch of origin [switch]",
            ),
        ],
    );
}

fn documents(found: DocumentSet) -> TaskDocuments {
    TaskDocuments {
        place: "origin/feature/x".into(),
        found: Ok(found),
    }
}

#[test]
fn docs_ready() {
    table(
        "docs-ready",
        &[
            (
                "a docs run",
                |f| f.documents = Some(documents(DocumentSet::default())),
                "-",
            ),
            (
                "complete",
                |f| {
                    f.kind = RunKind::Code;
                    f.documents = Some(documents(DocumentSet::from_listing(
                        flightdeck_core::runs::DOCUMENTS,
                    )));
                },
                "Pass origin/feature/x has the documents of task 1",
            ),
            (
                "partly",
                |f| {
                    f.kind = RunKind::Code;
                    f.documents = Some(documents(DocumentSet::from_listing([
                        "task.md",
                        "prompt.md",
                        "x",
                    ])));
                },
                "Warn origin/feature/x has 2 of 4 documents of task 1; missing design-spec.md, acceptance-criteria.md",
            ),
        ],
    );
}

#[test]
fn task_ready() {
    fn code(facts: &mut Facts, task: &str) {
        facts.kind = RunKind::Code;
        facts.tasks = vec![task.into()];
    }
    table(
        "task-ready",
        &[
            ("a docs run", |_| {}, "-"),
            (
                "ready",
                |f| code(f, "1"),
                "Pass task 1 has no open dependencies",
            ),
            (
                "waits",
                |f| code(f, "2"),
                "Warn task 2 depends on 1 (pending)",
            ),
            (
                "done",
                |f| {
                    code(f, "1");
                    f.plan.as_mut().unwrap().as_mut().unwrap().tags[0].tasks[0].status =
                        Status::Done;
                },
                "Warn task 1 is already done",
            ),
        ],
    );
}

#[test]
fn duplicate() {
    fn active(facts: &mut Facts, kind: RunKind, tasks: &[&str]) {
        facts.active_runs = Some(vec![ActiveRun {
            name: "docs-x-1".into(),
            kind,
            tag: "master".into(),
            service: None,
            tasks: tasks.iter().map(ToString::to_string).collect(),
        }]);
    }
    table(
        "duplicate",
        &[
            ("none", |_| {}, "Pass no conflicting run"),
            (
                "the same task",
                |f| active(f, RunKind::Docs, &["3", "1"]),
                "Fail docs-x-1 is already running on task 1",
            ),
            (
                "another task",
                |f| active(f, RunKind::Docs, &["3"]),
                "Pass no conflicting run",
            ),
            (
                "another kind",
                |f| active(f, RunKind::Code, &["1"]),
                "Pass no conflicting run",
            ),
            ("unknown", |f| f.active_runs = None, "-"),
        ],
    );
}

#[test]
fn agent_and_identity() {
    table(
        "agent",
        &[
            ("there", |_| {}, "Pass claude: /usr/bin/claude"),
            (
                "absent",
                |f| f.agent.as_mut().unwrap().found = Err("claude is not on the PATH".into()),
                "Fail claude: claude is not on the PATH",
            ),
            ("unknown", |f| f.agent = None, "-"),
        ],
    );
    table(
        "identity",
        &[
            ("known", |_| {}, "Pass Ada <ada@example.com>"),
            (
                "no name",
                |f| repository(f).identity.name = None,
                "Warn user.name is not set in git",
            ),
            (
                "no address",
                |f| repository(f).identity.email = None,
                "Warn user.email is not set in git",
            ),
            (
                "a host that no credential may go to",
                |f| remote(f).clone_url = "https://git.example.com/shop.git".into(),
                "Fail the Git credential of ada may not be sent to git.example.com; add the host to allow.github_token_hosts in the controller's settings, or use an allowed host",
            ),
            (
                "such a host of the documents",
                |f| {
                    f.docs_location = Some(DocsLocation {
                        repository: "git@git.example.com:docs.git".into(),
                        branch: None,
                        directory: None,
                    });
                },
                "Fail the Git credential of ada may not be sent to git.example.com; add the host to allow.ssh_key_hosts in the controller's settings, or use an allowed host",
            ),
            (
                "such a host, and no credential",
                |f| {
                    remote(f).clone_url = "https://git.example.com/shop.git".into();
                    f.github_user = None;
                },
                "Warn no GitHub account is set, so the run's pods have no Git credentials",
            ),
            (
                "settings that one may not read",
                |f| {
                    remote(f).clone_url = "https://git.example.com/shop.git".into();
                    f.cluster.as_mut().unwrap().settings = None;
                },
                "Pass Ada <ada@example.com>",
            ),
        ],
    );
}

#[test]
fn checks_never_panic() {
    let spoilers: [fn(&mut Facts); 6] = [
        |f| repository(f).remote = None,
        |f| {
            repository(f).head = Head::Unborn {
                name: String::new(),
            }
        },
        |f| f.plan = None,
        |f| f.tasks.clear(),
        |f| f.repository = Err(flightdeck_host::repository::FactsError::Bare(String::new())),
        |f| f.kind = RunKind::Code,
    ];
    for choice in 0..1 << spoilers.len() {
        let mut facts = fixtures::facts();
        for (bit, spoil) in spoilers.iter().enumerate() {
            if choice & (1 << bit) != 0 && facts.repository.is_ok() {
                spoil(&mut facts);
            }
        }
        let _ = Report::of(&facts);
    }
}

#[test]
fn branch_with_the_name_of_the_folder_blocks_the_launch() {
    let blocked = |target: Option<&str>, kind: RunKind| {
        let mut facts = facts();
        facts.kind = kind;
        facts.target_branch = target.map(str::to_owned);
        if let Some(Ok(answer)) = &mut facts.remote {
            answer.taken_folders = vec!["docs".into()];
        }
        let report = Report::of(&facts);
        report.check("target").map(|check| check.level)
    };
    for (target, kind, expected) in [
        (None, RunKind::Docs, Some(crate::Level::Fail)),
        (None, RunKind::Code, None),
        (Some("plan/x"), RunKind::Docs, None),
        (Some("docs/x"), RunKind::Code, Some(crate::Level::Fail)),
    ] {
        assert_eq!(blocked(target, kind), expected, "{target:?} {kind}");
    }
}
