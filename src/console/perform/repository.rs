//! Reads the repository and the plan for the console.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::{
    console::world::{Plan, Repository},
    repository::{self, Facts},
    runs::naming,
    tasks,
};

/// What is known of the repository around `start`, and of its plan.
pub(super) async fn read(start: &Path) -> (Result<Repository, String>, Result<Arc<Plan>, String>) {
    match repository::read(start).await {
        Ok(facts) => {
            let shown = shown(&facts);
            let plan = tokio::task::spawn_blocking(move || plan(&facts)).await;
            let plan = plan.unwrap_or_else(|error| Err(error.to_string()));
            (Ok(shown), plan)
        }
        Err(error) => {
            let sentence = error.to_string();
            (Err(sentence.clone()), Err(sentence))
        }
    }
}

fn shown(facts: &Facts) -> Repository {
    let remote = facts.remote.as_ref();
    let known = remote.and_then(|remote| remote.known.as_ref());
    let folder = facts.root.file_name().unwrap_or_default();
    let pushed = known.zip(facts.plan.disk_blob.as_ref());
    Repository {
        root: facts.root.clone(),
        name: remote.map_or_else(
            || folder.to_string_lossy().into_owned(),
            |remote| short_name(&remote.clone_url),
        ),
        url: remote.map(|remote| remote.clone_url.clone()),
        branch: facts.branch().map(str::to_owned),
        ahead: known.map_or(0, |known| known.ahead),
        behind: known.map_or(0, |known| known.behind),
        changed: facts.changes.total(),
        remote: remote.map_or_else(String::new, |remote| remote.name.clone()),
        tasks_pushed: pushed.map(|(known, disk)| known.plan_blob.as_ref() == Some(disk)),
        label: remote.map(|remote| naming::repository_label(&remote.clone_url)),
    }
}

/// `owner/name` of an address on a host, the folder's name of a path.
fn short_name(url: &str) -> String {
    let address = naming::normalised_url(url);
    let parts: Vec<&str> = address.split('/').filter(|part| !part.is_empty()).collect();
    let from = if address.starts_with('/') {
        parts.len().saturating_sub(1)
    } else {
        parts.len().saturating_sub(2)
    };
    parts[from..].join("/")
}

fn plan(facts: &Facts) -> Result<Arc<Plan>, String> {
    let (Some(path), Some(bytes)) = (&facts.plan.path, &facts.plan.bytes) else {
        return Err(format!(
            "No tasks.json from {} up to {}. Task Master makes one: task-master init, then task-master parse-prd.",
            facts.project.display(),
            facts.root.display()
        ));
    };
    let name = facts.relative(path);
    let name = name.unwrap_or_else(|| path.display().to_string());
    let file = tasks::read(bytes).map_err(|error| format!("{name}: {error}"))?;
    let state = std::fs::read(facts.project.join(".taskmaster/state.json")).ok();
    let tag = tasks::current_tag(state.as_deref());
    let documents: HashMap<_, _> = tasks::documents(&facts.project, &tag);
    Ok(Arc::new(Plan::new(path.clone(), file, tag, documents)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_as_people_name_it() {
        for (url, name) in [
            ("git@github.com:acme/shop.git", "acme/shop"),
            ("https://github.com/acme/shop", "acme/shop"),
            ("/srv/git/origin.git", "origin"),
            ("ssh://git.example/shop", "git.example/shop"),
        ] {
            assert_eq!(short_name(url), name, "{url}");
        }
    }
}
