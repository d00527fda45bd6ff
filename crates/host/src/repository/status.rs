//! Files that differ from HEAD, and the object ID of the plan on disk. Both come from the `git` program, so that the
//! user's line-ending rules, filter drivers and file-system monitors apply.

use super::{
    facts::{Changes, Difference, Differing, Facts},
    git::{Git, GitError},
};

/// Sets the counts, the differing files and the plan's object ID.
pub(super) async fn fill(facts: &mut Facts) -> Result<(), GitError> {
    let git = || Git::new(&facts.root);
    let all_files = git()
        .args([
            "status",
            "--porcelain=v2",
            "-z",
            "--no-renames",
            "--untracked-files=normal",
        ])
        .run();
    let paths = plan_paths(facts);
    let run_files = git()
        .args([
            "--literal-pathspecs",
            "status",
            "--porcelain=v2",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--",
        ])
        .args(&paths)
        .run();
    let hashed = async {
        match (&facts.plan.relative, &facts.plan.bytes) {
            (Some(path), Some(bytes)) => git()
                .args(["hash-object", "--stdin"])
                .arg(format!("--path={path}"))
                .input(&**bytes)
                .run()
                .await
                .map(|output| Some(output.text())),
            _ => Ok(None),
        }
    };
    let (all_files, run_files, hashed) = tokio::try_join!(all_files, run_files, hashed)?;
    facts.changes = count(&parse(&all_files.stdout));
    facts.differing = parse(&run_files.stdout)
        .iter()
        .map(|entry| Differing {
            path: entry.path.clone(),
            how: entry.difference(),
        })
        .collect();
    facts.plan.disk_blob = hashed;
    facts.plan.known_as = known_as(facts).await?;
    correct_plan_blob(facts).await
}

/// Returns the plan's name in the index if it differs only in case and `core.ignorecase` is set.
async fn known_as(facts: &Facts) -> Result<Option<String>, GitError> {
    let (Some(path), None) = (&facts.plan.relative, &facts.plan.head_blob) else {
        return Ok(None);
    };
    let git = |words: &[&str]| Git::new(&facts.root).args(words).run();
    let listed = git(&[
        "ls-files",
        "-z",
        "--",
        &format!(":(top,literal,icase){path}"),
    ])
    .await;
    // Some git versions do not support this combination.
    let listed = listed.unwrap_or_default().text();
    let other = listed
        .split('\0')
        .find(|name| !name.is_empty() && *name != path);
    let Some(other) = other else {
        return Ok(None);
    };
    let ignores = git(&[
        "config",
        "--type=bool",
        "--default=false",
        "core.ignorecase",
    ]);
    Ok((ignores.await?.text() == "true").then(|| other.to_owned()))
}

/// Corrects the plan's object ID where `git status` knows better: `hash-object` ignores the index, where a file may
/// have line endings that git would convert if it were new. If git reports the plan as unchanged, it is HEAD's,
/// unless it is marked assume-unchanged.
async fn correct_plan_blob(facts: &mut Facts) -> Result<(), GitError> {
    let plan = &facts.plan;
    let (Some(path), Some(head), Some(disk)) = (&plan.relative, &plan.head_blob, &plan.disk_blob)
    else {
        return Ok(());
    };
    if head == disk || facts.differing.iter().any(|file| file.path == *path) {
        return Ok(());
    }
    let flags = Git::new(&facts.root)
        .args(["--literal-pathspecs", "ls-files", "-v", "--"])
        .arg(path)
        .run()
        .await?
        .text();
    if flags.starts_with("H ") {
        facts.plan.disk_blob = Some(head.clone());
    } else {
        facts.differing.push(Differing {
            path: path.clone(),
            how: Difference::Changed,
        });
    }
    Ok(())
}

/// Returns the plan and its documents' directory.
fn plan_paths(facts: &Facts) -> Vec<String> {
    let prefix = flightdeck_core::runs::naming::directory_prefix(&facts.working_directory);
    let mut paths = vec![format!("{prefix}.taskmaster/docs")];
    paths.extend(facts.plan.relative.clone());
    paths
}

/// A line of `status --porcelain=v2`.
struct StatusEntry {
    /// `1`, `2`, `u` or `?`.
    kind: u8,
    /// State in the index; `.` means equal to HEAD.
    staged: u8,
    /// State on disk; `.` means equal to the index.
    disk: u8,
    path: String,
}

impl StatusEntry {
    const fn difference(&self) -> Difference {
        match (self.kind, self.staged, self.disk) {
            (b'?', ..) => Difference::Untracked,
            (b'u', ..) => Difference::Conflicted,
            (_, _, b'D') | (_, b'D', b'.') => Difference::Deleted,
            (_, _, b'.') => Difference::Staged,
            _ => Difference::Changed,
        }
    }
}

/// Parses `status --porcelain=v2 -z`; skips unknown records.
fn parse(bytes: &[u8]) -> Vec<StatusEntry> {
    let text = String::from_utf8_lossy(bytes);
    let mut records = text.split('\0');
    let mut entries = Vec::new();
    while let Some(record) = records.next() {
        let kind = record.bytes().next().unwrap_or_default();
        // Number of words before the path.
        let words = match kind {
            b'?' => 1,
            b'1' => 8,
            b'2' => 9,
            b'u' => 10,
            _ => continue,
        };
        if kind == b'2' {
            // The old path of a rename.
            records.next();
        }
        let state = record.as_bytes();
        if let Some(path) = record.splitn(words + 1, ' ').nth(words) {
            entries.push(StatusEntry {
                kind,
                staged: state.get(2).copied().unwrap_or(b'.'),
                disk: state.get(3).copied().unwrap_or(b'.'),
                path: path.to_owned(),
            });
        }
    }
    entries
}

fn count(entries: &[StatusEntry]) -> Changes {
    let mut changes = Changes::default();
    for entry in entries {
        match entry.kind {
            b'?' => changes.untracked += 1,
            b'u' => changes.conflicted += 1,
            _ if entry.disk != b'.' => changes.changed += 1,
            _ => changes.staged += 1,
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_status_of_every_kind() {
        let status = "1 .M N... 100644 100644 100644 aaa aaa changed file.txt\0\
            1 M. N... 100644 100644 100644 aaa bbb staged.txt\0\
            2 R. N... 100644 100644 100644 aaa aaa R100 new name\0old name\0\
            u UU N... 100644 100644 100644 100644 a b c both.txt\0\
            1 D. N... 100644 000000 000000 aaa 000 gone.txt\0\
            ? new folder/\0! ignored\0";
        let entries = parse(status.as_bytes());
        let read: Vec<(&str, Difference)> = entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.difference()))
            .collect();
        assert_eq!(
            read,
            [
                ("changed file.txt", Difference::Changed),
                ("staged.txt", Difference::Staged),
                ("new name", Difference::Staged),
                ("both.txt", Difference::Conflicted),
                ("gone.txt", Difference::Deleted),
                ("new folder/", Difference::Untracked),
            ]
        );
        let counted = count(&entries);
        assert_eq!(
            (
                counted.changed,
                counted.staged,
                counted.untracked,
                counted.conflicted
            ),
            (1, 3, 1, 1)
        );
    }
}
