//! Commits what the agent wrote but did not commit.
//!
//! Of a docs run only its own documents: a stray file of the agent's must not spoil the run. Of a code run everything but
//! the plan, which a run never changes. What else is staged stays where it is. A repository within the checkout that has no
//! commit yet is nothing that git could commit: it is remembered, and publish says so.

use std::path::Path;

use crate::stages::{
    error::StageError,
    place::{Place, read_json, write_json},
    remote::local,
    say,
};
use flightdeck_host::repository::git::Git;

/// Everything of a code run that may be committed, as git pathspecs.
const CODE: [&str; 2] = [":/", ":(exclude,top,glob)**/.taskmaster/tasks/tasks.json"];

/// Repositories that could not be committed, in the run's folder.
const LEFT_OUT: &str = "left-out.json";
/// Most of them that are named.
const NAMED: usize = 20;

/// What [`commit`] had to leave out. The file lies where an agent can write: it can only speak against its own work.
pub fn left_out(place: &Place) -> Vec<String> {
    let file = place.run_directory().map(|own| own.join(LEFT_OUT));
    let mut paths: Vec<String> = file.and_then(|file| read_json(&file)).unwrap_or_default();
    paths.truncate(NAMED);
    paths
}

/// Repositories among what git does not know, within the checkout.
async fn repositories(git: Git, checkout: &Path) -> Result<Vec<String>, StageError> {
    let others = ["ls-files", "--others", "--exclude-standard", "-z"];
    let listed = git.args(others).run().await?;
    let paths = listed.stdout.split(|byte| *byte == 0);
    let paths = paths.filter_map(|path| std::str::from_utf8(path).ok()?.strip_suffix('/'));
    let paths = paths.filter(|path| checkout.join(path).join(".git").exists());
    Ok(paths.take(NAMED).map(str::to_owned).collect())
}

pub async fn commit(place: &Place) -> Result<(), StageError> {
    let manifest = &place.manifest;
    let checkout = place.checkout()?;
    let own = local(&checkout);
    let documents_only = manifest.kind.writes_documents();
    let (git, paths): (Git, Vec<String>) = if documents_only {
        let there = manifest
            .expected_documents()
            .into_iter()
            .filter(|path| checkout.join(path).is_file());
        (own.env("GIT_LITERAL_PATHSPECS", "1"), there.collect())
    } else {
        (own, CODE.map(String::from).to_vec())
    };
    if paths.is_empty() {
        return Ok(());
    }
    let on_paths = |words: &[&str]| git.clone().args(words).arg("--").args(&paths);
    let add: &[&str] = if documents_only {
        // The repository may ignore its documents; the run is there to write them.
        &["add", "--force"]
    } else {
        // What cannot be added keeps nothing else from being so.
        &["add", "--all", "--ignore-errors"]
    };
    let added = on_paths(add).run().await;
    if !documents_only {
        let left_out = repositories(local(&checkout), &checkout).await?;
        write_json(&place.run_directory()?.join(LEFT_OUT), &left_out)?;
        for path in &left_out {
            say(format!(
                "{path} is a git repository without a commit: nothing in it is part of the work."
            ));
        }
        if left_out.is_empty() {
            added?;
        }
    } else {
        added?;
    }
    if on_paths(&["diff", "--cached", "--quiet", "--no-ext-diff"])
        .run()
        .await
        .is_ok()
    {
        return Ok(());
    }
    let message = format!("Work of {} that its agent left uncommitted", manifest.run);
    on_paths(&["commit", "--quiet", "--no-verify", "--only", "-m", &message])
        .run()
        .await?;
    say("Committed what the agent had left uncommitted.");
    Ok(())
}
