mod scripts;

use std::{collections::BTreeSet, fs, path::Path};

use super::*;
use flightdeck_core::{
    resources::{ContextFile, PromptMode, RunSpec, ToolPreset},
    runs::CodeDetails,
};

/// Returns a run with the most hostile texts that the schema allows.
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
        status: flightdeck_core::resources::RunStatus::default(),
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
fn table_lists_all_shipped_templates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
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
fn scripts_are_not_templates() {
    for (name, text) in SHIPPED {
        let script = text.starts_with("#!");
        let named = Path::new(name).extension().is_some_and(|end| end == "sh");
        assert_eq!(script, named, "{name}");
    }
}

/// Returns the absolute paths in a text. Excludes a lone slash, URLs, and git's `:/`.
fn absolute_paths(text: &str) -> Vec<&str> {
    let apart = |c: char| c.is_whitespace() || "\"'`=,;()[]{}<>|".contains(c);
    text.lines()
        .filter(|line| !line.starts_with("#!"))
        .flat_map(|line| line.split(apart))
        .filter(|word| {
            let mut rest = word.chars();
            rest.next() == Some('/') && rest.next().is_some_and(|c| c.is_ascii_alphabetic())
        })
        .filter(|word| *word != "/dev/null")
        .collect()
}

#[test]
fn run_files_have_no_absolute_paths() {
    assert_eq!(absolute_paths("cd /workspace/x"), ["/workspace/x"]);
    assert_eq!(
        absolute_paths("{\"a\":\"/tmp\"} ':/' a/b // https://x/y"),
        ["/tmp"]
    );
    for kind in RunKind::ALL {
        for agent in ["claude", "template"] {
            for preset in PRESETS {
                let mut run = run(kind);
                run.spec.agent = agent.into();
                run.spec.tool_config = preset;
                // With an SSH key and external documents, so that no file is left out.
                run.spec.github_user = Some("octocat".into());
                run.spec.repository_url = "git@example.com:acme/shop.git".into();
                if let Some(code) = &mut run.code {
                    code.docs_repository_url = Some("https://example.com/acme/docs.git".into());
                    code.docs_project_directory = Some("shop".into());
                }
                for (name, text) in rendered(&run) {
                    let found = absolute_paths(&text);
                    assert!(found.is_empty(), "{kind} {agent} {name}: {found:?}");
                }
            }
        }
    }
}

const PRESETS: [ToolPreset; 3] = [
    ToolPreset::Minimal,
    ToolPreset::Default,
    ToolPreset::Advanced,
];

/// Returns the allowed and denied permissions of the run's agent.
fn permissions(run: &Run) -> (BTreeSet<String>, BTreeSet<String>) {
    let settings: serde_json::Value =
        serde_json::from_str(&rendered(run)["settings.local.json"]).unwrap();
    assert_eq!(settings["permissions"]["defaultMode"], "acceptEdits");
    let list = |name: &str| {
        let list = settings["permissions"][name].as_array().unwrap();
        let texts = list.iter().map(|rule| rule.as_str().unwrap().to_owned());
        texts.collect::<BTreeSet<_>>()
    };
    (list("allow"), list("deny"))
}

#[test]
fn presets_add_tools_and_deny_the_same() {
    const OWN: [&str; 7] = ["Read", "Edit", "MultiEdit", "Write", "Glob", "Grep", "LS"];
    const WEB: [&str; 2] = ["WebSearch", "WebFetch"];
    for kind in RunKind::ALL {
        let of = |preset| {
            let mut run = run(kind);
            run.spec.tool_config = preset;
            run.spec.local_tools = vec!["filesystem".into()];
            run.spec.remote_tools = vec!["search_docs".into()];
            permissions(&run)
        };
        let [minimal, default, advanced] = PRESETS.map(of);
        let added = |more: &BTreeSet<String>, less: &BTreeSet<String>| {
            assert!(less.is_subset(more), "{kind}");
            more.difference(less).cloned().collect::<Vec<_>>()
        };
        assert!(OWN.iter().all(|tool| minimal.0.contains(*tool)), "{kind}");
        assert!(!WEB.iter().any(|tool| minimal.0.contains(*tool)), "{kind}");
        assert_eq!(added(&default.0, &minimal.0), ["WebFetch", "WebSearch"]);
        assert_eq!(added(&advanced.0, &default.0), ["Task"]);
        for (allow, deny) in [&minimal, &default, &advanced] {
            assert!(allow.contains("mcp__toolman__filesystem"));
            assert!(allow.contains("mcp__toolman__search_docs"));
            assert_eq!(deny, &minimal.1);
            // The shell of a docs run may only read and commit; code runs build and test.
            let shell = allow.iter().filter(|rule| rule.starts_with("Bash"));
            assert_eq!(
                shell.clone().any(|rule| rule == "Bash"),
                kind == RunKind::Code
            );
            assert!(
                shell
                    .clone()
                    .all(|rule| !rule.contains("push") && !rule.contains("npm"))
            );
            for refused in ["git push", "git remote", "gh", "docker", "kubectl"] {
                assert!(deny.contains(&format!("Bash({refused}:*)")), "{refused}");
            }
            assert_eq!(deny.contains("Bash(npm install:*)"), kind == RunKind::Docs);
        }
    }
}

