//! `runs publish`: publishes the work of the last attempt again, without the agent, including paths that a person accepts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Render, Verb, VerbError, View, retry::next_version};
use flightdeck_core::runs::{Run, Stage};

/// Publishes the kept work of a run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Publish {
    /// Name of the run.
    pub name: String,
    /// Include this path although it is outside the task, or everything below it; repeat for several.
    #[arg(long = "accept", value_name = "PATH")]
    #[serde(default)]
    pub accept: Vec<String>,
}

/// A requested publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publishing {
    pub name: String,
    pub context_version: i32,
    pub accepted_paths: Vec<String>,
}

impl Verb for Publish {
    const NAME: &'static str = "runs publish";
    const ABOUT: &'static str = "Publish the kept work of a run again, without the agent";
    type Output = Publishing;

    async fn run(self, context: &Context) -> Result<Publishing, VerbError> {
        let publish = |run: &Run, _: &Value| {
            let version = next_version(run)?;
            let agent = |stage: &str| stage == Stage::Agent.as_str();
            if !run.status.attempts.iter().any(|done| agent(&done.stage)) {
                let sentence = format!(
                    "the agent of run {} never ran: nothing to publish",
                    run.name()
                );
                return Err(VerbError::Conflict(sentence));
            }
            Ok(json!({
                "contextVersion": version,
                "publishVersion": version,
                "continueSession": true,
                "acceptedPaths": accepted(run, &self.accept),
            }))
        };
        let cluster = context.cluster().await?;
        let run = cluster
            .change_spec(&self.name, "publishing", publish)
            .await?;
        Ok(Publishing {
            context_version: run.spec.context_version + 1,
            accepted_paths: accepted(&run, &self.accept),
            name: self.name,
        })
    }
}

/// Returns the paths accepted before and now, each once.
fn accepted(run: &Run, more: &[String]) -> Vec<String> {
    let mut paths = run.spec.accepted_paths.clone();
    for path in more {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
    paths
}

impl Render for Publishing {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let with = if self.accepted_paths.is_empty() {
            String::new()
        } else {
            format!(", including {}", self.accepted_paths.join(", "))
        };
        vec![format!(
            "Publishing the work of {} without the agent{with}",
            self.name
        )]
    }
}
