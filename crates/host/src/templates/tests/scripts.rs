//! Runs the shipped scripts with values that a shell could evaluate.

use super::*;

/// Runs a shipped script in a clean environment with the machine's PATH, preceded by `more`.
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
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stdout}{stderr}");
    stdout
}

#[test]
fn claude_script_passes_options_without_evaluating_them() {
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
            ("FD_SESSION", go_on),
        ]
    };
    let full = env("$(touch pwned)", "7", "1.5", "s-1");
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
        "[--resume]",
        "[s-1]",
        "[--max-budget-usd]",
        "[1.5]",
        "-p $(touch pwned) `touch pwned`",
    ];
    assert_eq!(words, expected);
    let least = script("agents/claude.sh", at, Some(at), &env("", "", "", ""));
    assert_eq!(least.lines().count(), 9, "{least}");
    assert!(!at.join("pwned").exists());
}

/// A repository with a project in a subdirectory, and uncommitted documents of a tag, plan and stray file.
struct Repository {
    root: tempfile::TempDir,
    project: String,
    documents: String,
}

impl Repository {
    fn new(project: &str, tag: &str) -> Self {
        let documents = flightdeck_core::runs::documents_directory(tag, "");
        let documents = documents.rsplit_once('/').unwrap().0.to_owned();
        let repository = Self {
            root: tempfile::tempdir().unwrap(),
            project: project.to_owned(),
            documents,
        };
        repository.git(&["init", "--quiet"]);
        repository.git(&["config", "user.name", "t"]);
        repository.git(&["config", "user.email", "t@example.com"]);
        repository.git(&["commit", "--quiet", "--allow-empty", "-m", "base"]);
        let project = repository.project();
        let task = project.join(&repository.documents).join("task-1");
        fs::create_dir_all(&task).unwrap();
        fs::write(task.join("task.md"), "x").unwrap();
        fs::create_dir_all(project.join(".taskmaster/tasks")).unwrap();
        fs::write(project.join(".taskmaster/tasks/tasks.json"), "{}").unwrap();
        fs::write(repository.root.path().join("stray"), "x").unwrap();
        repository
    }

    fn project(&self) -> std::path::PathBuf {
        self.root.path().join(&self.project)
    }

    fn git(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new("git");
        let output = command
            .current_dir(self.root.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .envs([
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("HOME", "/nonexistent"),
            ])
            .args(words)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the stop hook for a run of `kind` with these names. The hook starts in the agent's last directory.
    fn stop(&self, kind: &str, run: &str, tasks: &str) {
        let project = self.project().display().to_string();
        let env = [
            ("FD_KIND", kind),
            ("FD_RUN", run),
            ("FD_TASKS", tasks),
            ("FD_DOCUMENTS", self.documents.as_str()),
            ("FD_PROJECT_DIR", project.as_str()),
            ("CLAUDE_PROJECT_DIR", project.as_str()),
        ];
        script("hooks/stop-commit.sh", self.root.path(), None, &env);
    }

    /// Returns the paths changed by the last commit, unquoted.
    fn changed(&self) -> Vec<String> {
        let names = ["show", "-z", "--name-only", "--format=", "HEAD"];
        let names = self.git(&names);
        let names = names.split('\0').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }
}

#[test]
fn stop_hook_commits_only_what_the_kind_may_change() {
    for (kind, expected) in [
        (
            "docs",
            &["apps/web/.taskmaster/docs/rel/task-1/task.md"][..],
        ),
        (
            "code",
            &["apps/web/.taskmaster/docs/rel/task-1/task.md", "stray"],
        ),
    ] {
        let repository = Repository::new("apps/web", "rel");
        for _ in 0..2 {
            repository.stop(kind, "run-1", "1 2");
        }
        assert_eq!(repository.changed(), expected, "{kind}");
        assert_eq!(
            repository.git(&["rev-list", "--count", "HEAD"]),
            "2\n",
            "{kind}"
        );
    }
}

/// Names that are special to a shell or to git.
const HOSTILE: [&str; 7] = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    "a'b\"c",
    "-rf",
    ":(exclude)*",
    "* ?[x]\\",
];

#[test]
fn hostile_names_are_not_evaluated() {
    for name in HOSTILE {
        for kind in ["docs", "code"] {
            let repository = Repository::new(&format!("apps/{name}"), name);
            repository.git(&["checkout", "--quiet", "-b", "feature/$(touch${IFS}pwned)"]);
            repository.stop(kind, name, "1");
            let documents = flightdeck_core::runs::documents_directory(name, "1");
            let document = format!("apps/{name}/{documents}/task.md");
            let mut expected = vec![document];
            if kind == "code" {
                expected.push("stray".into());
            }
            assert_eq!(repository.changed(), expected, "{kind} {name}");
            let message = repository.git(&["log", "-1", "--format=%s"]);
            assert!(message.contains(name), "{message}");
            let found = repository.git(&["ls-files", "--others"]);
            assert!(
                !found.lines().any(|path| path.ends_with("pwned")),
                "{name}: {found}"
            );
        }
    }
}

/// Runs the early test hook in a project in a subdirectory, with `program` as its cargo.
fn early_test(program: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let project = root.path().join("apps/$(touch pwned) web");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("Cargo.toml"), "").unwrap();
    let programs = root.path().join("programs");
    fs::create_dir(&programs).unwrap();
    fs::write(programs.join("cargo"), program).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(programs.join("cargo"), mode).unwrap();
    let at = project.display().to_string();
    // Claude Code sets CLAUDE_PROJECT_DIR to the project, not to the repository.
    let env = [
        ("FD_PROJECT_DIR", at.as_str()),
        ("CLAUDE_PROJECT_DIR", at.as_str()),
        ("FD_WORKING_DIRECTORY", "apps/$(touch pwned) web"),
    ];
    let stdout = script("hooks/early-test.sh", root.path(), Some(&programs), &env);
    assert!(!project.join("pwned").exists() && !root.path().join("pwned").exists());
    stdout
}

#[test]
fn early_test_reports_result_of_the_base() {
    let passes = "#!/bin/sh\ntest \"$*\" = 'test --quiet' && test -f Cargo.toml\n";
    let stdout = early_test(passes);
    assert_eq!(stdout, "Before any change, `cargo test --quiet` passes.\n");
    let stdout = early_test("#!/bin/sh\necho \"it broke in $PWD\"\nexit 101\n");
    assert!(stdout.contains("`cargo test --quiet` FAILS"), "{stdout}");
    assert!(stdout.contains("apps/$(touch pwned) web\n"), "{stdout}");
    let stdout = early_test("#!/bin/sh\nexit 124\n");
    assert!(stdout.contains("took more than 10 minutes"), "{stdout}");
}

#[test]
fn early_test_never_fails() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().display().to_string();
    for (project, expected) in [
        (project.as_str(), "No known test command"),
        ("/nowhere", ""),
    ] {
        let env = [("FD_PROJECT_DIR", project)];
        let stdout = script("hooks/early-test.sh", directory.path(), None, &env);
        assert!(stdout.starts_with(expected), "{stdout}");
    }
}
