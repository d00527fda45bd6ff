//! Checks the Dockerfile without building it: the copied files exist, suffice for the build, and match .dockerignore.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the instructions of each stage of the Dockerfile, with continued lines joined and without comments.
fn stages() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages: Vec<Vec<String>> = Vec::new();
    for line in joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if line.starts_with("FROM ") {
            stages.push(Vec::new());
        }
        stages
            .last_mut()
            .expect("FROM comes first")
            .push(line.to_owned());
    }
    stages
}

/// Returns what a stage copies from the build context, as source and destination.
fn copies(stage: &[String]) -> Vec<(String, String)> {
    let copies = stage.iter().filter_map(|line| line.strip_prefix("COPY "));
    copies
        .filter(|line| !line.starts_with("--from="))
        .flat_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (to, from) = words.split_last().unwrap();
            let to = to.trim_start_matches("./").to_owned();
            let into_folder = from.len() > 1 || to.is_empty() || to.ends_with('/');
            from.iter()
                .map(|from| {
                    let to = if into_folder {
                        format!("{to}{from}")
                    } else {
                        to.clone()
                    };
                    ((*from).to_owned(), to)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Returns the paths that .dockerignore includes. It excludes everything else.
fn included_paths() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let mut lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"));
    lines
        .map(|line| {
            line.strip_prefix('!')
                .expect("only exceptions follow")
                .to_owned()
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// Returns the files that a source includes at compile time: the joined string literals of each `include_str!(..)`.
fn included_files(source: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("include_str!(") {
        let call = text[at..].split(')').next().unwrap_or_default();
        let path: String = call.split('"').skip(1).step_by(2).collect();
        found.push(source.parent().unwrap().join(path));
    }
    found
}

fn sources(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn image_copies_exactly_what_the_build_needs() {
    let stages = stages();
    let copied: Vec<(String, String)> = stages.iter().flat_map(|stage| copies(stage)).collect();
    let named: BTreeSet<String> = copied.iter().map(|(from, _)| from.clone()).collect();
    assert_eq!(
        named,
        included_paths(),
        "the Dockerfile and .dockerignore name different files"
    );
    for excluded in [".git", "target", "tests", "screenshots", ".ci"] {
        assert!(!named.contains(excluded));
    }

    // The directory of the build stage.
    let context = tempfile::tempdir().unwrap();
    for (from, to) in copies(&stages[0]) {
        copy(&root().join(&from), &context.path().join(to));
    }
    // Cargo finds every target of the manifest, and the lock file is current.
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--locked",
            "--no-deps",
            "--format-version=1",
        ])
        .current_dir(context.path())
        .output()
        .unwrap();
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let mut files = Vec::new();
    sources(&context.path().join("src"), &mut files);
    sources(&context.path().join("crates"), &mut files);
    let mut count = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for path in included_files(&file, &text) {
            count += 1;
            // Only the directory remains of a path that a macro completes.
            assert!(
                path.exists(),
                "{} includes {}, which is not copied",
                file.display(),
                path.display()
            );
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn image_runs_as_a_user_and_has_git_and_ssh() {
    let stages = stages();
    let last = stages.last().unwrap();
    let instruction = |word: &str| {
        last.iter()
            .rfind(|line| line.starts_with(word))
            .unwrap()
            .as_str()
    };
    assert_eq!(instruction("USER"), "USER 1000:1000");
    assert_eq!(instruction("ENTRYPOINT"), "ENTRYPOINT [\"flightdeck\"]");
    let run = instruction("RUN");
    for needed in [
        "ca-certificates",
        " git ",
        "git-lfs",
        "openssh-client",
        "useradd --uid 1000",
    ] {
        assert!(run.contains(needed), "{needed}");
    }
    // The binary is copied from the directory of its profile.
    let build = stages[0]
        .iter()
        .rfind(|line| line.starts_with("RUN"))
        .unwrap();
    assert!(build.contains("--locked --profile dist"), "{build}");
    assert!(
        last.iter().any(|line| line
            == "COPY --from=build /src/target/dist/flightdeck /usr/local/bin/flightdeck")
    );
}
