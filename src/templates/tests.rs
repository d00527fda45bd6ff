use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use crate::{
    resources::{ContextFile, PromptMode, RunSpec},
    runs::CodeDetails,
};

/// A run whose every text is as unkind as the schema allows.
fn run(kind: RunKind) -> Run {
    Run {
        kind,
        metadata: kube::api::ObjectMeta {
            name: Some("docs-shop-7f3a".into()),
            namespace: Some("default".into()),
            uid: Some("0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f".into()),
            ..Default::default()
        },
        tasks: match kind {
            RunKind::Docs => vec!["1".into(), "2".into()],
            RunKind::Code => vec!["3".into()],
        },
        spec: RunSpec {
            repository_url: "https://example.com/acme/shop.git".into(),
            source_branch: "$(rm${IFS}-rf)\"{{evil}}".into(),
            working_directory: "apps/web".into(),
            tag: "a \"tag\"\\".into(),
            model: "mo\"del\n".into(),
            local_tools: vec!["to\"ol".into()],
            ..RunSpec::default()
        },
        code: (kind == RunKind::Code).then(|| CodeDetails {
            service: "shop".into(),
            ..CodeDetails::default()
        }),
        status: crate::resources::RunStatus::default(),
    }
}

fn rendered(run: &Run) -> BTreeMap<String, String> {
    render(run, &Settings::shipped()).unwrap()
}

#[test]
fn each_kind_gets_its_files() {
    let names = |kind| rendered(&run(kind)).into_keys().collect::<Vec<_>>();
    let docs = [
        "CLAUDE.md",
        "agent.sh",
        "mcp.json",
        "pr-body.md",
        "pr-title",
        "prompt.md",
        "run.json",
        "settings.local.json",
        "stop-commit.sh",
    ];
    assert_eq!(names(RunKind::Docs), docs);
    let mut code: Vec<&str> = docs.to_vec();
    code.extend([
        "client-config.json",
        "coding-guidelines.md",
        "early-test.sh",
        "github-guidelines.md",
    ]);
    code.sort_unstable();
    assert_eq!(names(RunKind::Code), code);
}

#[test]
fn the_table_of_shipped_templates_is_the_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(&root).unwrap().flatten() {
        for file in fs::read_dir(folder.path()).unwrap().flatten() {
            let path = file.path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            found.insert(name.to_owned());
        }
    }
    let table = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, table);
}

#[test]
fn no_script_is_a_template_and_no_file_names_an_absolute_path() {
    for (name, text) in SHIPPED {
        let script = text.starts_with("#!");
        assert_eq!(
            script,
            Path::new(name).extension().is_some_and(|end| end == "sh"),
            "{name}"
        );
        for line in text.lines().filter(|line| !line.starts_with("#!")) {
            for path in [
                "/workspace",
                "/home",
                "/etc",
                "/usr",
                "/run-files",
                "/root",
                "/tmp",
            ] {
                assert!(!line.contains(path), "{name}: {line}");
            }
        }
    }
}

#[test]
fn the_docs_prompt_says_what_where_and_what_not() {
    let files = rendered(&run(RunKind::Docs));
    let prompt = &files["prompt.md"];
    for part in [
        "https://example.com/acme/shop.git",
        "$(rm${IFS}-rf)\"{{evil}}",
        "`apps/web`",
        "`a \"tag\"\\`",
        "task `1`",
        ".taskmaster/docs/a \"tag\"%5C/task-2/",
        "### `acceptance-criteria.md`",
        "Never invent a task",
        "Never change `.taskmaster/tasks/tasks.json`",
    ] {
        assert!(prompt.contains(part), "{part} is missing in:\n{prompt}");
    }
}

#[test]
fn json_files_survive_any_value() {
    for kind in RunKind::ALL {
        let files = rendered(&run(kind));
        let settings: serde_json::Value =
            serde_json::from_str(&files["settings.local.json"]).unwrap();
        assert_eq!(settings["model"], "mo\"del\n");
        let allowed = settings["permissions"]["allow"].as_array().unwrap();
        assert!(allowed.contains(&"mcp__toolman__to\"ol".into()));
        let manifest: RunManifest = serde_json::from_str(&files["run.json"]).unwrap();
        assert_eq!(manifest.source_branch, "$(rm${IFS}-rf)\"{{evil}}");
    }
}

