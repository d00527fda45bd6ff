//! `repo`: the directory is in a git work tree.

use super::{Check, Facts, Verdict};

pub(super) struct Repo;

impl Check for Repo {
    fn id(&self) -> &'static str {
        "repo"
    }

    fn title(&self) -> &'static str {
        "Repository"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        Some(match &facts.repository {
            Ok(repository) => {
                let directory = match repository.working_directory.as_str() {
                    "." => String::new(),
                    directory => format!(", project in {directory}"),
                };
                Verdict::pass(format!("{}{directory}", repository.root.display()))
            }
            Err(error) => Verdict::fail(error.to_string()).because(
                "Runs clone a git repository. Start Flightdeck inside one, or pass --repo.",
            ),
        })
    }
}
