//! A row of the table of verbs: a verb without its types.

use clap::{ArgMatches, FromArgMatches};
use futures::{FutureExt, future::BoxFuture};
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Context, Rendered, VerbError,
    verb::{DryRun, Plan, PlannedVerb, Verb},
};

type Run<Input> =
    for<'a> fn(Input, &'a Context) -> BoxFuture<'a, Result<Box<dyn Rendered>, VerbError>>;
type PlanRun<Input> =
    for<'a> fn(Input, &'a Context) -> BoxFuture<'a, Result<Box<dyn PlannedOutput>, VerbError>>;

/// A type-erased verb.
pub struct VerbRow {
    pub name: &'static str,
    pub about: &'static str,
    /// JSON Schema of the input.
    pub input_schema: fn() -> Schema,
    /// JSON Schema of the output.
    pub output_schema: fn() -> Schema,
    /// Adds the arguments to a command.
    pub arguments: fn(clap::Command) -> clap::Command,
    /// Runs the verb with parsed arguments.
    pub run_arguments: Run<ArgMatches>,
    /// Runs the verb with a JSON input.
    pub run_json: Run<Value>,
    /// Returns the plan; `None` for a verb that needs no confirmation.
    pub plan_arguments: Option<PlanRun<ArgMatches>>,
}

/// A type-erased [`Plan`].
pub trait PlannedOutput: Rendered {
    /// Whether the user named the object, so that not changing it is a failure.
    fn is_named(&self) -> bool;

    /// Returns the question to confirm; `None` if there is nothing to do.
    fn question(&self) -> Option<String>;

    /// Does what the plan says.
    fn apply<'a>(
        self: Box<Self>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Box<dyn Rendered>, VerbError>>
    where
        Self: 'a;
}

impl<P: Plan> PlannedOutput for P {
    fn is_named(&self) -> bool {
        P::NAMED
    }

    fn question(&self) -> Option<String> {
        Plan::question(self)
    }

    fn apply<'a>(
        self: Box<Self>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Box<dyn Rendered>, VerbError>>
    where
        Self: 'a,
    {
        async move { Ok(erased(Box::pin(Plan::apply(*self, context)).await?)) }.boxed()
    }
}

impl VerbRow {
    /// Returns the row of a verb.
    pub(crate) const fn of<V: Verb>() -> Self {
        Self {
            name: V::NAME,
            about: V::ABOUT,
            input_schema: schema::<V>,
            output_schema: schema::<V::Output>,
            arguments: V::augment_args,
            run_arguments: run_arguments::<V>,
            run_json: run_json::<V>,
            plan_arguments: None,
        }
    }

    /// Returns the row of a verb that plans first.
    pub(crate) const fn planned<V: PlannedVerb>() -> Self {
        Self {
            plan_arguments: Some(plan_arguments::<V>),
            ..Self::of::<DryRun<V>>()
        }
    }

    /// Returns the group and the last word of the name: `("runs", "stop")`, `("", "info")`.
    #[must_use]
    pub fn words(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once(' ').unwrap_or(("", self.name))
    }
}

fn schema<T: JsonSchema>() -> Schema {
    schema_for!(T)
}

fn from_arguments<V: FromArgMatches>(arguments: &ArgMatches) -> Result<V, VerbError> {
    V::from_arg_matches(arguments).map_err(|error| VerbError::Usage(error.to_string()))
}

fn from_json<V: DeserializeOwned>(name: &str, input: Value) -> Result<V, VerbError> {
    serde_json::from_value(input).map_err(|error| VerbError::Usage(format!("{name}: {error}")))
}

fn erased(output: impl Rendered + 'static) -> Box<dyn Rendered> {
    Box::new(output)
}

fn run_arguments<V: Verb>(
    arguments: ArgMatches,
    context: &Context,
) -> BoxFuture<'_, Result<Box<dyn Rendered>, VerbError>> {
    async move {
        let verb = from_arguments::<V>(&arguments)?;
        // Boxed: these futures are large.
        Ok(erased(Box::pin(verb.run(context)).await?))
    }
    .boxed()
}

fn run_json<V: Verb>(
    input: Value,
    context: &Context,
) -> BoxFuture<'_, Result<Box<dyn Rendered>, VerbError>> {
    async move {
        let verb = from_json::<V>(V::NAME, input)?;
        Ok(erased(Box::pin(verb.run(context)).await?))
    }
    .boxed()
}

fn plan_arguments<V: PlannedVerb>(
    arguments: ArgMatches,
    context: &Context,
) -> BoxFuture<'_, Result<Box<dyn PlannedOutput>, VerbError>> {
    async move {
        let verb = from_arguments::<V>(&arguments)?;
        let plan: Box<dyn PlannedOutput> = Box::new(Box::pin(verb.plan(context)).await?);
        Ok(plan)
    }
    .boxed()
}
