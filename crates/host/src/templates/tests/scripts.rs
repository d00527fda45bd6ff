//! The shipped scripts, run by a shell with texts that a shell would like to evaluate.

use super::*;

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

/// A repository whose project is in a folder, with documents of a tag, a plan and a stray file that nobody committed.
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
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The agent stops, as a run of `kind` with these names would have it; the hook starts wherever the agent was last.
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

    /// What the last commit changed; names are not quoted.
    fn changed(&self) -> Vec<String> {
        let names = ["show", "-z", "--name-only", "--format=", "HEAD"];
        let names = self.git(&names);
        let names = names.split('\0').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }
}

#[test]
fn what_the_agent_left_is_committed_and_nothing_else() {
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

/// Names that a shell, or git, would make something else of.
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
fn hostile_directories_tags_and_runs_are_only_strange_names() {
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

/// A project of a subfolder whose tests are run by a program of ours, which says where it is.
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
    // Claude Code starts its hooks with the project as CLAUDE_PROJECT_DIR, not the repository.
    let env = [
        ("FD_PROJECT_DIR", at.as_str()),
        ("CLAUDE_PROJECT_DIR", at.as_str()),
        ("FD_WORKING_DIRECTORY", "apps/$(touch pwned) web"),
    ];
    let said = script("hooks/early-test.sh", root.path(), Some(&programs), &env);
    assert!(!project.join("pwned").exists() && !root.path().join("pwned").exists());
    said
}

#[test]
fn the_tests_of_the_base_are_run_in_the_project_and_told_as_they_are() {
    let passes = "#!/bin/sh\ntest \"$*\" = 'test --quiet' && test -f Cargo.toml\n";
    let said = early_test(passes);
    assert_eq!(said, "Before any change, `cargo test --quiet` passes.\n");
    let said = early_test("#!/bin/sh\necho \"it broke in $PWD\"\nexit 101\n");
    assert!(said.contains("`cargo test --quiet` FAILS"), "{said}");
    assert!(said.contains("apps/$(touch pwned) web\n"), "{said}");
    let said = early_test("#!/bin/sh\nexit 124\n");
    assert!(said.contains("took more than 10 minutes"), "{said}");
}

#[test]
fn the_early_test_never_stops_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().display().to_string();
    for (project, expected) in [
        (project.as_str(), "No test command is known"),
        ("/nowhere", ""),
    ] {
        let env = [("FD_PROJECT_DIR", project)];
        let said = script("hooks/early-test.sh", directory.path(), None, &env);
        assert!(said.starts_with(expected), "{said}");
    }
}