#[test]
fn hooks_are_run_files_with_long_timeouts() {
    for kind in RunKind::ALL {
        let files = rendered(&run(kind));
        let settings: serde_json::Value =
            serde_json::from_str(&files["settings.local.json"]).unwrap();
        let hooks = settings["hooks"].as_object().unwrap();
        let mut named = BTreeSet::new();
        for hook in hooks.values().flat_map(|list| list.as_array().unwrap()) {
            let hook = &hook["hooks"][0];
            let command = hook["command"].as_str().unwrap();
            let file = command.strip_prefix("sh \"$FD_RUN_FILES/").unwrap();
            let file = file.strip_suffix('"').unwrap();
            assert!(files.contains_key(file), "{file}");
            assert!(hook["timeout"].as_u64().unwrap() >= 120, "{file}");
            named.insert(file.to_owned());
        }
        let hooks = files.keys().filter(|name| {
            let script = Path::new(name).extension().is_some_and(|end| end == "sh");
            script && *name != "agent.sh"
        });
        assert_eq!(named, hooks.cloned().collect(), "{kind}");
    }
}

#[test]
fn ssh_run_gets_known_hosts_and_user_entry() {
    let mut run = run(RunKind::Docs);
    run.spec.github_user = Some("octocat".into());
    assert!(!rendered(&run).contains_key(KNOWN_HOSTS));
    run.spec.repository_url = "git@github.com:acme/shop.git".into();
    let files = rendered(&run);
    assert!(files[KNOWN_HOSTS].starts_with("github.com ssh-ed25519 "));
    assert_eq!(files[PASSWD], "flightdeck:x:1000:1000:Flightdeck::\n");
}

#[test]
fn external_documents_are_in_manifest_and_prompt() {
    let mut run = run(RunKind::Code);
    run.spec.tag = "master".into();
    run.spec.tasks_revision = Some(TasksRevision {
        path: "projects/shop/.taskmaster/tasks/tasks.json".into(),
        blob: "b".repeat(40),
        commit: "c".repeat(40),
    });
    let code = run.code.as_mut().unwrap();
    code.docs_repository_url = Some("https://github.com/acme/docs.git".into());
    code.docs_project_directory = Some("projects/shop".into());
    let files = rendered(&run);
    let manifest: RunManifest = serde_json::from_str(&files["run.json"]).unwrap();
    let docs = manifest.docs.unwrap();
    assert_eq!(
        (docs.directory.as_str(), docs.branch),
        ("projects/shop", None)
    );
    assert!(docs.known_host, "github.com is a configured forge");
    let prompt = &files["prompt.md"];
    assert!(prompt.contains("`https://github.com/acme/docs.git`, directory `projects/shop`"));
    assert!(
        prompt.contains("Never change `.taskmaster/tasks/tasks.json`"),
        "{prompt}"
    );
    assert!(prompt.contains("`.taskmaster/docs/task-3/`"), "{prompt}");
}

#[test]
fn docs_prompt_has_scope_paths_and_rules() {
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
fn json_files_escape_any_value() {
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
fn extra_instructions_follow_or_replace_the_prompt() {
    let mut run = run(RunKind::Docs);
    run.spec.prompt_modification = Some("Write in Latin.".into());
    let appended = &rendered(&run)["prompt.md"];
    assert!(appended.contains("Never invent a task") && appended.contains("Write in Latin."));
    run.spec.prompt_mode = PromptMode::Replace;
    assert_eq!(rendered(&run)["prompt.md"].trim(), "Write in Latin.");
}

#[test]
fn context_is_a_file_and_in_the_prompt() {
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
fn errors_name_template_variable_and_agent() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("docs")).unwrap();
    let with = |file: &str, text: &str| {
        fs::write(directory.path().join(file), text).unwrap();
        let templates = Templates::with_overrides(directory.path()).unwrap();
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
    assert!(
        error.to_string().contains("the largest is prompt.md"),
        "{error}"
    );
}

#[test]
fn user_template_replaces_shipped_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("agents")).unwrap();
    fs::write(directory.path().join("agents/claude.sh"), "#!/bin/sh\n").unwrap();
    let templates = Templates::with_overrides(directory.path()).unwrap();
    let files = templates.render(&run(RunKind::Docs), &Settings::shipped());
    assert_eq!(files.unwrap()["agent.sh"], "#!/bin/sh\n");
}

#[test]
fn settings_override_pull_request_title() {
    let mut settings = Settings::shipped();
    let wording = "docs: {{agent_name}} on {{ task_info }} {{task_id}}".to_owned();
    settings
        .publish
        .docs
        .insert("pr_title_template".into(), wording);
    let files = render(&run(RunKind::Docs), &settings).unwrap();
    assert_eq!(files["pr-title"], "docs: claude on 2 tasks 1");
}
