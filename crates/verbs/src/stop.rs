//! `runs stop`: stops the current attempt of a run. The log is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Render, Verb, VerbError, View};
use flightdeck_core::runs::Run;

/// Stops a run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Name of the run.
    pub name: String,
}

/// A run that is being stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stopping {
    pub name: String,
}

impl Verb for Stop {
    const NAME: &'static str = "runs stop";
    const ABOUT: &'static str = "Stop the current attempt of a run; the log is kept";
    type Output = Stopping;

    /// Requests the stop, which the controller performs.
    async fn run(self, context: &Context) -> Result<Stopping, VerbError> {
        let stop = |run: &Run, _: &Value| {
            if run.ended() {
                let phase = run.phase().as_str().to_lowercase();
                return Err(VerbError::Conflict(format!(
                    "run {} has already ended ({phase})",
                    self.name
                )));
            }
            Ok(json!({ "cancelVersion": run.spec.context_version }))
        };
        let cluster = context.cluster().await?;
        cluster.change_spec(&self.name, "stopping", stop).await?;
        Ok(Stopping { name: self.name })
    }
}

impl Render for Stopping {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        vec![format!("Stopping {}; the log is kept", self.name)]
    }
}
