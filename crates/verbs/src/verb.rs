//! What a verb is: its arguments, its output and the code that runs.

use std::future::Future;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Context, Render, VerbError, View};

/// An operation of Flightdeck. The struct is the command line's arguments, the JSON input and the code that runs.
pub trait Verb: clap::Args + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Words of the command, like `runs stop`.
    const NAME: &'static str;
    /// One sentence for help and tool descriptions.
    const ABOUT: &'static str;
    type Output: Serialize + JsonSchema + Render + Send + 'static;

    /// Runs the verb.
    fn run(self, context: &Context)
    -> impl Future<Output = Result<Self::Output, VerbError>> + Send;
}

/// A verb whose effect cannot be undone. It plans first, so that a front end can show the plan and ask.
pub trait PlannedVerb: clap::Args + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Words of the command, like `runs delete`.
    const NAME: &'static str;
    /// One sentence for help and tool descriptions.
    const ABOUT: &'static str;
    type Plan: Plan;

    /// Returns what the verb would do. Changes nothing.
    fn plan(self, context: &Context) -> impl Future<Output = Result<Self::Plan, VerbError>> + Send;
}

/// What a [`PlannedVerb`] is about to do.
pub trait Plan: Serialize + JsonSchema + Render + Send + 'static {
    type Output: Serialize + JsonSchema + Render + Send + 'static;

    /// Whether the user named the object, so that not changing it is a failure.
    const NAMED: bool = false;

    /// Returns the question to confirm; `None` if there is nothing to do.
    fn question(&self) -> Option<String>;

    /// Does what the plan says, and nothing else.
    fn apply(
        self,
        context: &Context,
    ) -> impl Future<Output = Result<Self::Output, VerbError>> + Send;
}

/// The [`Verb`] of a [`PlannedVerb`]: applies the plan, or with `dry_run` returns it.
#[derive(Clone, Debug, clap::Args, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun<V: clap::Args> {
    #[command(flatten)]
    #[serde(flatten)]
    pub verb: V,
    /// Only show what would be done.
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl<V: PlannedVerb> Verb for DryRun<V> {
    const NAME: &'static str = V::NAME;
    const ABOUT: &'static str = V::ABOUT;
    type Output = PlanOrOutput<V::Plan>;

    async fn run(self, context: &Context) -> Result<Self::Output, VerbError> {
        let plan = self.verb.plan(context).await?;
        if self.dry_run || plan.question().is_none() {
            return Ok(PlanOrOutput::Planned(plan));
        }
        Ok(PlanOrOutput::Done(plan.apply(context).await?))
    }
}

/// The plan of a dry run, or the result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PlanOrOutput<P: Plan> {
    Planned(P),
    Done(P::Output),
}

impl<P: Plan> PlanOrOutput<P> {
    fn inner(&self) -> &dyn Render {
        match self {
            Self::Planned(plan) => plan,
            Self::Done(output) => output,
        }
    }
}

impl<P: Plan> Render for PlanOrOutput<P> {
    fn names(&self) -> Vec<String> {
        self.inner().names()
    }

    fn view(&self) -> View {
        self.inner().view()
    }

    fn notices(&self) -> Vec<String> {
        self.inner().notices()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner().warnings()
    }

    fn exit_code(&self) -> u8 {
        self.inner().exit_code()
    }
}
