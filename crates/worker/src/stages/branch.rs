//! The run's branches at the remote: what they contain, and which one the work is pushed to.
//!
//! A push creates or fast-forwards a branch. It never replaces commits.

use std::{collections::BTreeMap, path::Path};

use super::{
    error::StageError,
    fetch,
    remote::{Remote, RemoteError, local},
    setup::agent_email,
};
use flightdeck_core::runs::{RunManifest, reason};

/// The current source branch of the remote.
pub(crate) const SOURCE: &str = "refs/flightdeck/source";
/// A current branch of the run at the remote.
const TARGET: &str = "refs/flightdeck/target";
/// Number of alternative branch names tried per attempt.
const ALTERNATIVES: usize = 9;

/// The branch to push to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub branch: String,
    /// The tip the branch must still have; empty if it must not exist. `None` if it already contains the work.
    pub expected: Option<String>,
    /// Why the branch is not the target branch.
    pub note: Option<String>,
}

/// Chooses the branch for `head`: the target branch, or an alternative if a push there would replace commits.
///
/// # Errors
/// If the target branch has only commits of others, every alternative is taken, or the remote fails.
pub(crate) async fn destination(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    head: &str,
) -> Result<Destination, StageError> {
    let failed = |error: RemoteError| error.ended(reason::PUSH_FAILED);
    let target = &manifest.target_branch;
    let tips = tips(manifest, remote, repository).await.map_err(failed)?;
    let goes_to = |branch: &str, expected: Option<&str>, note: Option<String>| Destination {
        branch: branch.to_owned(),
        expected: expected.map(str::to_owned),
        note,
    };
    match tips.get(target) {
        None => return Ok(goes_to(target, Some(""), None)),
        Some(tip) if tip == head => return Ok(goes_to(target, None, None)),
        Some(_) => {}
    }
    let there = Contents::fetch(manifest, remote, repository, target, Some(head)).await?;
    if there.contained {
        return Ok(goes_to(target, Some(&there.tip), None));
    }
    if there.foreign() {
        return Err(refused(manifest, remote, &there.tip));
    }
    let why = if there.own {
        "the commits of an earlier attempt"
    } else {
        "commits that this attempt does not contain"
    };
    let note = |branch: &str| Some(format!("{target} holds {why}; pushed to {branch}"));
    if let Some((branch, _)) = tips.iter().find(|(_, tip)| *tip == head) {
        return Ok(goes_to(branch, None, note(branch)));
    }
    for branch in alternatives(manifest) {
        if !tips.contains_key(&branch) {
            return Ok(goes_to(&branch, Some(""), note(&branch)));
        }
        let there = Contents::fetch(manifest, remote, repository, &branch, Some(head)).await?;
        // An unrelated branch with this name may be an ancestor too; leave it alone.
        if there.contained && there.own {
            return Ok(goes_to(&branch, Some(&there.tip), note(&branch)));
        }
    }
    let version = manifest.context_version;
    Err(StageError::ended(
        reason::PUSH_FAILED,
        format!(
            "{} already has {target} and {ALTERNATIVES} alternatives ({target}-v{version}, ...) with other commits; delete the ones you do not need and retry",
            remote.display_url()
        ),
    ))
}

/// Rejects a target branch with the work of others before the agent costs anything. `commit` is the tip of the source branch.
///
/// # Errors
/// If the branch has such work, or the remote fails.
pub(crate) async fn check_target(
    manifest: &RunManifest,
    remote: &Remote,
    handover: &Path,
    commit: &str,
) -> Result<(), StageError> {
    let failed = |error: RemoteError| error.ended(reason::CLONE_FAILED);
    let target = &manifest.target_branch;
    let tips = tips(manifest, remote, handover).await.map_err(failed)?;
    if tips.get(target).is_none_or(|tip| tip == commit) {
        return Ok(());
    }
    let own = tempfile::tempdir_in(handover).map_err(StageError::file("write to", handover))?;
    // A branch pushed by an earlier attempt usually ends with its agent's commit: depth 1 is enough to see that.
    let newest = own.path().join("newest.git");
    fetch::init(&newest).await?;
    let refspec = format!("+refs/heads/{target}:{TARGET}");
    fetch::branch(remote, &newest, &refspec, 1)
        .await
        .map_err(failed)?;
    let committer = local(&newest)
        .args(["log", "-1", "--format=%ce", TARGET, "--"])
        .run()
        .await?
        .text();
    if committer == agent_email(&manifest.run) {
        return Ok(());
    }
    let full = own.path().join("full.git");
    fetch::init(&full).await?;
    let source = format!("+refs/heads/{}:{SOURCE}", manifest.source_branch);
    fetch::branch(remote, &full, &source, 0)
        .await
        .map_err(failed)?;
    let there = Contents::fetch(manifest, remote, &full, target, None).await?;
    if there.foreign() {
        return Err(refused(manifest, remote, &there.tip));
    }
    Ok(())
}

