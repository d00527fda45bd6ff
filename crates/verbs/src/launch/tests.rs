use super::*;
use flightdeck_host::settings::Settings;

fn source() -> LaunchSource {
    LaunchSource {
        repository_url: "https://github.com/acme/shop.git".into(),
        branch: "feature/checkout".into(),
        working_directory: ".".into(),
        tag: "master".into(),
        tasks: vec![("1".into(), true), ("2".into(), false), ("3".into(), false)],
        revision: None,
        blocking: Vec::new(),
        user: "Ada".into(),
    }
}

fn compose(launch: &Launch, source: &LaunchSource) -> Result<Run, VerbError> {
    launch.compose(source, &Settings::shipped(), "7f3a")
}

#[test]
fn all_selects_undocumented_tasks() {
    let launch = Launch {
        all: true,
        ..Launch::new(RunKind::Docs)
    };
    let run = compose(&launch, &source()).unwrap();
    assert_eq!(
        (run.name(), run.tasks.as_slice()),
        (
            "docs-checkout-7f3a",
            ["2".to_owned(), "3".to_owned()].as_slice()
        )
    );
    let again = compose(
        &Launch {
            overwrite: true,
            ..launch
        },
        &source(),
    )
    .unwrap();
    assert_eq!(again.tasks.len(), 3);
}

#[test]
fn code_run_gets_defaults() {
    let run = compose(
        &Launch {
            tasks: vec!["2".into()],
            ..Launch::new(RunKind::Code)
        },
        &source(),
    )
    .unwrap();
    assert_eq!(
        (run.name(), run.spec.model.as_str(), run.spec.agent.as_str()),
        ("code-2-7f3a", "sonnet", "claude")
    );
    assert_eq!(run.code.unwrap().service, "shop");
}

#[test]
fn settings_give_account_budget_retries_and_deadline() {
    let mut settings = Settings::shipped();
    settings.defaults.github_user = "octocat".into();
    settings.defaults.budget_usd = "5".into();
    settings.defaults.retries = 2;
    settings.defaults.deadline_seconds = 600;
    let spec = |launch: Launch| launch.compose(&source(), &settings, "7f3a").unwrap().spec;
    let launch = || Launch {
        tasks: vec!["2".into()],
        ..Launch::new(RunKind::Docs)
    };
    let run = spec(launch());
    assert_eq!(
        (run.github_user.as_deref(), run.budget_usd.as_deref()),
        (Some("octocat"), Some("5"))
    );
    assert_eq!((run.retries, run.deadline_seconds), (2, Some(600)));
    let unlimited = spec(Launch {
        budget: Some(NO_LIMIT.into()),
        github_user: Some("hubot".into()),
        ..launch()
    });
    assert_eq!(
        (unlimited.github_user.as_deref(), unlimited.budget_usd),
        (Some("hubot"), None)
    );
}

#[test]
fn code_run_accepts_docs_repository() {
    let launch = Launch {
        tasks: vec!["2".into()],
        docs_repository: Some("https://github.com/acme/docs.git".into()),
        docs_branch: Some("main".into()),
        docs_directory: Some("plans/shop".into()),
        ..Launch::new(RunKind::Code)
    };
    let code = compose(&launch, &source()).unwrap().code.unwrap();
    let docs = [
        code.docs_repository_url,
        code.docs_branch,
        code.docs_project_directory,
    ];
    let docs = docs.map(Option::unwrap_or_default);
    assert_eq!(
        docs,
        ["https://github.com/acme/docs.git", "main", "plans/shop"]
    );
    let branch_alone = Launch {
        docs_repository: None,
        ..launch.clone()
    };
    let error = compose(&branch_alone, &source()).unwrap_err();
    assert!(error.to_string().contains("docsRepositoryUrl"), "{error}");
    let docs = Launch {
        kind: RunKind::Docs,
        ..launch
    };
    let error = compose(&docs, &source()).unwrap_err();
    assert!(error.to_string().contains("--docs-repository"), "{error}");
}

