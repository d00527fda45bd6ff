//! `flightdeck tasks ...` in scripts: the documented JSON, and errors with a position.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

const PLAN: &str = r#"{
  "master": {
    "tasks": [
      {"id": 1, "title": "Set up", "description": "d", "status": "done", "priority": "high", "dependencies": [], "subtasks": []},
      {"id": 2, "title": "Build", "description": "What", "details": "How\u001b[31m", "testStrategy": "Look", "status": "in-progress", "priority": "medium", "dependencies": [1],
       "subtasks": [{"id": 1, "title": "Part", "status": "done", "dependencies": []}, {"id": 2, "title": "Rest", "status": "pending", "dependencies": [1]}]},
      {"id": "3", "title": "Ship", "description": "d", "status": "pending", "priority": "low", "dependencies": ["2", 9], "subtasks": []}
    ]
  },
  "mvp": {"tasks": [{"id": 1, "title": "Other", "description": "d", "status": "pending", "priority": "low", "dependencies": []}]}
}"#;

struct Shell {
    directory: tempfile::TempDir,
}

/// Exit code, stdout and stderr.
type Output = (i32, String, String);

impl Shell {
    fn new() -> Self {
        let shell = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(shell.at("home")).unwrap();
        fs::create_dir_all(shell.plan().parent().unwrap()).unwrap();
        shell
    }