/// Fetches `branch` with its history into `name`. Returns its tip, or `None` if the remote has no such branch.
pub(crate) async fn fetch_tip(
    remote: &Remote,
    repository: &Path,
    branch: &str,
    name: &str,
) -> Result<Option<String>, RemoteError> {
    let full = format!("refs/heads/{branch}");
    let listed = remote
        .run_git(repository, |git| {
            git.args(["ls-remote", "--quiet", "--heads", "--", &remote.url])
                .arg(&full)
        })
        .await?
        .text();
    let tip = listed
        .lines()
        .find_map(|line| line.strip_suffix(&full)?.split_whitespace().next());
    let Some(tip) = tip else {
        return Ok(None);
    };
    fetch::branch(remote, repository, &format!("+{full}:{name}"), 0).await?;
    Ok(Some(tip.to_owned()))
}

fn refused(manifest: &RunManifest, remote: &Remote, tip: &str) -> StageError {
    StageError::ended(
        reason::PUSH_FAILED,
        format!(
            "{} already has a branch {} at {tip} with commits of someone else; choose another target branch or delete it",
            remote.display_url(),
            manifest.target_branch
        ),
    )
}

/// Returns the tips of the target branch and of the alternatives of every attempt that exist at the remote. Excludes the
/// source branch, which a run never pushes to.
async fn tips(
    manifest: &RunManifest,
    remote: &Remote,
    directory: &Path,
) -> Result<BTreeMap<String, String>, RemoteError> {
    let target = &manifest.target_branch;
    // Branch names contain no pattern characters.
    let patterns =
        [target.clone(), format!("{target}-v*")].map(|name| format!("refs/heads/{name}"));
    let listed = remote
        .run_git(directory, |git| {
            git.args(["ls-remote", "--quiet", "--heads", "--", &remote.url])
                .args(&patterns)
        })
        .await?;
    // `<id>\t<name>`; a pattern also matches the end of a longer name.
    let text = listed.text();
    let named = text.lines().filter_map(|line| {
        let (id, name) = line.split_once('\t')?;
        let branch = name.strip_prefix("refs/heads/")?;
        let known = branch == target || is_alternative(target, branch);
        (known && branch != manifest.source_branch).then(|| (branch.to_owned(), id.to_owned()))
    });
    Ok(named.collect())
}

/// Returns the alternative names for this attempt's branch, in the order they are tried.
fn alternatives(manifest: &RunManifest) -> impl Iterator<Item = String> {
    let first = format!("{}-v{}", manifest.target_branch, manifest.context_version);
    let source = manifest.source_branch.clone();
    (1..=ALTERNATIVES)
        .map(move |number| match number {
            1 => first.clone(),
            number => format!("{first}-{number}"),
        })
        .filter(move |branch| *branch != source)
}

/// Returns whether `branch` is a name that [`alternatives`] generates for some attempt.
fn is_alternative(target: &str, branch: &str) -> bool {
    let numbers = branch
        .strip_prefix(target)
        .and_then(|rest| rest.strip_prefix("-v"));
    numbers.is_some_and(|numbers| {
        let parts: Vec<&str> = numbers.split('-').collect();
        let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        parts.len() <= 2 && parts.iter().all(number)
    })
}

/// What a branch at the remote contains.
struct Contents {
    tip: String,
    /// All of it is part of the work, so a push is a fast-forward.
    contained: bool,
    /// It has commits that are not in the source branch.
    beyond: bool,
    /// Some of those are this run's.
    own: bool,
}

impl Contents {
    /// Fetches `branch` into `repository`, which has [`SOURCE`], and compares it with `head`.
    async fn fetch(
        manifest: &RunManifest,
        remote: &Remote,
        repository: &Path,
        branch: &str,
        head: Option<&str>,
    ) -> Result<Self, StageError> {
        let refspec = format!("+refs/heads/{branch}:{TARGET}");
        fetch::branch(remote, repository, &refspec, 0)
            .await
            .map_err(|error| error.ended(reason::PUSH_FAILED))?;
        let tip = local(repository)
            .args(["rev-parse", "--verify", &format!("{TARGET}^{{commit}}")])
            .run()
            .await?
            .text();
        let contained = match head {
            None => false,
            Some(head) => local(repository)
                .args(["merge-base", "--is-ancestor", &tip, head])
                .run()
                .await
                .is_ok(),
        };
        let committers = local(repository)
            .args(["log", "--format=%ce", &tip, "--not", SOURCE, "--"])
            .run()
            .await?
            .text();
        let email = agent_email(&manifest.run);
        Ok(Self {
            contained,
            beyond: !committers.is_empty(),
            own: committers.lines().any(|committer| committer == email),
            tip,
        })
    }

    /// Returns whether all its commits are someone else's.
    const fn foreign(&self) -> bool {
        self.beyond && !self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::policy::tests::manifest;

    #[test]
    fn alternatives_are_recognized_and_exclude_the_source() {
        let manifest = RunManifest {
            target_branch: "docs/x".into(),
            source_branch: "docs/x-v2".into(),
            context_version: 2,
            ..manifest()
        };
        let names: Vec<String> = alternatives(&manifest).collect();
        assert_eq!(names[..2], ["docs/x-v2-2", "docs/x-v2-3"]);
        assert_eq!(names.len(), ALTERNATIVES - 1);
        for (branch, expected) in [
            ("docs/x-v2", true),
            ("docs/x-v12-9", true),
            ("docs/x", false),
            ("docs/x-v", false),
            ("docs/x-v2-", false),
            ("docs/x-v2-2-2", false),
            ("docs/x-v2b", false),
            ("docs/y-v2", false),
        ] {
            assert_eq!(is_alternative("docs/x", branch), expected, "{branch}");
        }
    }
}
