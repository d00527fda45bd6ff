//! Waits for a run to end.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event, watcher};

use super::{ClusterContext, VerbError};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{Phase, Run, RunKind},
};

/// A wait for the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub name: String,
    /// `None` waits without limit.
    pub timeout: Option<Duration>,
}

/// Returns the exit code of a phase: 0 succeeded, 1 failed, 4 cancelled.
#[must_use]
pub fn exit_code(phase: &Phase) -> u8 {
    match phase {
        Phase::Succeeded => 0,
        Phase::Cancelled => 4,
        _ => 1,
    }
}

impl Wait {
    /// Returns the ended run. Calls `seen` with every state on the way.
    pub async fn run(
        &self,
        context: &ClusterContext,
        seen: impl FnMut(&Run),
    ) -> Result<Run, VerbError> {
        let kind = context.run(&self.name).await?.kind;
        let waiting = async {
            match kind {
                RunKind::Docs => self.until_ended::<DocsRun>(context, seen).await,
                RunKind::Code => self.until_ended::<CodeRun>(context, seen).await,
            }
        };
        match self.timeout {
            None => waiting.await,
            Some(after) => tokio::time::timeout(after, waiting)
                .await
                .unwrap_or_else(|_| {
                    Err(VerbError::Timeout {
                        what: format!("run {}", self.name),
                        after,
                    })
                }),
        }
    }

    async fn until_ended<K>(
        &self,
        context: &ClusterContext,
        mut seen: impl FnMut(&Run),
    ) -> Result<Run, VerbError>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Into<Run>
            + Send
            + 'static,
    {
        let api = kube::Api::<K>::namespaced(context.client.clone(), &context.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let events = watcher(api, config);
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    let run: Run = object.into();
                    seen(&run);
                    if run.ended() {
                        return Ok(run);
                    }
                }
                Ok(Event::Delete(_)) => {
                    return Err(VerbError::NotFound(format!(
                        "run {} was deleted",
                        self.name
                    )));
                }
                Ok(Event::Init | Event::InitDone) => {}
                // The watcher reconnects by itself; the timeout bounds the wait.
                Err(error) => {
                    tracing::warn!(run = self.name, %error, "watch failed; reconnecting");
                }
            }
        }
        Err(VerbError::Failed(format!(
            "run {}: the watch ended",
            self.name
        )))
    }
}
