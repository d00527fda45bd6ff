//! The plan and documents of a code run from a separate docs repository.
//!
//! `prep clone` extracts them, and `prep setup` adds them to the checkout untracked: they are read, never published.

use std::{io, path::Path};

use super::{
    checkout,
    environment::{read_json, write_json},
    error::StageError,
    fetch, log,
    remote::{self, Remote, local},
};
use flightdeck_core::{
    files::read_bounded,
    runs::{DocsSource, RunManifest, documents, naming},
    text,
};
use flightdeck_host::repository::git::OUTPUT_LIMIT;

/// The bare docs repository, in the handover.
const REPOSITORY: &str = "docs.git";
/// The extracted files, in the handover, by their paths in the project directory.
const FILES: &str = "docs";
/// The list of those paths, in the handover.
const LIST: &str = "docs.json";
/// The fetched branch of the docs repository.
const BRANCH: &str = "refs/heads/docs";

/// The fetched docs repository.
pub(crate) struct Fetched {
    pub remote: Remote,
    pub repository: std::path::PathBuf,
    pub commit: String,
}

/// Fetches the docs repository of a code run.
pub(crate) async fn fetch(
    docs: &DocsSource,
    manifest: &RunManifest,
    handover: &Path,
) -> Result<Fetched, StageError> {
    let remote = Remote::at(
        &docs.repository_url,
        docs.known_host,
        remote::token(manifest),
    )?;
    let repository = handover.join(REPOSITORY);
    fetch::init(&repository).await?;
    let branch = docs.branch.as_deref();
    let source = branch.map_or_else(
        || "HEAD".to_owned(),
        |branch| format!("refs/heads/{branch}"),
    );
    let named = branch.map_or_else(String::new, |branch| format!(" branch {branch}"));
    log(format!(
        "Cloning the documents from {}{named}.",
        remote.display_url()
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

/// Extracts the plan (path and content) and the documents of the run's tasks into the handover.
pub(crate) async fn extract(
    fetched: &Fetched,
    manifest: &RunManifest,
    plan: (&str, &[u8]),
    handover: &Path,
) -> Result<(), StageError> {
    let prefix = naming::directory_prefix(manifest.plan_directory());
    let files = handover.join(FILES);
    let mut extracted = Vec::new();
    let mut write = |path: &str, content: &[u8]| {
        let path = path.strip_prefix(&prefix).unwrap_or(path).to_owned();
        checkout::write_file(&files.join(&path), content)?;
        extracted.push(path);
        Ok::<(), StageError>(())
    };
    write(plan.0, plan.1)?;
    for path in documents(manifest.plan_directory(), &manifest.tag, &manifest.task_ids) {
        let named = local(&fetched.repository)
            .args(["cat-file", "blob", &format!("{}:{path}", fetched.commit)])
            .run()
            .await;
        if let Ok(blob) = named {
            write(&path, &blob.stdout)?;
        }
    }
    log(format!(
        "Extracted the plan and {} from commit {} of {}.",
        text::count(extracted.len() - 1, "document"),
        fetched.commit,
        fetched.remote.display_url()
    ));
    write_json(&handover.join(LIST), &extracted)
}

/// Adds the extracted files to the project, untracked. Does not replace the repository's own files.
pub(crate) async fn add_to_checkout(
    handover: &Path,
    checkout: &Path,
    prefix: &str,
) -> Result<(), StageError> {
    let list = handover.join(LIST);
    if !list.is_file() {
        return Ok(());
    }
    let paths: Vec<String> = read_json(&list)?;
    for path in paths {
        let source = handover.join(FILES).join(&path);
        // The limit of the git output that `extract` wrote.
        let content = read_bounded(&source, OUTPUT_LIMIT as u64)
            .map_err(io::Error::from)
            .map_err(StageError::file("read", source))?;
        let target = format!("{prefix}{path}");
        if checkout::add_untracked(checkout, &target, &content).await? {
            log(format!("Added {target} (not committed)."));
        } else {
            log(format!(
                "Kept the repository's own {target}; the docs repository's version is not added."
            ));
        }
    }
    Ok(())
}
