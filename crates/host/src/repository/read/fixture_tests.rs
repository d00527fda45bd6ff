//! Tests with realistic repositories. Those that git2 can open are read with both implementations, which must agree.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path};

use super::*;
use crate::repository::{
    Operation,
    fixture::{self, Fixture, PLAN, PLAN_PATH},
    git::Git,
    query_remote,
};

/// Reads the facts with both implementations and compares them.
async fn facts(start: &Path) -> Facts {
    let owned = start.canonicalize().unwrap();
    let runtime = Handle::current();
    let both = tokio::task::spawn_blocking(move || {
        let by_git =
            read_opened(&GitBackend::open(runtime.clone(), &owned).unwrap(), &owned).unwrap();
        (read_blocking(&runtime, &owned).unwrap(), by_git)
    });
    let (mut one, mut other) = both.await.unwrap();
    for facts in [&mut one, &mut other] {
        // git2 uses file times, git the reflog.
        if let Some(remote) = &mut facts.remote {
            remote.fetched = None;
            if let Some(known) = &mut remote.known {
                known.seen = None;
            }
        }
    }
    assert_eq!(one, other, "git2 and git differ");
    read(start).await.unwrap()
}

/// Runs a git command that must fail, such as a merge with conflicts.
async fn run_failing(root: &Path, arguments: &[&str]) {
    let run = Git::new(root).isolated().args(arguments);
    assert!(run.run().await.is_err(), "{arguments:?}");
}

#[tokio::test]
async fn detects_every_operation_in_progress() {
    let fixture = Fixture::pushed().await;
    fixture.conflict().await;
    let patch = fixture
        .git(&["format-patch", "-1", "--stdout", "other"])
        .await;
    fs::write(fixture.root.join(".git/patch"), patch + "\n").unwrap();
    for (begin, abort, operation) in [
        (
            &["merge", "other"][..],
            &["merge", "--abort"][..],
            Operation::Merge,
        ),
        (
            &["rebase", "other"],
            &["rebase", "--abort"],
            Operation::Rebase,
        ),
        (
            &["rebase", "--apply", "other"],
            &["rebase", "--abort"],
            Operation::Rebase,
        ),
        (
            &["cherry-pick", "other"],
            &["cherry-pick", "--abort"],
            Operation::CherryPick,
        ),
        (
            &["revert", "--no-edit", "HEAD~2"],
            &["revert", "--abort"],
            Operation::Revert,
        ),
        (
            &["am", ".git/patch"],
            &["am", "--abort"],
            Operation::ApplyMailbox,
        ),
    ] {
        if operation == Operation::Revert {
            // Reverting fails because the lines have changed since.
            fixture.write(PLAN_PATH, "{}");
            fixture.commit("Another plan").await;
        }
        run_failing(&fixture.root, begin).await;
        assert_eq!(facts(&fixture.root).await.operation, Some(operation));
        fixture.git(abort).await;
        assert_eq!(facts(&fixture.root).await.operation, None, "{abort:?}");
    }
    fixture.git(&["bisect", "start", "HEAD", "HEAD~1"]).await;
    assert_eq!(
        facts(&fixture.root).await.operation,
        Some(Operation::Bisect)
    );
}

#[tokio::test]
async fn reads_reftable_and_sha256_repositories() {
    for init in ["--ref-format=reftable", "--object-format=sha256"] {
        let fixture = Fixture::pushed_as(&[init]).await;
        let colleague = fixture.colleague().await;
        fixture::write(&colleague, PLAN_PATH, "{}");
        fixture::commit(&colleague, "Another plan").await;
        fixture::run(&colleague, &["push", "-q"]).await;
        fixture.write("mine", "x");
        fixture.commit("Mine").await;
        fixture.write(PLAN_PATH, "{ }");

        let before = read(&fixture.root).await.unwrap();
        let known = before.remote.as_ref().unwrap().known.clone().unwrap();
        assert_eq!(before.branch(), Some("feature/x"), "{init}");
        assert_eq!((known.ahead, known.behind), (1, 0), "{init}");
        assert_eq!(known.plan_blob, before.plan.head_blob, "{init}");
        assert!(known.seen.is_some(), "{init}");
        assert_ne!(before.plan.disk_blob, before.plan.head_blob, "{init}");
        assert_eq!(before.differing[0].path, PLAN_PATH);

        query_remote(&before).await.unwrap();
        let known = read(&fixture.root).await.unwrap();
        let known = known.remote.unwrap().known.unwrap();
        assert_eq!((known.ahead, known.behind), (1, 1), "{init}");
        assert_ne!(known.plan_blob, before.plan.head_blob, "{init}");

        fixture.git(&["checkout", "-q", "--detach"]).await;
        assert_eq!(read(&fixture.root).await.unwrap().branch(), None);
        fixture.git(&["checkout", "-q", "--orphan", "fresh"]).await;
        let unborn = read(&fixture.root).await.unwrap();
        assert_eq!(
            unborn.head,
            Head::Unborn {
                name: "fresh".into()
            }
        );
        let inside = read(&fixture.root.join(".git")).await.unwrap_err();
        assert!(matches!(inside, FactsError::Bare(_)), "{init}: {inside}");
        let bare = read(&fixture.origin).await.unwrap_err();
        assert!(matches!(bare, FactsError::Bare(_)), "{init}: {bare}");
    }
}