#[test]
fn the_agent_may_not_publish() {
    for kind in RunKind::ALL {
        let settings = &rendered(&run(kind))["settings.local.json"];
        let settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        let denied = settings["permissions"]["deny"].as_array().unwrap();
        assert!(denied.contains(&"Bash(git push:*)".into()));
        assert!(denied.contains(&"Bash(gh:*)".into()));
        let allowed = settings["permissions"]["allow"].to_string();
        assert!(!allowed.contains("git:*") && !allowed.contains("push"));
    }
}

#[test]
fn extra_instructions_follow_the_prompt_or_replace_it() {
    let mut run = run(RunKind::Docs);
    run.spec.prompt_modification = Some("Write in Latin.".into());
    let appended = &rendered(&run)["prompt.md"];
    assert!(appended.contains("Never invent a task") && appended.contains("Write in Latin."));
    run.spec.prompt_mode = PromptMode::Replace;
    assert_eq!(rendered(&run)["prompt.md"].trim(), "Write in Latin.");
}

#[test]
fn added_context_is_a_file_and_in_the_prompt_and_replaces_no_other_file() {
    let mut run = run(RunKind::Code);
    for (filename, content) in [("context-v2.md", "use tonic"), ("CLAUDE.md", "hijack")] {
        run.spec.context.push(ContextFile {
            filename: filename.into(),
            content: content.into(),
        });
    }
    let files = rendered(&run);
    assert_eq!(files["context-v2.md"], "use tonic");
    assert!(files["prompt.md"].contains("use tonic"));
    assert!(!files["CLAUDE.md"].contains("hijack"));
}

#[test]
fn what_cannot_be_rendered_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("docs")).unwrap();
    let with = |file: &str, text: &str| {
        fs::write(directory.path().join(file), text).unwrap();
        let templates = Templates::overridden(directory.path()).unwrap();
        let error = templates.render(&run(RunKind::Docs), &Settings::shipped());
        fs::remove_file(directory.path().join(file)).unwrap();
        error.unwrap_err().to_string()
    };
    let missing = with("docs/prompt.md.hbs", "{{no_such_thing}}");
    assert!(
        missing.contains("docs/prompt.md.hbs") && missing.contains("no_such_thing"),
        "{missing}"
    );
    let broken = with("docs/mcp.json.hbs", "{ {{run}} }");
    assert!(broken.contains("docs/mcp.json.hbs"), "{broken}");

    let mut unknown = run(RunKind::Docs);
    unknown.spec.agent = "nobody".into();
    let error = render(&unknown, &Settings::shipped()).unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");

    let mut large = run(RunKind::Docs);
    large.spec.context.push(ContextFile {
        filename: "context-v2.md".into(),
        content: "x".repeat(SIZE_LIMIT),
    });
    let error = render(&large, &Settings::shipped()).unwrap_err();
    assert!(matches!(error, TemplateError::TooLarge { .. }), "{error}");
}

#[test]
fn a_persons_own_template_stands_in_for_the_shipped_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("agents")).unwrap();
    fs::write(directory.path().join("agents/claude.sh"), "#!/bin/sh\n").unwrap();
    let templates = Templates::overridden(directory.path()).unwrap();
    let files = templates.render(&run(RunKind::Docs), &Settings::shipped());
    assert_eq!(files.unwrap()["agent.sh"], "#!/bin/sh\n");
}

#[test]
fn the_settings_may_word_the_pull_request() {
    let mut settings = Settings::shipped();
    let wording = "docs: {{agent_name}} on {{ task_info }} {{task_id}}".to_owned();
    settings
        .publish
        .docs
        .insert("pr_title_template".into(), wording);
    let files = render(&run(RunKind::Docs), &settings).unwrap();
    assert_eq!(files["pr-title"], "docs: claude on 2 tasks 1");
}

/// Runs a shipped script with nothing of this machine's but its PATH, `more` in front.
fn script(name: &str, directory: &Path, more: Option<&Path>, env: &[(&str, &str)]) -> String {
    let (_, text) = SHIPPED
        .iter()
        .find(|(shipped, _)| *shipped == name)
        .unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = more.map_or(path.clone(), |more| format!("{}:{path}", more.display()));
    let output = std::process::Command::new("sh")
        .args(["-c", text])
        .current_dir(directory)
        .env_clear()
        .envs([
            ("PATH", path.as_str()),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("HOME", "/nonexistent"),
        ])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}{complaint}");
    said
}

