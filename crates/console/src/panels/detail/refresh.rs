//! Keeps the open tab in step with the world: what it shows, and what it must ask for.

use super::{
    Fetched, Subject, Tab, Want, check, events, files_of, files_of_task, go_on,
    page::{Content, Reading},
    pull_request, task,
};
use crate::{
    command::Command,
    effect::{Effect, Effects},
    model::Model,
    widgets::{diff::Changes, syntax::Syntax},
    world::Entry,
};
use flightdeck_core::runs::{Run, documents_directory};

/// Brings what the open tab shows up to date with the world, and asks for what it lacks.
pub fn refresh(model: &mut Model, effects: &mut Effects) {
    if let Some((key, want)) = lacks(model) {
        let asked = model.detail.asked.insert(want.tab(), key.clone());
        if asked.as_ref() != Some(&key) {
            if asked.is_some() && matches!(want, Want::Log { .. }) {
                model.detail.begin_log();
            }
            effects.push(Effect::Detail(want));
        }
    }
    let tab = model.detail.tab();
    if tab == Tab::Preview {
        let rendered = match &model.detail.subject {
            Some(Subject::Task(id)) => Some(files_of_task(model, id)),
            Some(Subject::Check(_)) | None => None,
            Some(Subject::Run(id)) => {
                let entry = model.world.runs.get(id);
                entry.map(|entry| files_of(&entry.run, model.controller_settings()))
            }
        };
        if let Some(rendered) = rendered {
            model.detail.preview.set_rendered(rendered);
        }
    } else if let Some(content) = content(model, tab) {
        let fresh = !model.detail.pages.contains_key(&tab);
        model.detail.pages.entry(tab).or_default().show(content);
        if fresh {
            model.detail.fit(model.detail.area);
        }
    }
    go_on(model, effects);
}

/// What a tab of one text shows; `None` for the other tabs, and without a subject.
fn content(model: &Model, tab: Tab) -> Option<Content> {
    let detail = &model.detail;
    let id = match detail.subject.as_ref()? {
        Subject::Task(id) => {
            return (tab == Tab::Task).then(|| task::of_task(model, id, &detail.documents));
        }
        Subject::Check(id) => {
            return (tab == Tab::Check).then(|| check::content(model, id));
        }
        Subject::Run(id) => id,
    };
    let Some(entry) = model.world.runs.get(id) else {
        return Some(Content::sentence("This run is gone."));
    };
    Some(match tab {
        Tab::Task => task::of_run(model, entry),
        Tab::Diff => difference(entry, &detail.difference),
        Tab::PullRequest => pull_request::content(entry, &detail.pull_request),
        Tab::Events => {
            let found = model.world.owned.events_of(id);
            events::content(entry, &found, &model.zone)
        }
        Tab::Yaml => yaml(&entry.run),
        Tab::Preview | Tab::Logs | Tab::Timeline | Tab::Check => return None,
    })
}

/// What the open tab needs from outside, with what makes asking once enough.
fn lacks(model: &Model) -> Option<(String, Want)> {
    let detail = &model.detail;
    let tab = detail.tab();
    let id = match detail.subject.as_ref()? {
        Subject::Task(id) => {
            let plan = model.world.plan.get().filter(|_| tab == Tab::Task)?;
            let present = plan.documents(id);
            if present.count() == 0 {
                return None;
            }
            let project = flightdeck_core::tasks::project_directory(&plan.path)?;
            let directory = project.join(documents_directory(&plan.tag, id));
            return Some((format!("{id} {present:?}"), Want::Documents(directory)));
        }
        Subject::Check(_) => return None,
        Subject::Run(id) => id,
    };
    let entry = model.world.runs.get(id)?;
    let (run, status) = (&entry.run, &entry.run.status);
    let name = run.name().to_owned();
    let version = run.metadata.resource_version.clone().unwrap_or_default();
    let id = id.clone();
    match tab {
        Tab::Preview => {
            let config_map = status.config_map_name.clone()?;
            Some((
                run.spec.context_version.to_string(),
                Want::Files {
                    run: id,
                    config_map,
                },
            ))
        }
        Tab::Logs | Tab::Timeline => {
            let want = Want::Log {
                run: id,
                name,
                kind: run.kind,
                removed: entry.removed,
            };
            Some((
                format!("{} {}", run.spec.context_version, entry.removed),
                want,
            ))
        }
        Tab::Diff => {
            let (base, head) = (status.base_commit.clone()?, status.commit.clone()?);
            let repository = model.world.repository.get()?.root.clone();
            let want = Want::Diff {
                run: id,
                repository,
                branch: run.branch(),
                base,
                head: head.clone(),
            };
            Some((head, want))
        }
        Tab::PullRequest => {
            let number = status.pull_request_number?;
            let url = run.spec.repository_url.clone();
            Some((
                version,
                Want::PullRequest {
                    run: id,
                    url,
                    number,
                },
            ))
        }
        Tab::Task | Tab::Events | Tab::Yaml | Tab::Check => None,
    }
}

fn difference(entry: &Entry, found: &Fetched<Changes>) -> Content {
    if !entry.pushed() {
        let sentence = if entry.active() {
            "The run has not pushed anything yet: what it changes is shown here once it is published."
        } else {
            "The run pushed nothing, so there is nothing to compare."
        };
        return Content::Nothing(sentence.into(), vec![(Command::Logs, "its log")]);
    }
    match found {
        Fetched::Waiting => Content::sentence(format!(
            "Comparing {} with its base ...",
            entry.run.branch()
        )),
        Fetched::Failed(reason) => {
            Content::Nothing(reason.clone(), vec![(Command::Refresh, "try again")])
        }
        Fetched::Ready(changes) if changes.lines.is_empty() => {
            Content::sentence("The branch changes nothing.")
        }
        Fetched::Ready(changes) => Content::Text(Reading::Difference, changes.lines.clone()),
    }
}

/// The run as the cluster has it, less what only machines read.
fn yaml(run: &Run) -> Content {
    let mut shown = run.clone();
    shown.metadata.managed_fields = None;
    let status = serde_json::to_value(&shown.status).unwrap_or_default();
    let mut object = shown.into_resource();
    if let Some(fields) = object.as_object_mut() {
        fields.insert("status".into(), status);
    }
    match serde_yaml::to_string(&object) {
        Ok(text) => Content::Text(Reading::Source(Syntax::Yaml), Syntax::Yaml.lines(&text)),
        Err(error) => Content::sentence(format!("The run cannot be written as YAML: {error}")),
    }
}
