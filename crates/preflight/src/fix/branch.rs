//! Chooses the branch to switch to.

use super::FixError;
use flightdeck_core::runs::naming;
use flightdeck_host::repository::{Facts, error_summary, git::Git};

/// Prefix of new branches for a plan.
const PREFIX: &str = "flightdeck/plan-";

/// Target of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The only local branch at the commit of a detached HEAD.
    Existing(String),
    /// A branch that does not exist yet, here or on the remote.
    New(String),
}

/// Chooses the target.
pub(super) async fn target(repository: &Facts) -> Result<Target, FixError> {
    let Some(commit) = repository.commit() else {
        return Err(FixError::Unavailable(
            "there is no commit to create a branch from".into(),
        ));
    };
    if repository.branch().is_none() {
        let at = format!("--points-at={commit}");
        if let [branch] = names(repository, &[&at, "refs/heads"]).await?.as_slice() {
            return Ok(Target::Existing(branch.clone()));
        }
    }
    let mut taken = names(repository, &["refs/heads/flightdeck"]).await?;
    if let Some(remote) = &repository.remote {
        let prefix = format!("refs/remotes/{}/flightdeck", remote.name);
        let there = names(repository, &[&prefix]).await?;
        let start = format!("{}/", remote.name);
        taken.extend(
            there
                .iter()
                .filter_map(|name| name.strip_prefix(&start).map(str::to_owned)),
        );
    }
    Ok(Target::New(free(&wanted(repository), &taken)))
}

/// Returns the short names of matching refs.
async fn names(repository: &Facts, of: &[&str]) -> Result<Vec<String>, FixError> {
    let listed = Git::new(&repository.root)
        .args(["for-each-ref", "--format=%(refname:lstrip=2)"])
        .args(of)
        .run()
        .await
        .map_err(|error| FixError::Failed(error_summary(&error)))?;
    Ok(listed.text().lines().map(str::to_owned).collect())
}

/// Returns the preferred name, like `flightdeck/plan-shop` for the directory `shop`.
fn wanted(repository: &Facts) -> String {
    let folder = repository.project.file_name().unwrap_or_default();
    match naming::slug(&folder.to_string_lossy(), 40).as_str() {
        "" => format!("{PREFIX}1"),
        name => format!("{PREFIX}{name}"),
    }
}

/// Returns the name, or the first free one of `name-2`, `name-3`, ...
fn free(name: &str, taken: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(is_free)
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_taken_names() {
        let taken = [
            "flightdeck/plan-shop".to_owned(),
            "flightdeck/plan-shop-2".to_owned(),
        ];
        assert_eq!(
            free("flightdeck/plan-shop", &taken),
            "flightdeck/plan-shop-3"
        );
        assert_eq!(free("flightdeck/plan-api", &taken), "flightdeck/plan-api");
    }
}
