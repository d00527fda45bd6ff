//! Repositories as people really have them. Whatever git2 can open is read both ways, and both must say the same.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path};

use super::*;
use crate::repository::{
    Operation, ask,
    fixture::{self, Fixture, PLAN, PLAN_PATH},
    git::Git,
};

/// The facts, read both ways where both can.
async fn facts(start: &Path) -> Facts {
    let owned = start.canonicalize().unwrap();
    let runtime = Handle::current();
    let both = tokio::task::spawn_blocking(move || {
        let by_git = look_at(&ByGit::open(runtime.clone(), &owned).unwrap(), &owned).unwrap();
        (look(&runtime, &owned).unwrap(), by_git)
    });
    let (mut one, mut other) = both.await.unwrap();
    for facts in [&mut one, &mut other] {
        // The times are of files here, and of the reference log there.
        if let Some(remote) = &mut facts.remote {
            remote.fetched = None;
            if let Some(known) = &mut remote.known {
                known.seen = None;
            }
        }
    }
    assert_eq!(one, other, "git2, and git");
    read(start).await.unwrap()
}

/// Runs git where it may fail, as a merge with a conflict does.
async fn attempt(root: &Path, arguments: &[&str]) {
    let run = Git::new(root).isolated().args(arguments);
    assert!(run.run().await.is_err(), "{arguments:?}");
}

#[tokio::test]
async fn whatever_git_is_in_the_middle_of_is_told() {
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
            // What is reverted was changed again since.
            fixture.write(PLAN_PATH, "{}");
            fixture.commit("Another plan").await;
        }
        attempt(&fixture.root, begin).await;
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
async fn references_in_a_table_and_sha256_names_are_read_by_git_itself() {
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

        ask(&before).await.unwrap();
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
async fn a_cherry_pick_in_a_table_of_references_is_told() {
    let fixture = Fixture::pushed_as(&["--ref-format=reftable"]).await;
    fixture.conflict().await;
    attempt(&fixture.root, &["cherry-pick", "other"]).await;
    let told = read(&fixture.root).await.unwrap().operation;
    assert_eq!(told, Some(Operation::CherryPick));
}

#[tokio::test]
async fn a_clone_without_all_objects_says_what_it_cannot_tell_and_learns_it_by_asking() {
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

        ask(&before).await.unwrap();
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
async fn a_shallow_clone_counts_what_it_has() {
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
    ask(&facts(&shallow).await).await.unwrap();
    let known = facts(&shallow).await.remote.unwrap().known.unwrap();
    assert_eq!((known.ahead, known.behind), (0, 1));
    assert!(known.plan_blob.is_some());
}

#[tokio::test]
async fn a_submodule_is_a_repository_of_its_own() {
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
    // Seen from above, its plan is somebody else's.
    let outside = facts(&above).await;
    assert_eq!((outside.plan.path, outside.plan.others.len()), (None, 1));
}

#[tokio::test]
async fn of_several_remotes_the_one_the_branch_follows_is_cloned() {
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
    // A branch that follows nothing goes where most do.
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
async fn what_is_pushed_elsewhere_is_told() {
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
async fn a_default_branch_that_was_renamed_is_the_one_the_remote_names() {
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
        ask(&before).await.unwrap().default_branch.as_deref(),
        Some("trunk")
    );
}

#[tokio::test]
async fn a_plan_git_knows_by_another_case_is_named_as_git_knows_it() {
    let fixture = Fixture::empty().await;
    fixture.write(".TaskMaster/tasks/tasks.json", PLAN);
    fixture.commit("The plan").await;
    fixture
        .git(&["remote", "add", "origin", "https://forge.example/shop"])
        .await;
    // As on a file system that takes both names for one.
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
async fn names_that_are_not_utf8_are_survived() {
    let fixture = Fixture::pushed().await;
    let strange = OsStr::from_bytes(b"\xff.md");
    fs::create_dir_all(fixture.root.join(".taskmaster/docs")).unwrap();
    if fs::write(fixture.root.join(".taskmaster/docs").join(strange), "x").is_err() {
        // This file system has no such names.
        return;
    }
    let told = facts(&fixture.root).await;
    assert_eq!(told.differing[0].path, ".taskmaster/docs/\u{fffd}.md");
    let project = fixture.root.join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir_all(project.join(".taskmaster/tasks")).unwrap();
    fs::write(project.join(PLAN_PATH), PLAN).unwrap();
    let told = facts(&project).await;
    assert!(told.plan.path.is_some() && told.plan.relative.is_none());
}

#[tokio::test]
async fn a_linked_work_tree_is_read_alike() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["worktree", "add", "-q", "-b", "feature/y", "../linked"])
        .await;
    let linked = facts(&fixture.root.parent().unwrap().join("linked")).await;
    assert_eq!(linked.branch(), Some("feature/y"));
    assert_eq!(linked.common_dir, fixture.root.join(".git"));
}

#[tokio::test]
async fn a_repository_of_somebody_else_says_what_git_says() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["config", "core.repositoryFormatVersion", "99"])
        .await;
    let error = read(&fixture.root).await.unwrap_err().to_string();
    assert!(error.contains("99"), "{error}");
}

