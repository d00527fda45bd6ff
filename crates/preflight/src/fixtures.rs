//! Facts that pass every check, for tests to modify.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

use super::{
    AgentFacts, Facts,
    cluster::{
        ClusterFacts, ClusterState, Controller, Reachability, SecretFact, SecretRequirement,
        SecretState, Served,
    },
};
use flightdeck_core::{runs::RunKind, tasks};
use flightdeck_host::{
    repository::{
        Changes, Facts as Repository, Head, Identity, PlanFile, Remote, RemoteAnswer,
        TrackingBranch,
    },
    settings::Settings,
};

pub(super) const PATH: &str = ".taskmaster/tasks/tasks.json";

/// Object ID of the plan in all test repositories.
pub(super) fn blob() -> String {
    "a".repeat(40)
}

pub(super) fn facts() -> Facts {
    let now: Timestamp = "2026-05-04T12:00:00Z".parse().unwrap();
    let commit = "c".repeat(40);
    let known = TrackingBranch {
        commit: commit.clone(),
        plan_blob: Some(blob()),
        unread: false,
        ahead: 0,
        behind: 0,
        seen: Some(now),
    };
    let remote = Remote {
        name: "origin".into(),
        clone_url: "https://forge.example/acme/shop".into(),
        push_url: "git@forge.example:acme/shop.git".into(),
        branch: Some("feature/x".into()),
        tracking_ref: Some("refs/remotes/origin/feature/x".into()),
        follows: Some("feature/x".into()),
        known: Some(known),
        fetched: Some(now),
        default_branch: Some("main".into()),
        partial: false,
    };
    let repository = Repository {
        root: "/srv/shop".into(),
        git_dir: "/srv/shop/.git".into(),
        common_dir: "/srv/shop/.git".into(),
        project: "/srv/shop".into(),
        working_directory: ".".into(),
        head: Head::Branch {
            name: "feature/x".into(),
            commit: commit.clone(),
        },
        operation: None,
        remote: Some(remote),
        other_remotes: Vec::new(),
        identity: Identity {
            name: Some("Ada".into()),
            email: Some("ada@example.com".into()),
        },
        plan: PlanFile {
            path: Some(PathBuf::from("/srv/shop").join(PATH)),
            relative: Some(PATH.into()),
            disk_blob: Some(blob()),
            head_blob: Some(blob()),
            ..PlanFile::default()
        },
        changes: Changes::default(),
        submodules: false,
        differing: Vec::new(),
    };
    Facts {
        repository: Ok(repository),
        remote: Some(Ok(RemoteAnswer {
            taken_folders: Vec::new(),
            commit: Some(commit),
            default_branch: Some("main".into()),
            asked: now,
        })),
        plan: Some(plan(&["Setup repository", "Define protobufs"])),
        remote_plan: None,
        tag: "master".into(),
        kind: RunKind::Docs,
        tasks: vec!["1".into()],
        documents: None,
        embedded: false,
        active_runs: Some(Vec::new()),
        agent: Some(AgentFacts {
            name: "claude".into(),
            found: Ok("/usr/bin/claude".into()),
        }),
        cluster: Some(cluster()),
        github_user: Some("ada".into()),
        docs_location: None,
        service: None,
        target_branch: None,
        now,
    }
}

/// Returns a plan with tasks 1, 2, ... of these titles; each depends on the previous one.
pub(super) fn plan(titles: &[&str]) -> Result<tasks::TaskFile, tasks::ReadError> {
    let task = |(at, title): (usize, &&str)| {
        let dependencies = if at == 0 {
            String::new()
        } else {
            at.to_string()
        };
        format!(
            r#"{{"id": {}, "title": "{title}", "description": "d", "status": "pending", "priority": "high", "dependencies": [{dependencies}]}}"#,
            at + 1
        )
    };
    let tasks: Vec<String> = titles.iter().enumerate().map(task).collect();
    tasks::read(format!(r#"{{"master": {{"tasks": [{}]}}}}"#, tasks.join(",")).as_bytes())
}

/// Returns a real cluster with everything a run needs.
pub(super) fn cluster() -> ClusterFacts {
    let mut settings = Settings::shipped();
    settings.allow.github_token_hosts = vec!["forge.example".into()];
    ClusterFacts {
        context: Some("prod".into()),
        namespace: "agents".into(),
        reached: Reachability::Reachable(Box::new(ClusterState {
            served: RunKind::ALL.map(|kind| (kind, Served::Yes)).to_vec(),
            denied: Vec::new(),
            controller: Controller::Alive {
                holder: "flightdeck-0".into(),
            },
            secrets: vec![SecretFact {
                wanted: SecretRequirement {
                    name: "github-pat-ada".into(),
                    key: "token".into(),
                    purpose: "the GitHub token of ada".into(),
                    required: true,
                },
                state: SecretState::Present,
            }],
            quotas: Some(Vec::new()),
        })),
        settings: Some(Arc::new(settings)),
        disk: None,
    }
}

/// Modifies the cluster's state.
pub(super) fn answers(facts: &mut Facts, change: impl FnOnce(&mut ClusterState)) {
    if let Some(ClusterFacts {
        reached: Reachability::Reachable(answers),
        ..
    }) = &mut facts.cluster
    {
        change(answers);
    }
}

pub(super) fn repository(facts: &mut Facts) -> &mut Repository {
    facts.repository.as_mut().unwrap()
}

pub(super) fn remote(facts: &mut Facts) -> &mut Remote {
    repository(facts).remote.as_mut().unwrap()
}

/// Modifies the remote branch.
pub(super) fn there(facts: &mut Facts, change: impl FnOnce(&mut TrackingBranch)) {
    change(remote(facts).known.as_mut().unwrap());
}
