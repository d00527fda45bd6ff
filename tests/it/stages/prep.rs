//! History, submodules, documents of another repository, and folders of earlier runs in prep.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use tokio::net::TcpListener;

use super::bench::{Bench, PLAN};
use flightdeck_core::runs::{DocsSource, RunKind, reason};

/// Returns a code run of task 1.
fn code_bench() -> Bench {
    let mut bench = Bench::new();
    bench.manifest.kind = RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench
}

#[test]
fn clone_depth_is_configurable_and_work_is_pushed() {
    for (depth, expected) in [(1, "1"), (2, "2"), (0, "3")] {
        let mut bench = Bench::new();
        bench.push("README.md", "one");
        bench.push("README.md", "two");
        bench.manifest.layout.depth = depth;
        bench.agent(&format!(
            "test $(git rev-list --count HEAD) = {expected} && flightdeck agent template"
        ));
        let ended = bench.run();
        assert_eq!(ended.code, 0, "{depth}: {}", ended.log);
        let count = bench.origin(&["rev-list", "--count", "feature/shop..docs/run-1"]);
        assert_eq!(
            count, "2",
            "{depth}: the agent's commits, on the whole history"
        );
    }
}

#[test]
fn shallow_work_is_pushed_after_the_source_advanced() {
    let bench = Bench::new();
    bench.run_until("publish collect");
    let later = bench.push("README.md", "later");
    let push = bench.stage("publish push");
    assert_eq!(push.code, 0, "{}", push.log);
    let base = bench.origin(&["merge-base", &later, "docs/run-1"]);
    assert_eq!(base, bench.commit);
}