#[test]
fn claude_is_started_with_what_the_run_asks_for_and_nothing_is_evaluated() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let fake = "#!/bin/sh\ncase \"$*\" in *--help*) echo '--max-budget-usd'; exit;; esac\nfor word in \"$@\"; do echo \"[$word]\"; done\ncat\n";
    fs::write(at.join("claude"), fake).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(at.join("claude"), mode).unwrap();
    let prompt = at.join("prompt.md");
    fs::write(&prompt, "-p $(touch pwned) `touch pwned`\n").unwrap();
    let prompt = prompt.display().to_string();
    let env = |model, turns, budget, go_on| {
        [
            ("FD_RUN_FILES", "files"),
            ("FD_PROMPT_FILE", prompt.as_str()),
            ("FD_MODEL", model),
            ("FD_MAX_TURNS", turns),
            ("FD_BUDGET_USD", budget),
            ("FD_CONTINUE", go_on),
        ]
    };
    let full = env("$(touch pwned)", "7", "1.5", "1");
    let full = script("agents/claude.sh", at, Some(at), &full);
    let words: Vec<&str> = full.lines().collect();
    let expected = [
        "[-p]",
        "[--output-format]",
        "[stream-json]",
        "[--verbose]",
        "[--settings]",
        "[files/settings.local.json]",
        "[--mcp-config]",
        "[files/mcp.json]",
        "[--model]",
        "[$(touch pwned)]",
        "[--max-turns]",
        "[7]",
        "[--continue]",
        "[--max-budget-usd]",
        "[1.5]",
        "-p $(touch pwned) `touch pwned`",
    ];
    assert_eq!(words, expected);
    let least = script("agents/claude.sh", at, Some(at), &env("", "", "", ""));
    assert_eq!(least.lines().count(), 9, "{least}");
    assert!(!at.join("pwned").exists());
}

#[test]
fn what_the_agent_left_is_committed_and_nothing_else() {
    for (kind, expected) in [
        ("docs", "apps/web/.taskmaster/docs/rel/task-1/task.md\n"),
        (
            "code",
            "apps/web/.taskmaster/docs/rel/task-1/task.md\nstray\n",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let git = |words: &[&str]| {
            let mut command = std::process::Command::new("git");
            let command = command
                .current_dir(at)
                .env_clear()
                .env("PATH", std::env::var("PATH").unwrap());
            let command = command.envs([
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("HOME", "/nonexistent"),
            ]);
            let output = command.args(words).output().unwrap();
            assert!(output.status.success(), "{words:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        git(&["init", "--quiet"]);
        git(&["config", "user.name", "t"]);
        git(&["config", "user.email", "t@example.com"]);
        git(&["commit", "--quiet", "--allow-empty", "-m", "base"]);
        let project = at.join("apps/web/.taskmaster");
        fs::create_dir_all(project.join("docs/rel/task-1")).unwrap();
        fs::create_dir_all(project.join("tasks")).unwrap();
        fs::write(project.join("docs/rel/task-1/task.md"), "x").unwrap();
        fs::write(project.join("tasks/tasks.json"), "{}").unwrap();
        fs::write(at.join("stray"), "x").unwrap();
        let root = at.display().to_string();
        let env = [
            ("FD_KIND", kind),
            ("FD_RUN", "run-1"),
            ("FD_TASKS", "1 2"),
            ("FD_TAG", "rel"),
            ("FD_WORKING_DIRECTORY", "apps/web"),
            ("CLAUDE_PROJECT_DIR", root.as_str()),
        ];
        for _ in 0..2 {
            script("hooks/stop-commit.sh", at, None, &env);
        }
        assert_eq!(
            git(&["show", "--name-only", "--format=", "HEAD"]),
            expected,
            "{kind}"
        );
        assert_eq!(git(&["rev-list", "--count", "HEAD"]), "2\n", "{kind}");
    }
}

#[test]
fn the_early_test_never_stops_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display().to_string();
    let said = script(
        "hooks/early-test.sh",
        directory.path(),
        None,
        &[("CLAUDE_PROJECT_DIR", &root)],
    );
    assert!(said.starts_with("No test command is known"), "{said}");
}
