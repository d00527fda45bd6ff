//! `tasks-file`: there is a plan, it can be read, it has the tasks, and git does not ignore it.

use super::{Check, Facts, Verdict};
use flightdeck_core::{tasks::TASK_FILE_PATHS, text};

pub(super) struct TasksFile;

impl Check for TasksFile {
    fn id(&self) -> &'static str {
        "tasks-file"
    }

    fn title(&self) -> &'static str {
        "Task file"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let repository = facts.repository()?;
        let others: Vec<String> = repository
            .plan
            .others
            .iter()
            .map(|path| {
                repository
                    .relative(path)
                    .unwrap_or_else(|| path.display().to_string())
            })
            .collect();
        if let Some(why) = &repository.plan.unreadable {
            return Some(Verdict::fail(why.as_str()));
        }
        if let (Some(path), None) = (&repository.plan.path, &repository.plan.relative) {
            return Some(
                Verdict::fail(format!("the path of {} is not UTF-8", path.display()))
                    .because("A run names its project's folder in UTF-8. Rename the folder."),
            );
        }
        let (Some(path), Some(plan)) = (&repository.plan.relative, &facts.plan) else {
            let elsewhere = if others.is_empty() {
                String::new()
            } else {
                format!("; there is {}", others.join(", "))
            };
            return Some(
                Verdict::fail(format!("no {} up to the repository's root{elsewhere}", TASK_FILE_PATHS[0]))
                    .because("Task Master writes the plan there: task-master init, then task-master parse-prd."),
            );
        };
        let file = match plan {
            Ok(file) => file,
            Err(_) if is_pointer(repository.plan.bytes.as_deref()) => {
                return Some(
                    Verdict::fail(format!("{path} is a Git LFS pointer, not the plan"))
                        .because("What it points at was never fetched here: git lfs pull. A plan is text: better kept out of LFS, in .gitattributes."),
                );
            }
            Err(error) => return Some(Verdict::fail(format!("{path}: {error}"))),
        };
        if let Some(known_as) = &repository.plan.known_as {
            return Some(
                Verdict::fail(format!("git knows {path} as {known_as}")).because(format!(
                    "A run works where upper and lower case are different names, and would not find it. Rename it: git mv {known_as} {path}"
                )),
            );
        }
        if repository.plan.ignored {
            return Some(
                Verdict::fail(format!("git ignores {path}"))
                    .because("A run would clone a repository without it. Take it out of .gitignore, then commit it."),
            );
        }
        let Some(tag) = file.tag(&facts.tag).filter(|tag| !tag.tasks.is_empty()) else {
            let tags: Vec<String> = file
                .tags
                .iter()
                .map(|tag| format!("{} ({})", tag.name, tag.tasks.len()))
                .collect();
            let has = if tags.is_empty() {
                "no tag at all".into()
            } else {
                tags.join(", ")
            };
            return Some(Verdict::fail(format!(
                "{path} has no tasks in tag {}; it has {has}",
                facts.tag
            )));
        };
        if let Some(missing) = facts.tasks.iter().find(|id| tag.task(id).is_none()) {
            return Some(Verdict::fail(format!(
                "{path} has no task {missing} in tag {}",
                tag.name
            )));
        }
        if !others.is_empty() {
            return Some(
                Verdict::warn(format!("{path} is in use, not {}", others.join(", "))).because(
                    "The nearest plan wins. Start in another directory to use another one.",
                ),
            );
        }
        let findings = match file.findings.len() {
            0 => String::new(),
            count => format!("; {} to look at", text::count(count, "finding")),
        };
        Some(Verdict::pass(format!(
            "{path} has {} in {}{findings}",
            text::count(tag.tasks.len(), "task"),
            tag.name
        )))
    }
}

/// Whether a file is what Git LFS puts in the place of one (git-lfs, docs/spec.md: the first line of every pointer).
fn is_pointer(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.starts_with(b"version https://git-lfs.github.com/spec/"))
}
