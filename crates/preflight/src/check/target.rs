//! `target`: a branch at the remote that keeps the run's branch from being created. Reports nothing if there is none.

use super::{Check, Facts, Verdict};
use flightdeck_core::runs::naming;

pub(super) struct Target;

impl Check for Target {
    fn id(&self) -> &'static str {
        "target"
    }

    fn title(&self) -> &'static str {
        "target branch"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let Some(Ok(answer)) = &facts.remote else {
            return None;
        };
        let remote = facts.repository()?.remote.as_ref()?;
        let folder = match &facts.target_branch {
            Some(branch) => branch.split_once('/')?.0,
            None => naming::branch_folder(facts.kind),
        };
        if !answer.taken_folders.iter().any(|taken| taken == folder) {
            return None;
        }
        Some(
            Verdict::fail(format!("{} has a branch {folder}", remote.name)).because(format!(
                "Git cannot store a branch {folder} beside {folder}/NAME, which the run would push to. Choose another branch with --target-branch, or rename {folder}."
            )),
        )
    }
}
