//! The plan and the documents of a code run, when a repository of their own holds them.
//!
//! `prep clone` takes them out of it, `prep lay` puts them beside the agent's commit: they are read, never published.

use std::{io, path::Path};

use super::{
    checkout,
    error::StageError,
    fetch,
    place::{read_json, write_json},
    remote::{self, Remote, local},
    say,
};
use flightdeck_core::{
    files::read_bounded,
    runs::{DocsSource, RunManifest, documents, naming},
    text,
};
use flightdeck_host::repository::git::OUTPUT_LIMIT;

/// The repository, in the handover.
const REPOSITORY: &str = "docs.git";
/// The files, in the handover, by their paths from the project's directory.
const FILES: &str = "docs";
/// The list of those paths, in the handover.
const LIST: &str = "docs.json";
/// The branch in it.
const BRANCH: &str = "refs/heads/docs";

/// The docs repository after it was fetched.
pub struct Fetched {
    pub remote: Remote,
    pub repository: std::path::PathBuf,
    pub commit: String,
}

/// Fetches the docs repository.
pub async fn fetch(
    docs: &DocsSource,
    manifest: &RunManifest,
    handover: &Path,
) -> Result<Fetched, StageError> {
    let remote = Remote::at(&docs.repository_url, docs.known_host, remote::token())?;
    let repository = handover.join(REPOSITORY);
    fetch::init(&repository).await?;
    let branch = docs.branch.as_deref();
    let source = branch.map_or_else(
        || "HEAD".to_owned(),
        |branch| format!("refs/heads/{branch}"),
    );
    let named = branch.map_or_else(String::new, |branch| format!(" branch {branch}"));
    say(format!(
        "Cloning the documents from {}{named}.",
        remote.shown()
    ));
    let refspec = format!("+{source}:{BRANCH}");
    fetch::branch(&remote, &repository, &refspec, manifest.layout.depth)
        .await
        .map_err(|error| error.ended(flightdeck_core::runs::reason::CLONE_FAILED))?;
    let commit = local(&repository)
        .args(["rev-parse", "--verify", &format!("{BRANCH}^{{commit}}")])
        .run()
        .await?
        .text();
    Ok(Fetched {
        remote,
        repository,
        commit,
    })
}

/// Takes the plan (its path and content) and the documents of the run's tasks out of what was fetched.
pub async fn take(
    fetched: &Fetched,
    manifest: &RunManifest,
    plan: (&str, &[u8]),
    handover: &Path,
) -> Result<(), StageError> {
    let prefix = naming::directory_prefix(manifest.plan_directory());
    let files = handover.join(FILES);
    let mut taken = Vec::new();
    let mut keep = |path: &str, content: &[u8]| {
        let path = path.strip_prefix(&prefix).unwrap_or(path).to_owned();
        checkout::write_file(&files.join(&path), content)?;
        taken.push(path);
        Ok::<(), StageError>(())
    };
    keep(plan.0, plan.1)?;
    for path in documents(manifest.plan_directory(), &manifest.tag, &manifest.task_ids) {
        let named = local(&fetched.repository)
            .args(["cat-file", "blob", &format!("{}:{path}", fetched.commit)])
            .run()
            .await;
        if let Ok(blob) = named {
            keep(&path, &blob.stdout)?;
        }
    }
    say(format!(
        "Took the plan and {} from commit {} of {}.",
        text::count(taken.len() - 1, "document"),
        fetched.commit,
        fetched.remote.shown()
    ));
    write_json(&handover.join(LIST), &taken)
}

/// Puts what was taken into the project, outside the commit. What the repository itself has at the same place stays.
pub async fn lay(handover: &Path, checkout: &Path, prefix: &str) -> Result<(), StageError> {
    let list = handover.join(LIST);
    if !list.is_file() {
        return Ok(());
    }
    let paths: Vec<String> = read_json(&list)?;
    for path in paths {
        let source = handover.join(FILES).join(&path);
        // As large as what `take` had from git.
        let content = read_bounded(&source, OUTPUT_LIMIT as u64)
            .map_err(io::Error::from)
            .map_err(StageError::file("read", source))?;
        let place = format!("{prefix}{path}");
        if checkout::lay_beside(checkout, &place, &content).await? {
            say(format!("Laid {place} outside the commit."));
        } else {
            say(format!(
                "The repository has its own {place}: the one of the docs repository is not laid."
            ));
        }
    }
    Ok(())
}
