//! Finds the task file of a directory: the nearest one wins, and all others are reported.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Paths of a task file in a project directory, current path first.
pub const TASK_FILE_PATHS: [&str; 2] = [".taskmaster/tasks/tasks.json", "tasks/tasks.json"];

/// Depth of the search for other plans below the root.
const DEPTH: usize = 3;
/// Maximum number of directories to search, to bound the cost in a huge repository.
const BUDGET: usize = 2_000;

/// The task file in use, and all others found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// `None` if there is no task file between the start and the root.
    pub path: Option<PathBuf>,
    /// Other plans between start and root, then those near the root.
    pub others: Vec<PathBuf>,
}

/// Returns the plan of `start`: in `start` itself, else in its nearest parent up to `root`. Both paths are absolute;
/// if `start` is outside `root`, only `start` is searched.
#[must_use]
pub fn locate(start: &Path, root: &Path) -> Located {
    let mut found: Vec<PathBuf> = search_path(start, root).flat_map(existing_plans).collect();
    let mut below = Vec::new();
    search_below(root, DEPTH, &mut { BUDGET }, &mut below);
    below.sort();
    for path in below {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    // A plan found only below the root belongs to another project.
    let ours = found.first().is_some_and(|path| {
        start.ancestors().any(|directory| {
            TASK_FILE_PATHS
                .iter()
                .any(|place| directory.join(place) == *path)
        })
    });
    let path = ours.then(|| found.remove(0));
    Located {
        path,
        others: found,
    }
}

/// Returns the plan of `start` without searching for others: in `start`, else in its parents up to the one with
/// `.git`. If no parent has one, only `start` is searched. `start` is absolute.
#[must_use]
pub fn nearest(start: &Path) -> Option<PathBuf> {
    let root = start
        .ancestors()
        .find(|directory| directory.join(".git").exists())
        .unwrap_or(start);
    search_path(start, root).flat_map(existing_plans).next()
}

/// Returns `start` and its parents up to `root`; only `start` if it is not below `root`.
fn search_path<'a>(start: &'a Path, root: &'a Path) -> impl Iterator<Item = &'a Path> {
    let mut above = false;
    start.ancestors().take_while(move |directory| {
        let within = !above;
        above = *directory == root || !directory.starts_with(root);
        within
    })
}

/// Returns the project directory of a task file.
#[must_use]
pub fn project_directory(tasks_file: &Path) -> Option<&Path> {
    TASK_FILE_PATHS.iter().find_map(|place| {
        tasks_file.ends_with(place).then(|| {
            tasks_file
                .ancestors()
                .nth(Path::new(place).components().count())
        })?
    })
}

/// Returns existing task file paths, also if unreadable or not a file: skipping those would silently select another
/// plan.
fn existing_plans(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let offsets = |path: &PathBuf| match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
    };
    TASK_FILE_PATHS
        .iter()
        .map(|place| directory.join(place))
        .filter(offsets)
}

fn search_below(directory: &Path, depth: usize, budget: &mut usize, found: &mut Vec<PathBuf>) {
    found.extend(
        directory
            .join(TASK_FILE_PATHS[0])
            .is_file()
            .then(|| directory.join(TASK_FILE_PATHS[0])),
    );
    if depth == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let skipped = hidden || name == "node_modules" || name == "target";
        if skipped || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Some(left) = budget.checked_sub(1) else {
            return;
        };
        *budget = left;
        search_below(&entry.path(), depth - 1, budget, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        directory
    }

    #[test]
    fn nearest_plan_wins() {
        let root_plan = ".taskmaster/tasks/tasks.json";
        let web_plan = "apps/web/.taskmaster/tasks/tasks.json";
        for (files, start, path, others) in [
            (
                vec![root_plan, web_plan],
                "apps/web",
                Some(web_plan),
                vec![root_plan],
            ),
            (
                vec![root_plan, web_plan, "apps/web/src/x"],
                "apps/web/src",
                Some(web_plan),
                vec![root_plan],
            ),
            (
                vec![root_plan, web_plan],
                ".",
                Some(root_plan),
                vec![web_plan],
            ),
            (vec![web_plan], ".", None, vec![web_plan]),
            (
                vec!["tasks/tasks.json", root_plan],
                ".",
                Some(root_plan),
                vec!["tasks/tasks.json"],
            ),
            (
                vec!["tasks/tasks.json"],
                ".",
                Some("tasks/tasks.json"),
                vec![],
            ),
            (vec!["README.md"], ".", None, vec![]),
        ] {
            let directory = project(&files);
            let root = directory.path();
            let start: PathBuf = root.join(start).components().collect();
            let located = locate(&start, root);
            let relative = |path: &PathBuf| {
                path.strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            };
            assert_eq!(
                located.path.as_ref().map(relative).as_deref(),
                path,
                "{files:?}"
            );
            assert_eq!(
                located.others.iter().map(relative).collect::<Vec<_>>(),
                others,
                "{files:?}"
            );
        }
    }

    #[test]
    fn ignores_plans_above_root() {
        let directory = project(&[".taskmaster/tasks/tasks.json", "repository/src/x"]);
        let root = directory.path().join("repository");
        assert_eq!(locate(&root.join("src"), &root), Located::default());
    }

    #[test]
    fn finds_project_directory() {
        for (file, project) in [
            (
                "/r/apps/web/.taskmaster/tasks/tasks.json",
                Some("/r/apps/web"),
            ),
            ("/r/tasks/tasks.json", Some("/r")),
            ("/r/plan.json", None),
        ] {
            assert_eq!(project_directory(Path::new(file)), project.map(Path::new));
        }
    }
}
