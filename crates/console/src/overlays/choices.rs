//! Pickers of what the plan has: its tags, and the statuses a task can have.

use super::{Choice, Item, Overlay, Picker};
use crate::{
    model::Model,
    world::{Plan, TaskId},
};
use flightdeck_core::{
    tasks::{self, Status},
    text,
};

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

/// The tasks a status is given to: the marked ones, else the selected one; subtasks by themselves.
fn meant(model: &Model) -> Vec<TaskId> {
    let marked = model.tasks.list.marked();
    if marked.is_empty() {
        return model.tasks.list.selected().cloned().into_iter().collect();
    }
    // In file order, as far as there is one.
    marked.iter().cloned().collect()
}

/// The statuses a task can have; choosing the old one again is how to undo.
pub fn statuses(model: &mut Model) {
    let ids = meant(model);
    let Some(plan) = model.world.plan.get().filter(|_| !ids.is_empty()) else {
        return;
    };
    let now: Vec<&Status> = ids
        .iter()
        .filter_map(|id| Some(&plan.task(id)?.status))
        .collect();
    let everyones = now
        .first()
        .filter(|first| now.iter().all(|other| other == *first));
    let items = Status::KNOWN.iter().map(|status| Item {
        label: format!("{} {}", model.glyphs.status(status), status.as_str()),
        note: String::new(),
        key: if everyones.is_some_and(|now| *now == status) {
            "now".into()
        } else {
            String::new()
        },
        choice: Choice::Status(request(plan, &ids, status)),
    });
    let title = match ids.as_slice() {
        [id] => {
            let title = plan.task(id).map_or("", |task| &task.title);
            format!("Status of {} {}", text::sanitize(id), text::sanitize(title))
        }
        ids => format!("Status of {}", text::count(ids.len(), "task")),
    };
    let here = Status::KNOWN
        .iter()
        .position(|status| everyones.is_some_and(|now| *now == status));
    let picker = Picker::new(title, "part of a status", items.collect());
    let picker = picker.beginning_at(here.unwrap_or_default());
    model.overlays.push(Overlay::Picker(picker));
}

fn request(plan: &Plan, ids: &[TaskId], status: &Status) -> Vec<flightdeck_verbs::SetStatus> {
    let verbs = ids.iter().map(|id| flightdeck_verbs::SetStatus {
        id: id.clone(),
        status: status.as_str().to_owned(),
        tag: Some(plan.tag.clone()),
        file: Some(plan.path.clone()),
    });
    verbs.collect()
}
