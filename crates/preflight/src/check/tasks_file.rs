//! `tasks-file`: the plan exists, is readable, has the chosen tasks, and is not ignored by git.

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
                    .because("Runs need a UTF-8 path. Rename the directory."),
            );
        }
        let (Some(path), Some(plan)) = (&repository.plan.relative, &facts.plan) else {
            let elsewhere = if others.is_empty() {
                String::new()
            } else {
                format!("; found {}", others.join(", "))
            };
            return Some(
                Verdict::fail(format!("{} not found{elsewhere}", TASK_FILE_PATHS[0])).because(
                    "Create it with Task Master: task-master init, then task-master parse-prd.",
                ),
            );
        };
        let file = match plan {
            Ok(file) => file,
            Err(_) if is_pointer(repository.plan.bytes.as_deref()) => {
                return Some(
                    Verdict::fail(format!("{path} is a Git LFS pointer, not the plan")).because(
                        "Run git lfs pull. Better: keep the plan out of LFS in .gitattributes.",
                    ),
                );
            }
            Err(error) => return Some(Verdict::fail(format!("{path}: {error}"))),
        };
        if let Some(known_as) = &repository.plan.known_as {
            return Some(
                Verdict::fail(format!("git tracks {path} as {known_as}")).because(format!(
                    "Runs use a case-sensitive file system and would not find it. Rename it: git mv {known_as} {path}"
                )),
            );
        }
        if repository.plan.ignored {
            return Some(Verdict::fail(format!("git ignores {path}")).because(
                "A clone would not contain it. Remove it from .gitignore, then commit it.",
            ));
        }
        let Some(tag) = file.tag(&facts.tag).filter(|tag| !tag.tasks.is_empty()) else {
            let tags: Vec<String> = file
                .tags
                .iter()
                .map(|tag| format!("{} ({})", tag.name, tag.tasks.len()))
                .collect();
            let has = if tags.is_empty() {
                "no tags".into()
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
                Verdict::warn(format!("using {path}, not {}", others.join(", "))).because(
                    "The nearest plan is used. Start in another directory to use another one.",
                ),
            );
        }
        let findings = match file.findings.len() {
            0 => String::new(),
            count => format!("; {}", text::count(count, "finding")),
        };
        Some(Verdict::pass(format!(
            "{path} has {} in {}{findings}",
            text::count(tag.tasks.len(), "task"),
            tag.name
        )))
    }
}

/// Whether the content is a Git LFS pointer (git-lfs, docs/spec.md).
fn is_pointer(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.starts_with(b"version https://git-lfs.github.com/spec/"))
}