#[tokio::test]
async fn detects_cherry_pick_in_reftable() {
    let fixture = Fixture::pushed_as(&["--ref-format=reftable"]).await;
    fixture.conflict().await;
    run_failing(&fixture.root, &["cherry-pick", "other"]).await;
    let facts_read = read(&fixture.root).await.unwrap().operation;
    assert_eq!(facts_read, Some(Operation::CherryPick));
}

#[tokio::test]
async fn partial_clone_learns_the_plan_by_contacting_remote() {
    for filter in ["--filter=blob:none", "--filter=tree:0"] {
        let fixture = Fixture::pushed().await;
        for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
            fixture::run(&fixture.origin, &["config", key, "true"]).await;
        }
        let colleague = fixture.colleague().await;
        let partial = fixture.directory.path().join("partial");
        let url = format!("file://{}", fixture.origin.display());
        let place = partial.to_str().unwrap();
        let clone = ["clone", "-q", filter, "-b", "feature/x", &url, place];
        fixture::run(fixture.directory.path(), &clone).await;
        fixture::write(&colleague, PLAN_PATH, "{}");
        fixture::commit(&colleague, "Another plan").await;
        fixture::run(&colleague, &["push", "-q"]).await;
        fixture::run(&partial, &["fetch", "-q", "--no-auto-maintenance"]).await;

        let before = facts(&partial).await;
        let remote = before.remote.as_ref().unwrap();
        let known = remote.known.as_ref().unwrap();
        assert!(remote.partial);
        assert_eq!((known.ahead, known.behind), (0, 1), "{filter}");
        assert_eq!(before.plan.disk_blob, before.plan.head_blob);
        assert_eq!(known.unread, filter == "--filter=tree:0", "{filter}");

        query_remote(&before).await.unwrap();
        let known = facts(&partial).await.remote.unwrap().known.unwrap();
        let there = fixture::run(&colleague, &["rev-parse", &format!("HEAD:{PLAN_PATH}")]).await;
        assert_eq!(
            (known.unread, known.plan_blob),
            (false, Some(there.clone()))
        );
        let plan = crate::repository::blob(&partial, &there).await.unwrap();
        assert_eq!(plan, b"{}", "{filter}");
    }
}

#[tokio::test]
async fn counts_commits_in_shallow_clone() {
    let fixture = Fixture::pushed().await;
    fixture.write("a", "1");
    fixture.commit("One").await;
    fixture.git(&["push", "-q"]).await;
    let shallow = fixture.directory.path().join("shallow");
    let url = format!("file://{}", fixture.origin.display());
    let place = shallow.to_str().unwrap();
    let clone = ["clone", "-q", "--depth=1", "-b", "feature/x", &url, place];
    fixture::run(fixture.directory.path(), &clone).await;
    fixture.write("a", "2");
    fixture.commit("Two").await;
    fixture.git(&["push", "-q"]).await;
    query_remote(&facts(&shallow).await).await.unwrap();
    let known = facts(&shallow).await.remote.unwrap().known.unwrap();
    assert_eq!((known.ahead, known.behind), (0, 1));
    assert!(known.plan_blob.is_some());
}

#[tokio::test]
async fn treats_submodule_as_its_own_repository() {
    let fixture = Fixture::pushed().await;
    let above = fixture.directory.path().join("above");
    fs::create_dir(&above).unwrap();
    fixture::run(&above, &["init", "-q", "-b", "main"]).await;
    let origin = fixture.origin.to_str().unwrap();
    let add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        "-b",
        "feature/x",
        origin,
        "shop",
    ];
    fixture::run(&above, &add).await;
    let inside = facts(&above.join("shop")).await;
    assert_eq!(inside.root, above.canonicalize().unwrap().join("shop"));
    assert_eq!(inside.remote.as_ref().unwrap().place(), "origin/feature/x");
    assert_eq!(
        inside.plan.disk_blob,
        inside.remote.unwrap().known.unwrap().plan_blob
    );
    // Seen from the outer repository, its plan belongs to another project.
    let outside = facts(&above).await;
    assert_eq!((outside.plan.path, outside.plan.others.len()), (None, 1));
}

