//! Reading the facts about a repository of 50,000 files.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use criterion::{Criterion, criterion_group, criterion_main};

use flightdeck_host::repository;

fn git(directory: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(directory)
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.invalid",
        ])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "git {arguments:?}");
}

/// Creates a repository with 500 folders of 100 files, a plan, and an uncommitted change.
fn large(root: &Path) {
    git(root, &["init", "-q", "-b", "main"]);
    for folder in 0..500 {
        let folder = root.join(format!("src/part-{:02}/module-{folder:03}", folder % 20));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(format!("file-{file:02}.rs")), "fn f() {}\n").unwrap();
        }
    }
    fs::create_dir_all(root.join(".taskmaster/tasks")).unwrap();
    let plan = root.join(".taskmaster/tasks/tasks.json");
    fs::write(&plan, r#"{"master": {"tasks": []}}"#).unwrap();
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "All of it"]);
    git(
        root,
        &["remote", "add", "origin", "https://forge.example/shop"],
    );
    git(root, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    fs::write(&plan, "{}").unwrap();
}

fn facts(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    large(directory.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("repository");
    group.sample_size(20);
    group.bench_function("facts of 50,000 files", |bencher| {
        bencher.iter(|| {
            let facts = runtime
                .block_on(repository::read(directory.path()))
                .unwrap();
            assert_eq!(facts.changes.changed, 1);
        });
    });
    // For comparison.
    group.bench_function("git status", |bencher| {
        let status = ["status", "--porcelain=v2", "--branch", "-z"];
        bencher.iter(|| git(directory.path(), &status));
    });
    group.finish();
}

criterion_group!(benches, facts);
criterion_main!(benches);
