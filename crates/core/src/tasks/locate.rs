//! Which task file a directory works with: the nearest one, never a farther one in silence.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::current_tag;
use crate::files::read_bounded;

/// Where a task file may be in a project directory, the present place first.
pub const PLACES: [&str; 2] = [".taskmaster/tasks/tasks.json", "tasks/tasks.json"];

/// Most bytes of a `state.json`: it holds a few names.
const LARGEST_STATE: u64 = 1 << 20;
/// Directories below the root that are looked into for other plans.
const DEPTH: usize = 3;
/// Directories that are looked into at most, so that a huge repository costs nothing.
const BUDGET: usize = 2_000;

/// The task file in use, and the ones that were not chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// `None` when no directory from the start up to the root has one.
    pub path: Option<PathBuf>,
    /// Other plans between start and root, then others near the root.
    pub others: Vec<PathBuf>,
}

/// The plan of `start`: in it, else in its parents up to `root`; in each the present place before the older one.
/// Both are absolute; a `start` outside `root` is looked at alone.
#[must_use]
pub fn locate(start: &Path, root: &Path) -> Located {
    let mut found: Vec<PathBuf> = upwards(start, root).flat_map(plans_in).collect();
    let mut below = Vec::new();
    look_below(root, DEPTH, &mut { BUDGET }, &mut below);
    below.sort();
    for path in below {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    // What was found below the root alone is another project's, not the one of `start`.
    let ours = found.first().is_some_and(|path| {
        start
            .ancestors()
            .any(|directory| PLACES.iter().any(|place| directory.join(place) == *path))
    });
    let path = ours.then(|| found.remove(0));
    Located {
        path,
        others: found,
    }
}

/// The plan of `start` alone, without looking for others: in it, else in its parents up to the one that holds `.git`. Where no parent does,
/// `start` is looked at alone. `start` is absolute.
#[must_use]
pub fn nearest(start: &Path) -> Option<PathBuf> {
    let root = start
        .ancestors()
        .find(|directory| directory.join(".git").exists())
        .unwrap_or(start);
    upwards(start, root).flat_map(plans_in).next()
}

/// `start` and its parents up to `root`; `start` alone when it is not below it.
fn upwards<'a>(start: &'a Path, root: &'a Path) -> impl Iterator<Item = &'a Path> {
    let mut above = false;
    start.ancestors().take_while(move |directory| {
        let within = !above;
        above = *directory == root || !directory.starts_with(root);
        within
    })
}

/// The tag in use in the project a task file belongs to. Reads its `state.json`.
#[must_use]
pub fn tag_in_use(tasks_file: &Path) -> String {
    project_directory(tasks_file).map_or_else(|| current_tag(None), tag_of_project)
}

/// Returns the tag in use in a project directory. Reads its `state.json`; one that is not a small regular file counts as missing.
#[must_use]
pub fn tag_of_project(project: &Path) -> String {
    let state = read_bounded(&project.join(".taskmaster/state.json"), LARGEST_STATE);
    current_tag(state.ok().as_deref())
}

/// The project a task file belongs to: the directory its place is written from.
#[must_use]
pub fn project_directory(tasks_file: &Path) -> Option<&Path> {
    PLACES.iter().find_map(|place| {
        tasks_file.ends_with(place).then(|| {
            tasks_file
                .ancestors()
                .nth(Path::new(place).components().count())
        })?
    })
}

/// What stands at the places of a plan, even if it is no file or cannot be read: passing it over would choose another plan in silence.
fn plans_in(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let stands = |path: &PathBuf| match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
    };
    PLACES
        .iter()
        .map(|place| directory.join(place))
        .filter(stands)
}

fn look_below(directory: &Path, depth: usize, budget: &mut usize, found: &mut Vec<PathBuf>) {
    found.extend(
        directory
            .join(PLACES[0])
            .is_file()
            .then(|| directory.join(PLACES[0])),
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
        look_below(&entry.path(), depth - 1, budget, found);
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
    fn the_nearest_plan_wins_and_the_others_are_named() {
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
    fn a_plan_above_the_repository_is_not_ours() {
        let directory = project(&[".taskmaster/tasks/tasks.json", "repository/src/x"]);
        let root = directory.path().join("repository");
        assert_eq!(locate(&root.join("src"), &root), Located::default());
    }

    #[test]
    fn state_over_the_limit_is_not_read() {
        let directory = project(&[".taskmaster/state.json"]);
        let state = directory.path().join(".taskmaster/state.json");
        let mut content = br#"{"currentTag": "mvp"}"#.to_vec();
        fs::write(&state, &content).unwrap();
        assert_eq!(tag_of_project(directory.path()), "mvp");
        content.resize(LARGEST_STATE as usize + 1, b' ');
        fs::write(&state, &content).unwrap();
        assert_eq!(tag_of_project(directory.path()), "master");
    }

    #[test]
    fn a_plan_knows_its_project() {
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