#[tokio::test]
async fn clones_the_remote_of_the_upstream() {
    let fixture = Fixture::pushed().await;
    let fork = fixture.directory.path().join("fork.git");
    let (fork_place, origin) = (fork.to_str().unwrap(), fixture.origin.to_str().unwrap());
    fixture
        .git(&["clone", "-q", "--bare", origin, fork_place])
        .await;
    fixture.git(&["remote", "add", "fork", fork_place]).await;
    let remote = facts(&fixture.root).await.remote.unwrap();
    assert_eq!(remote.name, "origin");
    fixture
        .git(&["push", "-q", "-u", "fork", "feature/x"])
        .await;
    let followed = facts(&fixture.root).await;
    assert_eq!(followed.remote.unwrap().place(), "fork/feature/x");
    assert_eq!(followed.other_remotes, ["origin"]);
    // A branch without an upstream uses `origin`.
    fixture
        .git(&["checkout", "-q", "-b", "new", "--no-track"])
        .await;
    assert_eq!(
        facts(&fixture.root).await.remote.unwrap().place(),
        "origin/new"
    );
    fixture
        .git(&["remote", "rename", "origin", "upstream"])
        .await;
    assert_eq!(facts(&fixture.root).await.remote.unwrap().name, "fork");
}

#[tokio::test]
async fn reads_separate_push_url() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&[
            "remote",
            "set-url",
            "--push",
            "origin",
            "ssh://git@other.example/shop",
        ])
        .await;
    let remote = facts(&fixture.root).await.remote.unwrap();
    assert_eq!(remote.push_url, "ssh://git@other.example/shop");
    assert_eq!(remote.clone_url, fixture.origin.to_str().unwrap());
}

#[tokio::test]
async fn reads_renamed_default_branch_from_remote() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["push", "-q", "origin", "HEAD:refs/heads/trunk"])
        .await;
    fixture
        .git(&[
            "symbolic-ref",
            "refs/remotes/origin/HEAD",
            "refs/remotes/origin/main",
        ])
        .await;
    fixture::run(
        &fixture.origin,
        &["symbolic-ref", "HEAD", "refs/heads/trunk"],
    )
    .await;
    let before = facts(&fixture.root).await;
    assert_eq!(
        before.remote.as_ref().unwrap().default_branch.as_deref(),
        Some("main")
    );
    assert_eq!(
        query_remote(&before)
            .await
            .unwrap()
            .default_branch
            .as_deref(),
        Some("trunk")
    );
}

#[tokio::test]
async fn names_plan_as_git_does_if_case_differs() {
    let fixture = Fixture::empty().await;
    fixture.write(".TaskMaster/tasks/tasks.json", PLAN);
    fixture.commit("The plan").await;
    fixture
        .git(&["remote", "add", "origin", "https://forge.example/shop"])
        .await;
    // As on a case-insensitive file system.
    fs::rename(
        fixture.root.join(".TaskMaster"),
        fixture.root.join(".taskmaster"),
    )
    .unwrap();
    assert_eq!(facts(&fixture.root).await.plan.known_as, None);
    fixture.git(&["config", "core.ignorecase", "true"]).await;
    let known_as = facts(&fixture.root).await.plan.known_as;
    assert_eq!(known_as.as_deref(), Some(".TaskMaster/tasks/tasks.json"));
}

#[tokio::test]
async fn tolerates_names_that_are_not_utf8() {
    let fixture = Fixture::pushed().await;
    let strange = OsStr::from_bytes(b"\xff.md");
    fs::create_dir_all(fixture.root.join(".taskmaster/docs")).unwrap();
    if fs::write(fixture.root.join(".taskmaster/docs").join(strange), "x").is_err() {
        // The file system does not allow such names.
        return;
    }
    let facts_read = facts(&fixture.root).await;
    assert_eq!(facts_read.differing[0].path, ".taskmaster/docs/\u{fffd}.md");
    let project = fixture.root.join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir_all(project.join(".taskmaster/tasks")).unwrap();
    fs::write(project.join(PLAN_PATH), PLAN).unwrap();
    let facts_read = facts(&project).await;
    assert!(facts_read.plan.path.is_some() && facts_read.plan.relative.is_none());
}

