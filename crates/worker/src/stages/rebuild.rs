//! Builds the commit that publishes the documents of a docs run without what else its agent changed.

use super::{
    branch,
    error::StageError,
    log, policy,
    push::Work,
    remote::{Remote, RemoteError, local},
    setup::{AGENT_NAME, agent_email},
};
use std::path::Path;

use flightdeck_core::runs::{RunManifest, reason};

/// The branch that earlier attempts pushed to.
const PUSHED: &str = "refs/flightdeck/pushed";
/// Mode of a regular file in git.
const FILE: &str = "100644";

/// Commits the documents of `work` and the accepted paths on top of what earlier attempts pushed. Returns the commit.
pub(crate) async fn documents_commit(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    work: &Work,
) -> Result<String, StageError> {
    let parent = parent(manifest, remote, repository, work).await?;
    let own = manifest.expected_documents();
    let accepted = work.changes.net.iter().map(|change| &change.path);
    let accepted = accepted.filter(|path| policy::is_accepted(manifest, path));
    let paths: Vec<&String> = own.iter().chain(accepted).collect();
    let listing = local(repository)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-tree", "-r", "-z", "--full-tree", &work.head, "--"])
        .args(&paths)
        .run()
        .await?
        .stdout;
    let index = repository.join("publish-index");
    let git = || local(repository);
    let with_index = |words: &[&str]| git().index_file(&index).args(words);
    with_index(&["read-tree", &parent]).run().await?;
    with_index(&["update-index", "-z", "--index-info"])
        .input(index_info(&paths, &own, &listing, parent.len()))
        .run()
        .await?;
    let tree = with_index(&["write-tree"]).run().await?.text();
    let unchanged = git()
        .args(["rev-parse", &format!("{parent}^{{tree}}")])
        .run()
        .await?
        .text();
    if tree == unchanged {
        return Ok(parent);
    }
    let message = format!("Write the documents of {}\n", tasks(&manifest.task_ids));
    let commit = git()
        .config("user.name", AGENT_NAME)
        .config("user.email", &agent_email(&manifest.run))
        .args(["commit-tree", &tree, "-p", &parent, "-F", "-"])
        .input(message)
        .run()
        .await?
        .text();
    log(format!("Created commit {commit} with the documents alone."));
    Ok(commit)
}

/// Returns the commit to continue: what earlier attempts pushed, or the commit that the work is based on.
async fn parent(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    work: &Work,
) -> Result<String, StageError> {
    let failed = |error: RemoteError| error.ended(reason::PUSH_FAILED);
    let Some(branch) = manifest
        .pushed_branch
        .as_ref()
        .filter(|_| manifest.continues())
    else {
        return Ok(work.base.clone());
    };
    let tip = branch::fetch_tip(remote, repository, branch, PUSHED).await;
    Ok(tip.map_err(failed)?.unwrap_or_else(|| work.base.clone()))
}

/// Returns the input of `update-index -z --index-info`: the entries of `listing` (of `ls-tree -r -z`), and the removal of the
/// paths that it does not have. Documents become regular files. An id has `id_length` digits.
fn index_info(paths: &[&String], own: &[String], listing: &[u8], id_length: usize) -> Vec<u8> {
    let mut input = Vec::new();
    let mut present = std::collections::HashSet::new();
    for entry in listing.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        let Some((description, path)) = entry.split_once('\t') else {
            continue;
        };
        let mut words = description.split(' ');
        let (Some(mode), Some(id)) = (words.next(), words.nth(1)) else {
            continue;
        };
        let mode = if own.iter().any(|document| document == path) {
            FILE
        } else {
            mode
        };
        present.insert(path.to_owned());
        input.extend_from_slice(format!("{mode} {id}\t{path}\0").as_bytes());
    }
    for path in paths.iter().filter(|path| !present.contains(path.as_str())) {
        input.extend_from_slice(format!("0 {}\t{path}\0", "0".repeat(id_length)).as_bytes());
    }
    input
}

fn tasks(ids: &[String]) -> String {
    let noun = if ids.len() == 1 { "task" } else { "tasks" };
    let named = ids.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(10) {
        0 => format!("{noun} {named}"),
        more => format!("{noun} {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_documents_as_files_and_removes_absent_ones() {
        let own = vec!["docs/a.md".to_owned(), "docs/b.md".to_owned()];
        let listing = b"100755 blob 1111\tdocs/a.md\x00100755 blob 2222\tx.sh\0";
        let x = "x.sh".to_owned();
        let paths = [&own[0], &own[1], &x];
        let input = String::from_utf8(index_info(&paths, &own, listing, 4)).unwrap();
        let lines: Vec<&str> = input.split_terminator('\0').collect();
        assert_eq!(
            lines,
            [
                "100644 1111\tdocs/a.md",
                "100755 2222\tx.sh",
                "0 0000\tdocs/b.md"
            ]
        );
    }
}
