use serde_json::json;

use super::*;

fn task_run(spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "TaskRun",
        "metadata": { "name": "task-3", "uid": "u" }, "spec": spec,
    }))
    .unwrap()
}

fn translated(spec: &Value) -> (Result<Run, String>, Vec<(String, String)>) {
    let plans = Plans {
        named: vec![],
        here: Some(("github.com/acme/shop".into(), vec!["1".into(), "2".into()])),
    };
    let (run, dropped) = translate(&task_run(spec), &Settings::shipped(), &plans);
    let dropped = dropped.into_iter().map(|field| (field.field, field.why));
    (run, dropped.collect())
}

#[test]
fn carries_over_or_reports_every_field() {
    let (run, dropped) = translated(&json!({
        "taskId": 3, "serviceName": "Shop_API", "agentName": "claude-agent-1", "model": "opus", "contextVersion": 4,
        "markdownFiles": [
            { "filename": "task.md", "content": "x", "fileType": "task" },
            { "filename": "context-v2.md", "content": "Use Postgres.", "fileType": "context" },
        ],
        "agentTools": [{ "name": "bash", "enabled": true }],
        "repository": { "url": "https://github.com/acme/shop.git", "branch": "dev", "githubUser": "ada", "token": "ghp_s3cret", "depth": 1 },
        "platformRepository": { "url": "https://github.com/acme/docs", "branch": "main", "githubUser": "bot" },
        "workingDirectory": "apps/web", "promptModification": "Be brief.", "promptMode": "replace",
        "localTools": ["git"], "remoteTools": "search, fetch", "toolConfig": "advanced", "other": true,
    }));
    let run = run.unwrap();
    run.validate().unwrap();
    let code = run.code.clone().unwrap();
    assert!(run.spec.suspend);
    assert_eq!(
        (run.kind, run.tasks.as_slice(), code.service.as_str()),
        (RunKind::Code, ["3".to_owned()].as_slice(), "shop-api")
    );
    assert_eq!(
        code.docs_repository_url.as_deref(),
        Some("https://github.com/acme/docs")
    );
    assert_eq!(code.docs_branch.as_deref(), Some("main"));
    let spec = &run.spec;
    assert_eq!(
        (
            spec.source_branch.as_str(),
            spec.github_user.as_deref(),
            spec.working_directory.as_str()
        ),
        ("dev", Some("ada"), "apps/web")
    );
    assert_eq!(
        (
            spec.agent.as_str(),
            spec.model.as_str(),
            spec.prompt_mode,
            spec.tool_config
        ),
        ("claude", "opus", PromptMode::Replace, ToolPreset::Advanced)
    );
    assert_eq!(
        (spec.local_tools.len(), spec.remote_tools.as_slice()),
        (1, ["search".to_owned(), "fetch".to_owned()].as_slice())
    );
    assert_eq!(spec.context[0].content, "Use Postgres.");
    let fields: Vec<&str> = dropped.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "spec.agentName",
            "spec.repository.token",
            "spec.repository.depth",
            "spec.agentTools[bash]",
            "spec.markdownFiles[task.md]",
            "spec.serviceName",
            "spec.platformRepository.githubUser",
            "spec.contextVersion",
            "spec.other",
        ]
    );
    assert!(!format!("{dropped:?} {run:?}").contains("s3cret"));
}

#[test]
fn task_999999_becomes_docs_run() {
    let docs = |url: &str| json!({ "taskId": 999_999, "serviceName": "docs-generator", "agentName": "claude-docs-opus", "repository": { "url": url } });
    let run = translated(&docs("git@github.com:acme/shop.git")).0.unwrap();
    assert_eq!(
        (run.kind, run.tasks.len(), run.spec.model.as_str()),
        (RunKind::Docs, 2, "opus")
    );
    assert_eq!(run.spec.source_branch, "main");
    let elsewhere = translated(&docs("https://github.com/acme/other"))
        .0
        .unwrap_err();
    assert!(elsewhere.contains("--task"), "{elsewhere}");
}

#[test]
fn incomplete_task_run_is_rejected() {
    for (spec, why) in [
        (json!({}), "spec.taskId is missing"),
        (json!({ "taskId": 1 }), "spec.repository.url is missing"),
        (
            json!({ "taskId": 1, "repository": "x" }),
            "spec.repository.url is missing",
        ),
    ] {
        let error = translated(&spec).0.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
