//! The repository that runs clone and push to: a configured one, or one on a volume of the cluster.

use std::{fs, path::Path, process::Command};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{
    GitRemote,
    environment::{Environment, from, make},
    helper,
};
use flightdeck::demo::Project;
use flightdeck_core::{remote_url::RemoteUrl, runs::naming};
use flightdeck_host::settings::Settings;

/// Path of the plan in the sample project.
const PLAN: &str = ".taskmaster/tasks/tasks.json";
const BRANCH: &str = "feature/taskboard";
/// Claim, mount path and name of the repository on a volume.
const CLAIM: &str = "repositories";
const MOUNT: &str = "/repositories";
const ON_VOLUME: &str = "/repositories/taskboard.git";

pub(super) struct Remote {
    /// Prefix of all branches of an execution.
    prefix: String,
    named: Option<GitRemote>,
    directory: tempfile::TempDir,
}

impl Remote {
    pub(super) fn new(run: &str, git: Option<&GitRemote>, settings: &mut Settings) -> Self {
        let named = git.map(|git| GitRemote {
            url: git.url.clone(),
            credential: git.credential.clone(),
        });
        if let Some(git) = &named {
            settings.allow.github_token_hosts.extend(
                RemoteUrl::parse(&git.url)
                    .unwrap()
                    .host()
                    .map(str::to_owned),
            );
        } else {
            settings.workspace.repositories = CLAIM.into();
        }
        Self {
            prefix: format!("fdr-{run}"),
            named,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// User and token, if pods need them.
    pub(super) fn credential(&self) -> Option<(&str, &str)> {
        let (user, token) = self.named.as_ref()?.credential.as_ref()?;
        Some((user, token))
    }

    /// The URL that runs clone.
    pub(super) fn url(&self) -> &str {
        self.named.as_ref().map_or(ON_VOLUME, |git| &git.url)
    }

    /// The branch with the plan.
    pub(super) fn source(&self) -> String {
        match self.named {
            Some(_) => format!("{}/plan", self.prefix),
            None => BRANCH.to_owned(),
        }
    }

    /// Returns the branch that a run of this name pushes to.
    pub(super) fn target(&self, run: &str) -> String {
        format!("{}/{run}", self.prefix)
    }

    /// Returns the revision of the plan, as verified at a launch.
    pub(super) fn revision(&self) -> Value {
        let project = self.directory.path().join("project/taskboard");
        let ask = |what: &str| self.git(&project, &["rev-parse", what]).unwrap();
        json!({
            "path": PLAN, "blob": ask(&format!("{BRANCH}:{PLAN}")), "commit": ask(BRANCH),
        })
    }

    /// Pushes the sample project. Returns what was done.
    pub(super) async fn fill(&self, environment: &Environment) -> Result<String, String> {
        let directory = self.directory.path().join("project");
        let project = Project::open(&directory).await;
        let project = project.map_err(|error| error.to_string())?;
        if let Some(git) = &self.named {
            let refspec = format!("{BRANCH}:refs/heads/{}", self.source());
            self.git(
                &project.repository,
                &["push", "--quiet", &git.url, &refspec],
            )?;
            return Ok(format!("pushed a plan to {} of {}", self.source(), git.url));
        }
        let bundle = self.directory.path().join("plan.bundle");
        let file = bundle.display().to_string();
        self.git(
            &project.repository,
            &["bundle", "create", "--quiet", &file, "HEAD", BRANCH, "main"],
        )?;
        let bytes = fs::read(bundle).map_err(|error| error.to_string())?;
        let map: ConfigMap = from(json!({
            "metadata": { "name": "plan" },
            "binaryData": { "plan.bundle": BASE64_STANDARD.encode(bytes) },
        }));
        make(&environment.api(), &map).await?;
        let class = &environment.settings.workspace.storage_class;
        let claim: PersistentVolumeClaim = from(json!({
            "metadata": { "name": CLAIM },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "128Mi" } },
                "storageClassName": if class.is_empty() { Value::Null } else { json!(class) },
            },
        }));
        make(&environment.api(), &claim).await?;
        let clone = [
            "git",
            "clone",
            "--bare",
            "--quiet",
            "/bundle/plan.bundle",
            ON_VOLUME,
        ];
        let bundle = json!({ "configMap": { "name": "plan" } });
        self.pod(
            environment,
            "fill",
            &clone,
            Some(("bundle", bundle, "/bundle")),
        )
        .await?;
        Ok("created a bare repository on a volume".to_owned())
    }

    /// Returns the commit of a branch.
    pub(super) async fn commit_of(
        &self,
        environment: &Environment,
        branch: &str,
    ) -> Result<String, String> {
        let full = format!("refs/heads/{branch}");
        if let Some(git) = &self.named {
            let found = self.git(self.directory.path(), &["ls-remote", &git.url, &full])?;
            return Ok(found.split_whitespace().next().unwrap_or_default().into());
        }
        let name = format!("look-{}", naming::slug(branch, 40));
        let words = ["git", "--git-dir", ON_VOLUME, "rev-parse", &full];
        self.pod(environment, &name, &words, None).await
    }

    async fn pod(
        &self,
        environment: &Environment,
        name: &str,
        command: &[&str],
        more: Option<(&str, Value, &str)>,
    ) -> Result<String, String> {
        let claim = json!({ "persistentVolumeClaim": { "claimName": CLAIM } });
        let mut volumes = vec![("repositories", claim, MOUNT)];
        volumes.extend(more);
        let pod = helper::pod(name, &environment.options.image, command, &volumes);
        Ok(helper::run(&environment.api(), pod).await?.0)
    }

    /// Removes the branches of this execution from a configured repository.
    pub(super) fn empty(&self) -> Result<(), String> {
        let Some(git) = &self.named else {
            return Ok(());
        };
        let below = format!("refs/heads/{}/*", self.prefix);
        let found = self.git(self.directory.path(), &["ls-remote", &git.url, &below])?;
        let branches: Vec<&str> = found
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        if branches.is_empty() {
            return Ok(());
        }
        let project = self.directory.path().join("project/taskboard");
        let mut words = vec!["push", "--quiet", &git.url, "--delete"];
        words.extend(branches);
        self.git(&project, &words).map(drop)
    }

    /// Runs git isolated from its configuration; the token is not in an argument.
    fn git(&self, directory: &Path, words: &[&str]) -> Result<String, String> {
        let mut git = Command::new("git");
        git.current_dir(directory)
            .args(words)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0");
        if let Some((user, token)) = self.credential() {
            let basic = BASE64_STANDARD.encode(format!("{user}:{token}"));
            git.env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "http.extraHeader")
                .env(
                    "GIT_CONFIG_VALUE_0",
                    format!("Authorization: Basic {basic}"),
                );
        }
        let output = git.output().map_err(|error| format!("git: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("git {}: {}", words[0], said.trim()))
    }
}
