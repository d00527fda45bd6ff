//! Commits what the agent wrote but did not commit.
//!
//! A docs run commits only its own documents, so that a stray file does not fail the run. A code run commits everything
//! but the plan, which a run never changes. Other staged changes stay staged. git cannot add a nested repository without
//! commits: its path is recorded, and publish reports it.

use std::path::Path;

use crate::stages::{
    environment::{StageEnv, read_json, write_json},
    error::StageError,
    log,
    remote::local,
};
use flightdeck_core::runs::RunManifest;
use flightdeck_host::repository::git::Git;

/// Pathspecs of everything a code run may commit.
const CODE: [&str; 2] = [":/", ":(exclude,top,glob)**/.taskmaster/tasks/tasks.json"];

/// Nested repositories that could not be committed, in the run's folder.
const LEFT_OUT: &str = "left-out.json";
/// Maximum number of recorded paths.
const NAMED: usize = 20;

/// Returns the paths that [`commit`] skipped. The agent can write the file, but an entry only ever blocks its own work.
pub(crate) fn left_out(stage: &StageEnv) -> Vec<String> {
    let file = stage.run_directory().map(|own| own.join(LEFT_OUT));
    let mut paths: Vec<String> = file.and_then(|file| read_json(&file)).unwrap_or_default();
    paths.truncate(NAMED);
    paths
}

/// Returns the untracked nested repositories of the checkout.
async fn repositories(git: Git, checkout: &Path) -> Result<Vec<String>, StageError> {
    let others = ["ls-files", "--others", "--exclude-standard", "-z"];
    let listed = git.args(others).run().await?;
    let paths = listed.stdout.split(|byte| *byte == 0);
    let paths = paths.filter_map(|path| std::str::from_utf8(path).ok()?.strip_suffix('/'));
    let paths = paths.filter(|path| checkout.join(path).join(".git").exists());
    Ok(paths.take(NAMED).map(str::to_owned).collect())
}

/// What of a checkout is committed.
pub(crate) struct Pathspecs {
    pub paths: Vec<String>,
    /// Whether the paths are literal, not patterns.
    pub literal: bool,
    /// Subcommand and options that stage them.
    pub add: &'static [&'static str],
}

/// Returns what the run may commit of its checkout.
pub(crate) fn pathspecs(stage: &StageEnv) -> Result<Pathspecs, StageError> {
    let checkout = stage.checkout()?;
    if !stage.manifest.kind.writes_documents() {
        return Ok(Pathspecs {
            paths: CODE.map(String::from).to_vec(),
            literal: false,
            // One path that cannot be added does not stop the rest.
            add: &["add", "--all", "--ignore-errors"],
        });
    }
    let there = stage.manifest.expected_documents();
    Ok(Pathspecs {
        paths: there
            .into_iter()
            .filter(|path| checkout.join(path).is_file())
            .collect(),
        literal: true,
        // Force: the repository may ignore its documents folder.
        add: &["add", "--force"],
    })
}

/// Returns the message of the commit.
pub(crate) fn message(manifest: &RunManifest) -> String {
    format!("Uncommitted work of the agent of {}", manifest.run)
}

pub(crate) async fn commit(stage: &StageEnv) -> Result<(), StageError> {
    let manifest = &stage.manifest;
    let checkout = stage.checkout()?;
    let Pathspecs {
        paths,
        literal,
        add,
    } = pathspecs(stage)?;
    if paths.is_empty() {
        return Ok(());
    }
    let git = if literal {
        local(&checkout).env("GIT_LITERAL_PATHSPECS", "1")
    } else {
        local(&checkout)
    };
    let on_paths = |words: &[&str]| git.clone().args(words).arg("--").args(&paths);
    let added = on_paths(add).run().await;
    if literal {
        added?;
    } else {
        let left_out = repositories(local(&checkout), &checkout).await?;
        write_json(&stage.run_directory()?.join(LEFT_OUT), &left_out)?;
        for path in &left_out {
            log(format!(
                "Skipped {path}: it is a git repository without commits, so its files cannot be committed."
            ));
        }
        if left_out.is_empty() {
            added?;
        }
    }
    if on_paths(&["diff", "--cached", "--quiet", "--no-ext-diff"])
        .run()
        .await
        .is_ok()
    {
        return Ok(());
    }
    let message = message(manifest);
    on_paths(&["commit", "--quiet", "--no-verify", "--only", "-m", &message])
        .run()
        .await?;
    log("Committed the agent's uncommitted changes.");
    Ok(())
}
