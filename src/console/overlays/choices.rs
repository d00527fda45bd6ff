//! Pickers of what the plan has: its tags, and the statuses a task can have.

use super::{Choice, Item, Overlay, Picker};
use crate::{console::model::Model, tasks};

/// The tags of the plan, each with how far it is.
pub fn tags(model: &mut Model) {
    let Some(plan) = model.world.plan.get() else {
        return;
    };
    let items = tasks::summaries(&plan.file).into_iter().map(|tag| Item {
        note: format!("{:>3}/{} done · {} ready", tag.done, tag.tasks, tag.ready),
        key: if tag.name == plan.tag {
            "shown".into()
        } else {
            String::new()
        },
        choice: Choice::Tag(tag.name.clone()),
        label: tag.name,
    });
    let items: Vec<Item> = items.collect();
    let here = plan.file.tags.iter().position(|tag| tag.name == plan.tag);
    let picker = Picker::new("Tags", "part of a tag's name", items);
    let picker = picker.beginning_at(here.unwrap_or_default());
    model.overlays.push(Overlay::Picker(picker));
}
