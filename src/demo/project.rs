//! The sample project: a repository with a plan and a feature branch, and a bare repository as its `origin`.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
};

use crate::daemon::StandInFile;
use flightdeck_host::{
    repository::git::{Git, GitError},
    settings::{Paths, Settings},
};
use kube_embedded::endpoint;

/// File that marks a directory as a demo, which may be reused.
const MARKER: &str = ".flightdeck-demo";
/// The branch that is checked out.
const BRANCH: &str = "feature/taskboard";

/// Files of the first commit, on `main`.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("sample/README.md")),
    ("Cargo.toml", include_str!("sample/Cargo.toml.txt")),
    ("src/main.rs", include_str!("sample/main.rs.txt")),
    (".gitignore", "/target\n"),
];

/// Files of the second commit, on the feature branch.
const PLAN: &[(&str, &str)] = &[
    (
        ".taskmaster/tasks/tasks.json",
        include_str!("sample/tasks.json"),
    ),
    (".taskmaster/docs/prd.md", include_str!("sample/prd.md")),
    (
        ".taskmaster/state.json",
        "{\n  \"currentTag\": \"master\",\n  \"branchTagMapping\": {},\n  \"migrationNoticeShown\": true\n}\n",
    ),
];

/// Settings of the demo: the offline agent, slow enough to watch.
const SETTINGS: &str = r#"# Settings of this demo only.
[defaults]
agent = "template"
docs_model = "offline"
code_model = "offline"

[agents.template.env]
TEMPLATE_AGENT_PACE_MS = "120"
"#;

/// A directory that contains a demo completely, including its state.
#[derive(Clone, Debug)]
pub struct Project {
    /// The directory; removing it removes the demo without a trace.
    pub directory: PathBuf,
    /// The user's repository.
    pub repository: PathBuf,
    /// Its `origin`, a bare repository.
    pub origin: PathBuf,
    /// Settings and state, inside the directory.
    pub paths: Paths,
}

/// Why the demo could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("{0} is not empty and not a demo; choose an empty directory with --dir")]
    Foreign(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Project {
    /// Opens the project in `directory`, which is created if it does not exist.
    pub async fn open(directory: &Path) -> Result<Self, ProjectError> {
        make_directory(directory)?;
        let directory = fs::canonicalize(directory).map_err(at(directory))?;
        let project = Self {
            repository: directory.join("taskboard"),
            origin: directory.join("taskboard.git"),
            paths: Paths::below(&directory),
            directory,
        };
        let marker = project.directory.join(MARKER);
        if !marker.exists() {
            let mut entries = fs::read_dir(&project.directory).map_err(at(&project.directory))?;
            if entries.next().is_some() {
                return Err(ProjectError::Foreign(project.directory));
            }
            project.make().await?;
            if let Some(parent) = project.paths.config.parent() {
                make_directory(parent)?;
            }
            write(&project.paths.config, SETTINGS)?;
            // Last, so that an interrupted creation is not taken for a complete demo.
            write(
                &marker,
                "Created by flightdeck demo. Delete this directory to remove the demo.\n",
            )?;
        }
        Ok(project)
    }

    /// Makes the demo's server serve a fake GitHub from its next start, and adds it to `settings`.
    pub async fn add_forge(&self, settings: &mut Settings) -> Result<(), ProjectError> {
        let path = &self.paths.state;
        if let Some(file) = StandInFile::read(&self.paths).map_err(at(path))? {
            file.add_to(settings);
            return Ok(());
        }
        // The port is saved, so that links to pull requests stay valid after a restart of the server.
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(at(path))?;
        let file = StandInFile {
            address: listener.local_addr().map_err(at(path))?,
            bare_repository: self.origin.clone(),
            repository: "demo/taskboard".into(),
        };
        file.write(&self.paths).map_err(at(path))?;
        endpoint::stop(&self.paths.embedded)
            .await
            .map_err(at(path))?;
        file.add_to(settings);
        Ok(())
    }

    async fn make(&self) -> Result<(), ProjectError> {
        make_directory(&self.repository)?;
        let git = || Git::new(&self.repository).isolated();
        Git::new(&self.directory)
            .isolated()
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(&self.origin)
            .run()
            .await?;
        git()
            .args(["init", "--quiet", "--initial-branch=main"])
            .run()
            .await?;
        // Set in the repository: the user may have no identity configured, and the sample should not use it.
        git()
            .args(["config", "user.name", "Flightdeck demo"])
            .run()
            .await?;
        git()
            .args(["config", "user.email", "demo@flightdeck.invalid"])
            .run()
            .await?;
        git()
            .args(["config", "commit.gpgSign", "false"])
            .run()
            .await?;
        git()
            .args(["remote", "add", "origin"])
            .arg(&self.origin)
            .run()
            .await?;
        self.commit(FILES, "Start the task-management service")
            .await?;
        git()
            .args(["push", "--quiet", "--set-upstream", "origin", "main"])
            .run()
            .await?;
        git()
            .args(["remote", "set-head", "origin", "main"])
            .run()
            .await?;
        git()
            .args(["switch", "--quiet", "--create", BRANCH])
            .run()
            .await?;
        self.commit(PLAN, "Plan the task-management service")
            .await?;
        git()
            .args(["push", "--quiet", "--set-upstream", "origin", BRANCH])
            .run()
            .await?;
        Ok(())
    }

    async fn commit(&self, files: &[(&str, &str)], message: &str) -> Result<(), ProjectError> {
        let git = || Git::new(&self.repository).isolated();
        for (path, content) in files {
            let path = self.repository.join(path);
            if let Some(parent) = path.parent() {
                make_directory(parent)?;
            }
            write(&path, content)?;
        }
        git()
            .args(["add", "--"])
            .args(files.iter().map(|(path, _)| path))
            .run()
            .await?;
        git()
            .args(["commit", "--quiet", "-m", message])
            .run()
            .await?;
        Ok(())
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ProjectError {
    move |source| ProjectError::Io {
        path: path.to_owned(),
        source,
    }
}

fn make_directory(path: &Path) -> Result<(), ProjectError> {
    fs::create_dir_all(path).map_err(at(path))
}

fn write(path: &Path, content: &str) -> Result<(), ProjectError> {
    fs::write(path, content).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn existing_demo_is_reused() {
        let directory = tempfile::tempdir().unwrap();
        let first = Project::open(&directory.path().join("demo")).await.unwrap();
        fs::write(first.repository.join("mine.txt"), "kept").unwrap();
        let again = Project::open(&directory.path().join("demo")).await.unwrap();
        assert!(again.repository.join("mine.txt").exists());
        let refs = Git::new(&again.origin)
            .isolated()
            .args(["for-each-ref", "--format=%(refname)"])
            .run()
            .await
            .unwrap();
        assert_eq!(refs.text(), "refs/heads/feature/taskboard\nrefs/heads/main");
        let status = Git::new(&again.repository)
            .isolated()
            .args(["status", "--porcelain=v2", "--branch"])
            .run()
            .await
            .unwrap();
        assert!(
            status.text().contains("branch.ab +0 -0"),
            "{}",
            status.text()
        );
    }

    #[tokio::test]
    async fn rejects_directory_with_other_files() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
        assert!(matches!(
            Project::open(directory.path()).await,
            Err(ProjectError::Foreign(_))
        ));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn sample_plan_has_12_tasks_with_subtasks() {
        let (_, plan) = PLAN[0];
        let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
        let tasks = plan["master"]["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), 12);
        assert!(
            tasks
                .iter()
                .all(|task| !task["subtasks"].as_array().unwrap().is_empty())
        );
    }
}
