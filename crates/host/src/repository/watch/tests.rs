use super::*;
use crate::repository::{
    fixture::{Fixture, PLAN_PATH},
    read,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until all of `expected` was reported.
async fn expect_change(watch: &RepositoryWatch, expected: Changed) {
    let mut so_far = Changed::default();
    let waited = tokio::time::timeout(TIMEOUT, async {
        while (expected.repository && !so_far.repository) || (expected.plan && !so_far.plan) {
            let changed = watch.changed().await;
            so_far.repository |= changed.repository;
            so_far.plan |= changed.plan;
        }
    });
    assert!(
        waited.await.is_ok(),
        "{expected:?} was not reported, only {so_far:?}"
    );
}

const PLAN_ONLY: Changed = Changed {
    repository: false,
    plan: true,
};
const REPOSITORY_ONLY: Changed = Changed {
    repository: true,
    plan: false,
};

#[tokio::test]
async fn reports_every_kind_of_change() {
    let fixture = Fixture::pushed().await;
    let watch = RepositoryWatch::new(&read(&fixture.root).await.unwrap()).unwrap();
    // As Task Master writes: a temporary file renamed over the plan, repeatedly.
    for text in ["{}", "[]"] {
        fixture.write(".taskmaster/tasks/.tasks.json.tmp", text);
        let folder = fixture.root.join(".taskmaster/tasks");
        std::fs::rename(folder.join(".tasks.json.tmp"), folder.join("tasks.json")).unwrap();
        expect_change(&watch, PLAN_ONLY).await;
    }
    fixture.write(".taskmaster/docs/task-1/task.md", "x");
    expect_change(&watch, PLAN_ONLY).await;
    fixture.git(&["add", "-A"]).await;
    expect_change(&watch, REPOSITORY_ONLY).await;
    fixture.git(&["commit", "-q", "-m", "More"]).await;
    expect_change(&watch, REPOSITORY_ONLY).await;
    fixture
        .git(&["checkout", "-q", "-b", "another/branch"])
        .await;
    expect_change(&watch, REPOSITORY_ONLY).await;
    fixture
        .git(&["push", "-q", "origin", "another/branch"])
        .await;
    expect_change(&watch, REPOSITORY_ONLY).await;
}

#[tokio::test]
async fn reports_and_follows_new_plan() {
    let fixture = Fixture::pushed().await;
    let web = fixture.root.join("apps/web");
    fixture.git(&["rm", "-q", "-r", ".taskmaster"]).await;
    std::fs::create_dir_all(&web).unwrap();
    let mut watch = RepositoryWatch::new(&read(&web).await.unwrap()).unwrap();
    fixture.write("apps/web/.taskmaster/tasks/tasks.json", "{}");
    expect_change(&watch, PLAN_ONLY).await;
    watch.follow(&read(&web).await.unwrap()).unwrap();
    fixture.write("apps/web/.taskmaster/state.json", "{}");
    expect_change(&watch, PLAN_ONLY).await;
}

#[tokio::test]
async fn reading_is_not_reported() {
    let fixture = Fixture::pushed().await;
    let facts = read(&fixture.root).await.unwrap();
    let watch = RepositoryWatch::new(&facts).unwrap();
    let look = async || {
        read(&fixture.root).await.unwrap();
        std::fs::read(fixture.root.join(PLAN_PATH)).unwrap();
        fixture.write("src.rs", "somewhere else in the project");
    };
    // Only the change after the read is reported.
    look().await;
    fixture.write(PLAN_PATH, "{}");
    let changed = tokio::time::timeout(TIMEOUT, watch.changed())
        .await
        .unwrap();
    assert_eq!(changed, PLAN_ONLY);
    look().await;
    fixture.git(&["branch", "another"]).await;
    let changed = tokio::time::timeout(TIMEOUT, watch.changed())
        .await
        .unwrap();
    assert_eq!(changed, REPOSITORY_ONLY);
}

#[test]
fn classifies_events_by_path() {
    use notify::event::{AccessKind, AccessMode, CreateKind, DataChange, MetadataKind};
    let paths = RepositoryPaths {
        git_dir: "/r/.git/worktrees/w".into(),
        common_dir: "/r/.git".into(),
        project: "/r".into(),
    };
    let modified = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    for (kind, path, meaning) in [
        (modified, "/r/.git/HEAD", REPOSITORY),
        (modified, "/r/.git/index.lock", 0),
        (modified, "/r/.taskmaster/tasks/tasks.json", PLAN),
        (modified, "/r/.taskmaster/tasks/tasks.json.lock", 0),
        (modified, "/r/README.md", 0),
        (
            EventKind::Create(CreateKind::Folder),
            "/r/.taskmaster",
            PLAN,
        ),
        (
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            "/r/.git/HEAD",
            0,
        ),
        (
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
            "/r/.git/index",
            0,
        ),
    ] {
        let event = Event::new(kind).add_path(path.into());
        assert_eq!(paths.classify(&event), meaning, "{event:?}");
    }
}

#[tokio::test]
async fn reports_changes_of_reftables_and_packed_refs() {
    let fixture = Fixture::pushed_as(&["--ref-format=reftable"]).await;
    let watch = RepositoryWatch::new(&read(&fixture.root).await.unwrap()).unwrap();
    fixture.git(&["branch", "another"]).await;
    expect_change(&watch, REPOSITORY_ONLY).await;
    fixture
        .git(&["worktree", "add", "-q", "-b", "linked", "../linked"])
        .await;
    let linked = fixture.root.parent().unwrap().join("linked");
    let watch = RepositoryWatch::new(&read(&linked).await.unwrap()).unwrap();
    crate::repository::fixture::run(&linked, &["switch", "-q", "another"]).await;
    expect_change(&watch, REPOSITORY_ONLY).await;

    let fixture = Fixture::pushed().await;
    let watch = RepositoryWatch::new(&read(&fixture.root).await.unwrap()).unwrap();
    fixture.git(&["pack-refs", "--all"]).await;
    expect_change(&watch, REPOSITORY_ONLY).await;
}
