//! `stop`: ends a run's current attempt; its log stays.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, VerbError};
use flightdeck_core::runs::Run;

/// Ends the current attempt of a run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct Stop {
    /// Name of the run.
    pub name: String,
}

impl Stop {
    /// Asks for the stop; the controller carries it out.
    pub async fn run(&self, context: &Context) -> Result<(), VerbError> {
        let stop = |run: &Run, _: &Value| {
            if run.ended() {
                let phase = run.phase().as_str().to_lowercase();
                return Err(VerbError::Conflict(format!(
                    "run {} has ended already ({phase})",
                    self.name
                )));
            }
            Ok(json!({ "cancelVersion": run.spec.context_version }))
        };
        context.change_spec(&self.name, "stopping", stop).await?;
        Ok(())
    }
}