#[test]
fn rejects_invalid_arguments() {
    let docs = Launch::new(RunKind::Docs);
    let task = |id: &str| vec![id.to_owned()];
    let documented = LaunchSource {
        tasks: vec![("1".into(), true)],
        ..source()
    };
    let refused = LaunchSource {
        blocking: vec![("tasks-pushed".into(), "origin has another file".into())],
        ..source()
    };
    let path = LaunchSource {
        tasks: vec![("../x".into(), false)],
        ..source()
    };
    for (launch, source, code) in [
        (docs.clone(), source(), 2),
        (
            Launch {
                tasks: task("../x"),
                ..docs.clone()
            },
            path,
            2,
        ),
        (
            Launch {
                tasks: task("9"),
                ..docs.clone()
            },
            source(),
            3,
        ),
        (
            Launch {
                all: true,
                ..docs.clone()
            },
            documented,
            2,
        ),
        (
            Launch {
                tasks: vec!["1".into(), "2".into()],
                ..Launch::new(RunKind::Code)
            },
            source(),
            2,
        ),
        (
            Launch {
                tasks: task("2"),
                agent: Some("nobody".into()),
                ..docs.clone()
            },
            source(),
            2,
        ),
        (
            Launch {
                tasks: task("2"),
                budget: Some("lots".into()),
                ..docs.clone()
            },
            source(),
            2,
        ),
        (
            Launch {
                tasks: task("2"),
                env: vec![("LD_PRELOAD".into(), "x".into())],
                ..docs.clone()
            },
            source(),
            2,
        ),
        (
            Launch {
                tasks: task("2"),
                ..docs.clone()
            },
            refused.clone(),
            5,
        ),
        (
            Launch {
                tasks: task("2"),
                overrides: task("tasks-pushed"),
                ..docs.clone()
            },
            refused,
            2,
        ),
    ] {
        let error = compose(&launch, &source).expect_err(&format!("{launch:?}"));
        assert_eq!(error.exit_code(), code, "{error}");
    }
}

#[tokio::test]
async fn rejects_files_too_large_for_config_map() {
    let unreachable = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("unexpected request"))
    });
    let context = ClusterContext {
        client: kube::Client::new(unreachable, "default"),
        namespace: "default".into(),
        settings: std::sync::Arc::new(Settings::shipped()),
        ledger: None,
    };
    let launch = Launch {
        tasks: vec!["2".into()],
        prompt: Some("x".repeat(flightdeck_host::templates::SIZE_LIMIT)),
        ..Launch::new(RunKind::Docs)
    };
    let refused = launch.create(&context, &source()).await.unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    let message = refused.to_string();
    assert!(message.contains("spec.promptModification has"), "{message}");

    // A small prompt fits, but the user's templates may expand it.
    let small = Launch {
        prompt: None,
        ..launch.clone()
    };
    let mut run = compose(&small, &source()).unwrap();
    run.spec.prompt_modification = launch.prompt;
    let message = context.check_files(&run).unwrap_err().to_string();
    assert!(message.contains("the largest is prompt.md"), "{message}");
}

#[test]
fn records_override_with_reason() {
    let source = LaunchSource {
        blocking: vec![("sync".into(), "behind".into())],
        ..source()
    };
    let launch = Launch {
        tasks: vec!["2".into()],
        overrides: vec!["sync".into()],
        reason: Some("rehearsal".into()),
        ..Launch::new(RunKind::Docs)
    };
    let passed = compose(&launch, &source)
        .unwrap()
        .spec
        .preflight_override
        .unwrap();
    assert_eq!(
        (passed.checks, passed.reason.as_str(), passed.by.as_str()),
        (vec!["sync".to_owned()], "rehearsal", "Ada")
    );
}

#[test]
fn finds_active_run_with_same_task() {
    let run = |tasks: &[&str], phase: &str| {
        let launch = Launch {
            tasks: tasks.iter().map(|&id| id.to_owned()).collect(),
            ..Launch::new(RunKind::Docs)
        };
        let mut run = compose(&launch, &source()).unwrap();
        run.status.phase = Some(phase.into());
        run
    };
    let new = run(&["2", "3"], "Pending");
    assert_eq!(
        duplicate(&new, &[run(&["1"], "Running"), run(&["2"], "Failed")]),
        None
    );
    assert_eq!(
        duplicate(&new, &[run(&["1", "3"], "Running")]),
        Some(("docs-checkout-7f3a", "3".to_owned()))
    );
}
