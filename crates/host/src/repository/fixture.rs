//! Temporary repositories for tests, isolated from the machine's git configuration.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "only used by tests"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::git::Git;

/// A plan of one task.
pub const PLAN: &str = r#"{"master": {"tasks": [{"id": 1, "title": "Set up", "description": "d", "status": "pending", "priority": "high", "dependencies": []}]}}"#;
/// Path of a project's plan.
pub const PLAN_PATH: &str = ".taskmaster/tasks/tasks.json";

/// A work tree on branch `feature/x`, and its bare `origin` repository.
pub struct Fixture {
    /// Deletes the directory on drop.
    pub directory: TempDir,
    pub root: PathBuf,
    pub origin: PathBuf,
}

impl Fixture {
    /// Creates a repository without commits and remotes.
    pub async fn empty() -> Self {
        Self::empty_as(&[]).await
    }

    /// Like [`Self::empty`], with further arguments for `git init`.
    async fn empty_as(form: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let fixture = Self {
            root: top.join("work"),
            origin: top.join("origin.git"),
            directory,
        };
        fs::create_dir(&fixture.root).unwrap();
        let init = ["init", "-q", "-b", "feature/x"];
        fixture.git(&[&init, form].concat()).await;
        configure(&fixture.root).await;
        fixture
    }

    /// Creates a repository whose plan is committed and pushed with an upstream.
    pub async fn pushed() -> Self {
        Self::pushed_as(&[]).await
    }

    /// Like [`Self::pushed`], with further arguments for `git init`.
    pub async fn pushed_as(form: &[&str]) -> Self {
        let fixture = Self::empty_as(form).await;
        fixture.write(PLAN_PATH, PLAN);
        fixture.commit("The plan").await;
        let origin = fixture.origin.clone();
        let path = origin.to_str().unwrap();
        let init = ["init", "-q", "--bare", "-b", "main", path];
        run(fixture.directory.path(), &[&init, form].concat()).await;
        fixture
            .git(&["remote", "add", "origin", origin.to_str().unwrap()])
            .await;
        fixture
            .git(&["push", "-q", "-u", "origin", "feature/x"])
            .await;
        fixture
    }

    /// Clones the origin as another user, on the same branch.
    pub async fn colleague(&self) -> PathBuf {
        let path = self.directory.path().join("colleague");
        run(
            self.directory.path(),
            &[
                "clone",
                "-q",
                "-b",
                "feature/x",
                self.origin.to_str().unwrap(),
                path.to_str().unwrap(),
            ],
        )
        .await;
        configure(&path).await;
        path
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.root, path, text);
    }

    pub async fn commit(&self, message: &str) {
        commit(&self.root, message).await;
    }

    /// Commits to the same file on `feature/x`, where it stays, and on a branch `other`, so that merging them
    /// conflicts.
    pub async fn conflict(&self) {
        self.git(&["checkout", "-q", "-b", "other"]).await;
        self.write("a", "1");
        self.commit("One").await;
        self.git(&["checkout", "-q", "feature/x"]).await;
        self.write("a", "2");
        self.commit("Two").await;
    }

    pub async fn git(&self, arguments: &[&str]) -> String {
        run(&self.root, arguments).await
    }
}

/// Resets settings that the machine might have changed to git's defaults.
async fn configure(directory: &Path) {
    for (key, value) in [
        ("user.name", "Ada"),
        ("user.email", "ada@example.com"),
        ("commit.gpgsign", "false"),
        ("core.autocrlf", "false"),
        ("core.excludesFile", "/dev/null"),
        ("core.hooksPath", ".git/hooks"),
        ("push.default", "simple"),
        ("push.autoSetupRemote", "false"),
        ("pull.rebase", "false"),
    ] {
        run(directory, &["config", key, value]).await;
    }
}

pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub async fn commit(root: &Path, message: &str) {
    run(root, &["add", "-A"]).await;
    run(root, &["commit", "-q", "-m", message]).await;
}

pub async fn run(directory: &Path, arguments: &[&str]) -> String {
    Git::new(directory)
        .isolated()
        .env_remove(&["GIT_NO_LAZY_FETCH"])
        .args(arguments)
        .run()
        .await
        .unwrap()
        .text()
}
