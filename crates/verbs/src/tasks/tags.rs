//! `tasks tags`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FromPlan, PlanArgs, TagItem, selection::Selection};
use crate::{Context, Render, Table, Verb, VerbError, View};
use flightdeck_core::tasks;

/// Lists tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ListTags {
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
}

/// Tags, in file order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct TagList {
    tags: Vec<TagItem>,
}

impl Verb for ListTags {
    const NAME: &'static str = "tasks tags";
    const ABOUT: &'static str = "List the tags of the plan";
    type Output = FromPlan<TagList>;

    async fn run(self, context: &Context) -> Result<FromPlan<TagList>, VerbError> {
        let list = |selection: &Selection| {
            let current = &selection.tag().name;
            let tags = tasks::summaries(&selection.file).into_iter();
            let tags = tags.map(|tag| TagItem::new(tag, current)).collect();
            Ok(TagList { tags })
        };
        self.plan.read(context, list).await
    }
}

impl Render for TagList {
    fn names(&self) -> Vec<String> {
        self.tags.iter().map(|tag| tag.name.clone()).collect()
    }

    fn view(&self) -> View {
        let row = |tag: &TagItem| {
            vec![
                if tag.current { "*" } else { "" }.to_owned(),
                tag.name.clone(),
                tag.tasks.to_string(),
                tag.done.to_string(),
                tag.ready.to_string(),
                tag.subtasks.to_string(),
            ]
        };
        View::Table(Table::new(
            &["", "TAG", "TASKS", "DONE", "READY", "SUBTASKS"],
            self.tags.iter().map(row).collect(),
        ))
    }
}