#[tokio::test]
async fn reads_linked_work_tree_with_both() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["worktree", "add", "-q", "-b", "feature/y", "../linked"])
        .await;
    let linked = facts(&fixture.root.parent().unwrap().join("linked")).await;
    assert_eq!(linked.branch(), Some("feature/y"));
    assert_eq!(linked.common_dir, fixture.root.join(".git"));
}

#[tokio::test]
async fn passes_on_error_for_unsupported_format() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["config", "core.repositoryFormatVersion", "99"])
        .await;
    let error = read(&fixture.root).await.unwrap_err().to_string();
    assert!(error.contains("99"), "{error}");
}

#[tokio::test]
async fn compares_plan_in_lfs_by_its_pointer() {
    let fixture = Fixture::pushed().await;
    // Like git-lfs: content in, a pointer with its hash out.
    let clean = "f() { printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\n' $(sha256sum | cut -c1-64); }; f";
    fixture.git(&["config", "filter.lfs.clean", clean]).await;
    fixture
        .git(&["config", "filter.lfs.required", "true"])
        .await;
    fixture.write(".gitattributes", "tasks.json filter=lfs -text\n");
    fixture.git(&["add", "--renormalize", "."]).await;
    fixture.commit("The plan in LFS").await;
    fixture.git(&["push", "-q"]).await;
    let facts_read = facts(&fixture.root).await;
    let pointer = facts_read.plan.head_blob.clone().unwrap();
    let there = facts_read.remote.as_ref().unwrap().known.clone().unwrap();
    assert_eq!(facts_read.plan.bytes.as_deref(), Some(PLAN.as_bytes()));
    assert_eq!(facts_read.plan.disk_blob.as_ref(), Some(&pointer));
    assert_eq!(there.plan_blob.as_ref(), Some(&pointer));
    assert_eq!(
        (facts_read.changes.total(), facts_read.differing.len()),
        (0, 0)
    );
    let bytes = crate::repository::blob(&fixture.root, &pointer)
        .await
        .unwrap();
    assert!(bytes.starts_with(b"version https://git-lfs"));

    fixture.write(PLAN_PATH, "{}");
    let facts_read = facts(&fixture.root).await;
    assert_ne!(facts_read.plan.disk_blob.as_ref(), Some(&pointer));
    assert_eq!(facts_read.differing[0].path, PLAN_PATH);

    // Without LFS the file is the pointer itself, and nothing differs.
    let facts_read = facts(&fixture.colleague().await).await;
    assert_eq!(facts_read.plan.bytes.as_deref(), Some(bytes.as_slice()));
    assert_eq!(facts_read.plan.disk_blob.as_ref(), Some(&pointer));
    assert!(facts_read.differing.is_empty());
}

#[tokio::test]
async fn sparse_checkout_reports_no_missing_files() {
    let fixture = Fixture::pushed().await;
    fixture.write("far/away.md", "x");
    fixture.write(".taskmaster/docs/prd.txt", "x");
    fixture.commit("More").await;
    fixture.git(&["push", "-q"]).await;
    let narrow = |folder| {
        [
            "sparse-checkout",
            "set",
            "--cone",
            "--no-sparse-index",
            folder,
        ]
    };
    fixture.git(&narrow(".taskmaster/tasks")).await;
    assert!(!fixture.root.join(".taskmaster/docs").exists());
    let facts_read = facts(&fixture.root).await;
    let there = facts_read.remote.as_ref().unwrap().known.clone().unwrap();
    assert_eq!(facts_read.plan.disk_blob, facts_read.plan.head_blob);
    assert_eq!(facts_read.plan.disk_blob, there.plan_blob);
    assert_eq!(
        (facts_read.changes.total(), facts_read.differing.len()),
        (0, 0)
    );
    fixture.write(PLAN_PATH, "{}");
    assert_eq!(facts(&fixture.root).await.differing[0].path, PLAN_PATH);
    fixture.git(&["checkout", "-q", PLAN_PATH]).await;

    // Only git itself can read a sparse index.
    fixture
        .git(&["sparse-checkout", "reapply", "--sparse-index"])
        .await;
    let facts_read = read(&fixture.root).await.unwrap();
    assert_eq!(facts_read.plan.disk_blob, there.plan_blob);
    assert_eq!(
        (facts_read.changes.total(), facts_read.differing.len()),
        (0, 0)
    );

    fixture.git(&narrow("far")).await;
    let facts_read = facts(&fixture.root).await;
    assert_eq!(
        (facts_read.plan.path, facts_read.changes.total()),
        (None, 0)
    );
    assert!(facts_read.differing.is_empty());
}
