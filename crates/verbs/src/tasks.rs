//! Verbs that read the plan.

mod card;
mod json;
mod list;
mod next;
mod selection;
mod show;
mod tags;
mod validate;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::selection::Selection;
pub(crate) use self::{
    json::{TagItem, TaskDetails, TaskItem},
    list::ListTasks,
    next::NextTask,
    show::ShowTask,
    tags::ListTags,
    validate::ValidateTasks,
};
use super::{Context, Render, VerbError, View};

/// Which plan and tag to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlanArgs {
    /// Task file. Default: the nearest tasks.json.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Tag. Default: the current tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
}

/// Runs `work` with the start directory on a blocking thread.
async fn blocking<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Path) -> Result<T, VerbError> + Send + 'static,
) -> Result<T, VerbError> {
    let start = context.start.clone();
    tokio::task::spawn_blocking(move || work(&start))
        .await
        .map_err(|error| VerbError::Failed(error.to_string()))?
}

impl PlanArgs {
    /// Selects a tag of the plan and runs `work` on it, on a blocking thread.
    async fn read<T: Send + 'static>(
        self,
        context: &Context,
        work: impl FnOnce(&Selection) -> Result<T, VerbError> + Send + 'static,
    ) -> Result<FromPlan<T>, VerbError> {
        blocking(context, move |start| {
            let selection = Selection::read(start, &self)?;
            Ok(FromPlan {
                output: work(&selection)?,
                warnings: selection.warnings,
            })
        })
        .await
    }
}

/// An output with the warnings about the selected tag.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct FromPlan<T> {
    output: T,
    #[serde(skip)]
    #[schemars(skip)]
    warnings: Vec<String>,
}

impl<T: Render> Render for FromPlan<T> {
    fn names(&self) -> Vec<String> {
        self.output.names()
    }

    fn view(&self) -> View {
        self.output.view()
    }

    fn notices(&self) -> Vec<String> {
        self.output.notices()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
