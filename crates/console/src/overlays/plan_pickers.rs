//! Pickers for the tags of the plan and the status of tasks.

use super::picker::{Choice, Item, Picker};
use crate::{
    model::Model,
    world::{Plan, TaskId},
};
use flightdeck_core::{
    tasks::{self, Status},
    text,
};
use flightdeck_verbs::SetStatus;

/// Opens a picker of the plan's tags, each with its progress.
pub(crate) fn open_tags(model: &mut Model) {
    let Some(plan) = model.world.plan.get() else {
        return;
    };
    let items = tasks::summaries(&plan.file).into_iter().map(|tag| Item {
        note: format!("{:>3}/{} done · {} ready", tag.done, tag.tasks, tag.ready),
        key: if tag.name == plan.tag {
            "current".into()
        } else {
            String::new()
        },
        choice: Choice::Tag(tag.name.clone()),
        label: tag.name,
    });
    let items: Vec<Item> = items.collect();
    let current = plan.file.tags.iter().position(|tag| tag.name == plan.tag);
    let picker = Picker::new("Tags", "filter tags", items);
    let picker = picker.selecting(current.unwrap_or_default());
    model.overlays.push(picker);
}

/// Opens a picker of the status for the marked tasks, or else the selected one. A subtask is set by itself.
pub(crate) fn open_statuses(model: &mut Model) {
    let ids = marked_or_selected(model);
    let Some(plan) = model.world.plan.get().filter(|_| !ids.is_empty()) else {
        return;
    };
    let now: Vec<&Status> = ids
        .iter()
        .filter_map(|id| Some(&plan.task(id)?.status))
        .collect();
    let common = now
        .first()
        .filter(|first| now.iter().all(|other| other == *first));
    let items = Status::KNOWN.iter().map(|status| Item {
        label: format!("{} {}", model.glyphs.status(status), status.as_str()),
        note: String::new(),
        key: if common.is_some_and(|common| *common == status) {
            "current".into()
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
    let current = Status::KNOWN
        .iter()
        .position(|status| common.is_some_and(|common| *common == status));
    let picker = Picker::new(title, "filter statuses", items.collect());
    let picker = picker.selecting(current.unwrap_or_default());
    model.overlays.push(picker);
}

fn marked_or_selected(model: &Model) -> Vec<TaskId> {
    let marked = model.tasks.list.marked();
    if marked.is_empty() {
        return model.tasks.list.selected().cloned().into_iter().collect();
    }
    marked.iter().cloned().collect()
}

fn request(plan: &Plan, ids: &[TaskId], status: &Status) -> Vec<SetStatus> {
    let verbs = ids.iter().map(|id| SetStatus {
        id: id.clone(),
        status: status.as_str().to_owned(),
        tag: Some(plan.tag.clone()),
        file: Some(plan.path.clone()),
    });
    verbs.collect()
}