#[tokio::test]
async fn a_plan_in_lfs_is_compared_by_its_pointer() {
    let fixture = Fixture::pushed().await;
    // As the real program does it: the content goes in, a pointer with its hash comes out.
    let clean = "f() { printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\n' $(sha256sum | cut -c1-64); }; f";
    fixture.git(&["config", "filter.lfs.clean", clean]).await;
    fixture
        .git(&["config", "filter.lfs.required", "true"])
        .await;
    fixture.write(".gitattributes", "tasks.json filter=lfs -text\n");
    fixture.git(&["add", "--renormalize", "."]).await;
    fixture.commit("The plan in LFS").await;
    fixture.git(&["push", "-q"]).await;
    let told = facts(&fixture.root).await;
    let pointer = told.plan.head_blob.clone().unwrap();
    let there = told.remote.as_ref().unwrap().known.clone().unwrap();
    assert_eq!(told.plan.bytes.as_deref(), Some(PLAN.as_bytes()));
    assert_eq!(told.plan.disk_blob.as_ref(), Some(&pointer));
    assert_eq!(there.plan_blob.as_ref(), Some(&pointer));
    assert_eq!((told.changes.total(), told.differing.len()), (0, 0));
    let bytes = crate::repository::blob(&fixture.root, &pointer)
        .await
        .unwrap();
    assert!(bytes.starts_with(b"version https://git-lfs"));

    fixture.write(PLAN_PATH, "{}");
    let told = facts(&fixture.root).await;
    assert_ne!(told.plan.disk_blob.as_ref(), Some(&pointer));
    assert_eq!(told.differing[0].path, PLAN_PATH);

    // Whoever has no LFS at all has the pointer itself, and nothing that differs.
    let told = facts(&fixture.colleague().await).await;
    assert_eq!(told.plan.bytes.as_deref(), Some(bytes.as_slice()));
    assert_eq!(told.plan.disk_blob.as_ref(), Some(&pointer));
    assert!(told.differing.is_empty());
}

#[tokio::test]
async fn a_sparse_checkout_misses_nothing_that_was_left_out() {
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
    let told = facts(&fixture.root).await;
    let there = told.remote.as_ref().unwrap().known.clone().unwrap();
    assert_eq!(told.plan.disk_blob, told.plan.head_blob);
    assert_eq!(told.plan.disk_blob, there.plan_blob);
    assert_eq!((told.changes.total(), told.differing.len()), (0, 0));
    fixture.write(PLAN_PATH, "{}");
    assert_eq!(facts(&fixture.root).await.differing[0].path, PLAN_PATH);
    fixture.git(&["checkout", "-q", PLAN_PATH]).await;

    // An index of folders is one that only git itself reads.
    fixture
        .git(&["sparse-checkout", "reapply", "--sparse-index"])
        .await;
    let told = read(&fixture.root).await.unwrap();
    assert_eq!(told.plan.disk_blob, there.plan_blob);
    assert_eq!((told.changes.total(), told.differing.len()), (0, 0));

    fixture.git(&narrow("far")).await;
    let told = facts(&fixture.root).await;
    assert_eq!((told.plan.path, told.changes.total()), (None, 0));
    assert!(told.differing.is_empty());
}