    fn with(plan: impl AsRef<[u8]>) -> Self {
        let shell = Self::new();
        fs::write(shell.plan(), plan).unwrap();
        shell
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn plan(&self) -> PathBuf {
        self.at("project/.taskmaster/tasks/tasks.json")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
            .arg("--home")
            .arg(self.at("home"))
            .arg("--repo")
            .arg(self.at("project"))
            .arg("tasks")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        let (code, out, error) = self.run(&arguments);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str(&out).unwrap()
    }
}

#[test]
fn list_and_next_print_documented_objects() {
    let shell = Shell::with(PLAN);
    let documents = shell.at("project/.taskmaster/docs/task-2");
    fs::create_dir_all(&documents).unwrap();
    fs::write(documents.join("task.md"), "x").unwrap();
    let listed = shell.json(&["list"]);
    assert_eq!(
        listed[1],
        json!({
            "id": "2", "title": "Build", "status": "in-progress", "priority": "medium", "dependencies": ["1"], "ready": true, "documents": ["task.md"],
            "subtasks": [
                {"id": "2.1", "title": "Part", "status": "done", "priority": "medium", "dependencies": [], "ready": false},
                {"id": "2.2", "title": "Rest", "status": "pending", "priority": "medium", "dependencies": ["1"], "ready": true},
            ],
        })
    );
    let ids: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
    let next = shell.json(&["next"]);
    assert_eq!(
        (&next["id"], &next["subtasks"]),
        (&json!("2.2"), &json!([]))
    );
    assert_eq!(shell.json(&["list", "--tag", "mvp"])[0]["title"], "Other");
    fs::write(
        shell.at("project/.taskmaster/state.json"),
        r#"{"currentTag": "mvp"}"#,
    )
    .unwrap();
    assert_eq!(shell.json(&["next"])["title"], "Other");

    let shell = Shell::with(r#"{"tasks": [{"id": 1, "title": "t", "status": "done"}]}"#);
    assert_eq!(shell.json(&["next"]), Value::Null);
    let (code, out, error) = shell.run(&["next"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(
        error.contains("no task of tag master is pending"),
        "{error}"
    );
}

#[test]
fn list_filters_by_status_and_query() {
    let shell = Shell::with(PLAN);
    for (arguments, ids) in [
        (&["--status", "pending,done"] as &[&str], "1 3"),
        (&["status:pending", "priority:low", "ship"], "3"),
        (&["ready:yes"], "2"),
        (&["!status:done"], "2 3"),
        (&["--status", "none"], ""),
    ] {
        let (code, out, error) = shell.run(&[&["list", "-o", "name"], arguments].concat());
        assert_eq!(code, 0, "{error}");
        let found: Vec<&str> = out.lines().collect();
        assert_eq!(found.join(" "), ids, "{arguments:?}");
    }
    let (_, table, _) = shell.run(&["list", "--subtasks"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[4].starts_with("2.2") && lines[4].contains("next"),
        "{table}"
    );
    assert!(lines[5].contains("2,9"), "open dependencies: {table}");
}

#[test]
fn show_prints_dependencies_and_is_sanitised() {
    let shell = Shell::with(PLAN);
    let reports = shell.at("project/.taskmaster/reports");
    fs::create_dir_all(&reports).unwrap();
    let report = r#"{"complexityAnalysis": [{"taskId": 2, "complexityScore": 8, "recommendedSubtasks": 4, "reasoning": "Much."}]}"#;
    fs::write(reports.join("task-complexity-report.json"), report).unwrap();
    let (code, card, _) = shell.run(&["show", "2"]);
    assert_eq!(code, 0);
    for part in [
        "complexity 8 (high)",
        "Depends on\n  1  done  Set up",
        "Blocks\n  3  pending  Ship",
        "Test strategy\n  Look",
        "2.2  pending  Rest",
        "tasks.json:5",
    ] {
        assert!(card.contains(part), "{part} in\n{card}");
    }
    assert!(!card.contains('\u{1b}'), "{card}");
    let (_, card, _) = shell.run(&["show", "3"]);
    assert!(
        card.contains("Open dependencies\n  2  in-progress  Build\n  9  does not exist"),
        "{card}"
    );
    let whole = shell.json(&["show", "2.2"]);
    assert_eq!(
        (&whole["id"], &whole["parent"]),
        (&json!("2.2"), &json!("2"))
    );
    let whole = shell.json(&["show", "2"]);
    assert_eq!(whole["complexity"]["score"], 8.0);
    assert_eq!(whole["testStrategy"], "Look");
    let (code, _, error) = shell.run(&["show", "8"]);
    assert!(
        code == 3 && error.contains("no task 8 in tag master"),
        "{error}"
    );
}

#[test]
fn validate_fails_on_errors_but_not_on_warnings() {
    let shell = Shell::with(PLAN);
    let (code, out, _) = shell.run(&["validate", "-o", "json"]);
    assert_eq!(code, 1);
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdict["ok"], false);
    assert_eq!(
        verdict["findings"],
        json!([{"kind": "dangling-dependency", "tag": "master", "task": "3", "message": "depends on 9, which does not exist", "line": 7, "column": 7}])
    );
    assert_eq!(
        shell.json(&["validate", "--tag", "mvp"]),
        json!({"ok": true, "findings": []})
    );
    let (_, out, error) = shell.run(&["validate"]);
    assert!(
        out.contains("tasks.json:7:7: dangling-dependency: master 3: depends on 9"),
        "{out}"
    );
    assert!(error.contains("1 error"), "{error}");

    let shell = Shell::with(r#"{"tasks": [{"id": 1, "title": "t"}]} x"#);
    let (code, out, _) = shell.run(&["validate", "-o", "json"]);
    assert!(code == 0 && out.contains("trailing-text"), "{out}");
    let shell = Shell::with("{\n  \"tasks\": [oops]}");
    let (code, out, _) = shell.run(&["validate", "-o", "json"]);
    let verdict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            code,
            &verdict["findings"][0]["line"],
            &verdict["findings"][0]["column"]
        ),
        (1, &json!(2), &json!(13))
    );
}

#[test]
fn lists_tags_and_names_a_missing_tag() {
    let shell = Shell::with(PLAN);
    let tags = shell.json(&["tags"]);
    assert_eq!(
        tags,
        json!([{"name": "master", "current": true, "tasks": 3, "done": 1, "ready": 1, "subtasks": 2}, {"name": "mvp", "current": false, "tasks": 1, "done": 0, "ready": 1, "subtasks": 0}])
    );
    let (code, _, error) = shell.run(&["list", "--tag", "x"]);
    assert!(
        code == 3 && error.contains("available tags: master, mvp"),
        "{error}"
    );
    // If the current tag is not in the file, a notice names the tag that is shown.
    fs::write(
        shell.at("project/.taskmaster/state.json"),
        r#"{"currentTag": "gone"}"#,
    )
    .unwrap();
    let (code, out, error) = shell.run(&["list", "-o", "name"]);
    assert!(
        code == 0
            && out.starts_with("1\n2\n")
            && error.contains("the current tag gone is not in the file; showing tag master"),
        "{error}"
    );
    // Nothing is written to a tag that was not selected.
    let (code, _, error) = shell.run(&["set-status", "1", "review"]);
    assert!(code == 3 && error.contains("no tag gone"), "{error}");
}

#[test]
fn errors_about_unusual_plan_files_name_the_path() {
    type Make = fn(&Path);
    let cases: [(&str, Make, &str); 9] = [
        ("nothing", |_| {}, "use --file, or create one"),
        (
            "directory",
            |path| fs::create_dir(path).unwrap(),
            "is a directory, not a file",
        ),
        (
            "pipe",
            |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "is a pipe, not a file",
        ),
        (
            "socket",
            |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            "is a socket, not a file",
        ),
        (
            "loop",
            |path| symlink("tasks.json", path).unwrap(),
            "symbolic link loop",
        ),
        (
            "dangling link",
            |path| symlink("elsewhere", path).unwrap(),
            "file not found",
        ),
        (
            "device",
            |path| symlink("/dev/zero", path).unwrap(),
            "is a device, not a file",
        ),
        (
            "empty",
            |path| fs::write(path, "").unwrap(),
            "the file is empty",
        ),
        (
            "broken",
            |path| fs::write(path, "{\"tasks\": [\n{\"id\": 1,}]}").unwrap(),
            "tasks.json:2:10: not JSON",
        ),
    ];
    for (name, make, sentence) in cases {
        let shell = Shell::new();
        make(&shell.plan());
        for arguments in [
            &["list"] as &[&str],
            &["next"],
            &["show", "1"],
            &["set-status", "1", "done"],
        ] {
            let (code, out, error) = shell.run(arguments);
            assert!(
                (code == 1 || code == 3) && out.is_empty(),
                "{name} {arguments:?}: {code} {out}"
            );
            assert!(error.contains(sentence), "{name} {arguments:?}: {error}");
        }
    }
}

#[test]
fn unreadable_plan_is_an_error() {
    let name = "unreadable_plan_is_an_error";
    if nix::unistd::Uid::effective().is_root() {
        crate::support::skipped(name, "root can read every file");
        return;
    }
    let shell = Shell::with(PLAN);
    fs::set_permissions(shell.plan(), fs::Permissions::from_mode(0o000)).unwrap();
    let (code, _, error) = shell.run(&["list"]);
    assert!(code == 1 && error.contains("permission denied"), "{error}");
}

#[test]
fn id_that_looks_like_a_path_is_not_followed() {
    let shell = Shell::with(
        r#"{"../..": {"tasks": [{"id": "../../../secret", "title": "t", "status": "pending"}]}}"#,
    );
    fs::create_dir_all(shell.at("secret")).unwrap();
    fs::write(shell.at("secret/task.md"), "x").unwrap();
    let (code, out, error) =
        shell.run(&["show", "../../../secret", "--tag", "../..", "-o", "json"]);
    assert_eq!(code, 0, "{error}");
    let whole: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&whole["documents"], &whole["complexity"]),
        (&json!([]), &Value::Null)
    );
}