/// Serves the files of a folder: a Git host with the dumb HTTP protocol.
async fn files(State(root): State<Arc<PathBuf>>, request: Request) -> Response {
    let path = root.join(request.uri().path().trim_start_matches('/'));
    let (status, body) = match fs::read(path) {
        Ok(bytes) => (StatusCode::OK, bytes),
        Err(_) => (StatusCode::NOT_FOUND, Vec::new()),
    };
    Response::builder()
        .status(status)
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_fully_if_the_server_cannot_clone_shallowly() {
    let mut bench = Bench::new();
    bench.origin(&["update-server-info"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .fallback(files)
        .with_state(Arc::new(bench.path("")));
    tokio::spawn(async move { axum::serve(listener, router).await });
    bench.manifest.repository_url = format!("http://{address}/origin.git");
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 0, "{}", prep.log);
    assert!(
        prep.log.contains("cloning the full history"),
        "{}",
        prep.log
    );
}

#[test]
fn documents_of_the_docs_repository_are_not_published() {
    let mut bench = code_bench();
    // The code repository has neither a plan nor documents.
    bench.git(&["rm", "-rq", ".taskmaster"]);
    bench.push("src/lib.rs", "code");
    let docs = bench.path("docs-project");
    fs::create_dir(&docs).unwrap();
    let far = bench.path("docs.git");
    bench.git(&["init", "-q", "--bare", far.to_str().unwrap()]);
    bench.git_in(&docs, &["init", "-q", "-b", "plans"]);
    let shop = docs.join("projects/a $(b)/.taskmaster");
    fs::create_dir_all(shop.join("tasks")).unwrap();
    fs::create_dir_all(shop.join("docs/task-1")).unwrap();
    fs::create_dir_all(shop.join("docs/task-2")).unwrap();
    fs::write(shop.join("tasks/tasks.json"), PLAN).unwrap();
    for task in ["task-1", "task-2"] {
        fs::write(shop.join("docs").join(task).join("prompt.md"), "do it").unwrap();
    }
    bench.git_in(&docs, &["add", "."]);
    bench.git_in(&docs, &["commit", "-qm", "plan"]);
    bench.git_in(&docs, &["push", "-q", far.to_str().unwrap(), "plans"]);
    let mut revision = bench.manifest.tasks_revision.clone().unwrap();
    revision.path = "projects/a $(b)/.taskmaster/tasks/tasks.json".into();
    bench.manifest.tasks_revision = Some(revision);
    bench.manifest.docs = Some(DocsSource {
        repository_url: far.display().to_string(),
        branch: Some("plans".into()),
        directory: "projects/a $(b)".into(),
        known_host: false,
    });
    bench.manifest.working_directory = "src".into();
    bench.agent(
        "test -f .taskmaster/tasks/tasks.json && grep -q 'do it' .taskmaster/docs/task-1/prompt.md \
         && test ! -e .taskmaster/docs/task-2 && test -z \"$(git status --porcelain)\" && echo x > new",
    );
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files, "src/new");
    let prep = bench.stage("prep clone");
    let code = bench.origin(&["rev-parse", "feature/shop"]);
    assert_eq!(
        prep.report.commit,
        Some(code),
        "the commit that is built on"
    );

    bench.manifest.task_ids = vec!["9".into()];
    let prep = bench.stage("prep clone");
    assert_eq!(prep.report.reason.as_deref(), Some(reason::TASKS_MISMATCH));
    bench.manifest.docs.as_mut().unwrap().directory = "../..".into();
    let prep = bench.stage("prep clone");
    let message = prep.report.message.unwrap();
    assert!(message.contains("is outside the repository"), "{message}");
}

#[test]
fn own_documents_win_over_the_docs_repository() {
    let mut bench = code_bench();
    bench.push(".taskmaster/docs/task-1/prompt.md", "the repository's own");
    bench.manifest.docs = Some(DocsSource {
        repository_url: bench.path("origin.git").display().to_string(),
        branch: Some("feature/shop".into()),
        directory: ".".into(),
        known_host: false,
    });
    bench.agent("cat .taskmaster/docs/task-1/prompt.md");
    let setup = bench.run_until("prep setup");
    assert!(
        setup
            .log
            .contains("Kept the repository's own .taskmaster/docs/task-1/prompt.md"),
        "{}",
        setup.log
    );
    let log = bench.stage("agent").log;
    assert!(log.starts_with("the repository's own"), "{log}");
}

/// Creates a bare repository with two commits of one file each. Returns the first commit.
fn library(bench: &Bench, name: &str, more: &dyn Fn(&std::path::Path)) -> String {
    let bare = bench.path(&format!("{name}.git"));
    bench.git(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    let work = bench.path(&format!("{name}-work"));
    fs::create_dir(&work).unwrap();
    bench.git_in(&work, &["init", "-q", "-b", "main"]);
    let url = format!("../{name}.git");
    bench.git_in(&work, &["remote", "add", "origin", &url]);
    fs::write(work.join("lib.c"), format!("{name} wanted")).unwrap();
    bench.git_in(&work, &["add", "."]);
    more(&work);
    bench.git_in(&work, &["commit", "-qm", "wanted"]);
    let wanted = bench.git_in(&work, &["rev-parse", "HEAD"]);
    fs::write(work.join("lib.c"), format!("{name} later")).unwrap();
    bench.git_in(&work, &["commit", "-qam", "later"]);
    bench.git_in(&work, &["push", "-q", "origin", "main"]);
    wanted
}

/// Adds a submodule to a work tree at a given commit, as git does.
fn add_submodule(bench: &Bench, work: &std::path::Path, path: &str, url: &str, commit: &str) {
    let section = format!("submodule.{path}");
    for (key, value) in [("path", path), ("url", url)] {
        let key = format!("{section}.{key}");
        bench.git_in(work, &["config", "-f", ".gitmodules", &key, value]);
    }
    let link = format!("160000,{commit},{path}");
    bench.git_in(work, &["update-index", "--add", "--cacheinfo", &link]);
    bench.git_in(work, &["add", ".gitmodules"]);
}

#[test]
fn submodules_are_checked_out_and_not_published() {
    let bench = code_bench();
    let inner = library(&bench, "inner", &|_| {});
    let outer = library(&bench, "outer", &|work| {
        add_submodule(&bench, work, "deps/in $(x)", "../inner.git", &inner);
    });
    let project = bench.path("project");
    add_submodule(&bench, &project, "libs/outer", "../outer.git", &outer);
    add_submodule(&bench, &project, "libs/gone", "../gone.git", &outer);
    bench.git(&["commit", "-qm", "submodules"]);
    bench.git(&["push", "-q", "origin", "feature/shop"]);
    bench.agent(
        "grep -q 'outer wanted' libs/outer/lib.c && grep -q 'inner wanted' 'libs/outer/deps/in $(x)/lib.c' \
         && test -z \"$(git status --porcelain)\" && test -z \"$(git -C libs/outer status --porcelain)\" \
         && cd libs/outer && echo changed > lib.c && git -c user.name=a -c user.email=a@b commit -qam changed \
         && cd ../.. && echo x > new",
    );
    let agent = bench.run_until("agent");
    assert!(agent.log.contains("Committed the agent's"), "{}", agent.log);
    bench.stage("publish collect");
    let push = bench.stage("publish push");
    assert_eq!(push.code, 0, "{}", push.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files, "new");
    let prep = bench.stage("prep clone");
    assert!(prep.log.contains("Fetched 2 submodules"), "{}", prep.log);
    assert!(
        prep.log.contains("Could not fetch the submodule libs/gone"),
        "{}",
        prep.log
    );
}

#[test]
fn submodule_urls_with_programs_or_options_are_ignored() {
    let bench = code_bench();
    let project = bench.path("project");
    let pwned = bench.path("pwned").display().to_string();
    for (path, url) in [
        ("a", format!("ext::sh -c touch% {pwned}")),
        ("b", format!("--upload-pack=touch {pwned}")),
        ("c", format!("ssh://-oProxyCommand=touch {pwned}/x")),
    ] {
        add_submodule(&bench, &project, path, &url, &bench.commit);
    }
    bench.git(&["commit", "-qm", "submodules"]);
    bench.git(&["push", "-q", "origin", "feature/shop"]);
    let setup = bench.run_until("prep setup");
    assert_eq!(setup.code, 0, "{}", setup.log);
    assert!(!bench.anywhere("pwned"));
}

#[test]
fn unwritable_workspace_has_a_clear_error() {
    let bench = Bench::new();
    bench.stage("prep clone");
    let workspace = bench.path("workspace");
    fs::remove_dir(&workspace).unwrap();
    // Not even root can create a file below a file.
    fs::write(&workspace, "").unwrap();
    let setup = bench.stage("prep setup");
    assert_eq!(setup.code, 1);
    let message = setup.report.message.unwrap();
    for part in [
        "the workspace volume at",
        "is not writable for user",
        "[pods] user",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn removes_the_oldest_run_folders_beyond_the_limit() {
    let mut bench = code_bench();
    bench.manifest.layout.keep_runs = 2;
    let runs = bench.path("workspace/runs");
    for age in 1..=4_u64 {
        let folder = runs.join(format!("earlier-{age}"));
        fs::create_dir_all(folder.join("repo")).unwrap();
        let mark = fs::File::create(folder.join("base.json")).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(3600 * age);
        mark.set_modified(then).unwrap();
    }
    // A run without a checkout counts as the oldest; a symlink is ignored.
    fs::create_dir_all(runs.join("never/home")).unwrap();
    fs::create_dir(bench.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(bench.path("elsewhere"), runs.join("link")).unwrap();
    let setup = bench.run_until("prep setup");
    assert_eq!(setup.code, 0, "{}", setup.log);
    let mut left: Vec<String> = fs::read_dir(&runs)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["0f2c6c1e", "earlier-1", "earlier-2", "link"]);
    assert!(bench.path("elsewhere").is_dir());
    assert!(
        setup
            .log
            .contains("Removed the folder never of an earlier run"),
        "{}",
        setup.log
    );
}

#[test]
fn removes_a_limited_number_of_folders_per_run() {
    let mut bench = code_bench();
    bench.manifest.layout.keep_runs = 2;
    let runs = bench.path("workspace/runs");
    for number in 0..1100 {
        fs::create_dir_all(runs.join(format!("planted-{number}"))).unwrap();
    }
    let setup = bench.run_until("prep setup");
    assert_eq!(setup.code, 0, "{}", setup.log);
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 1001);
    for words in [
        "more folders of earlier runs remain",
        "Scanned only the first 1000",
    ] {
        assert!(setup.log.contains(words), "{}", setup.log);
    }
}

#[test]
fn working_directory_may_have_special_characters() {
    for directory in [
        "apps/$(touch pwned) `touch pwned`",
        "-rf",
        "a'b\"c/[x]*",
        ":(exclude)x",
    ] {
        let mut bench = Bench::new();
        let plan = format!("{directory}/.taskmaster/tasks/tasks.json");
        bench.push(&plan, PLAN);
        bench.claim(&plan);
        bench.manifest.working_directory = directory.into();
        bench.run_file("CLAUDE.md", "the run's memory");
        bench.agent("test -f CLAUDE.md && flightdeck agent template && test -z \"$(git status --porcelain)\"");
        let ended = bench.run();
        assert_eq!(ended.code, 0, "{directory}: {}", ended.log);
        let files = bench.origin(&["diff", "-z", "--name-only", "feature/shop", "docs/run-1"]);
        let documents = format!("{directory}/.taskmaster/docs/");
        assert!(
            files
                .split('\0')
                .filter(|path| !path.is_empty())
                .all(|path| path.starts_with(&documents)),
            "{files}"
        );
        assert!(!bench.anywhere("pwned"), "{directory}");
    }
}

#[test]
fn checkout_has_no_remote_and_does_not_sign() {
    let bench = Bench::new();
    bench.agent(
        "test -z \"$(git remote)\" && test \"$(git config commit.gpgSign)\" = false && flightdeck agent template",
    );
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
}

#[test]
fn conflicting_branch_names_stop_prep_before_cloning() {
    for target in ["feature/shop/docs", "feature", "feature/shop"] {
        let mut bench = Bench::new();
        bench.manifest.target_branch = target.into();
        let prep = bench.stage("prep clone");
        assert_eq!(prep.code, 1, "{target}: {}", prep.log);
        let message = prep.report.message.unwrap();
        assert!(
            message.contains("another target branch") || message.contains("its own branch"),
            "{target}: {message}"
        );
        assert!(!prep.log.contains("Cloning"), "{}", prep.log);
    }
}
