//! Records survive crashes, second followers and deleted runs.

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use super::*;
use crate::{
    cluster::logs::{LogLine, LogSource, Notice},
    resources::RunSpec,
    runs::{RunKind, Stage},
};

const UID: &str = "0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f";

fn ledger() -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path().join("ledger")).unwrap();
    (directory, ledger)
}

fn run(name: &str, uid: &str, phase: &str) -> Run {
    let mut run = Run {
        kind: RunKind::Docs,
        metadata: kube::api::ObjectMeta::default(),
        tasks: vec!["1".into()],
        spec: RunSpec::default(),
        code: None,
        status: crate::resources::RunStatus::default(),
    };
    run.metadata.name = Some(name.into());
    run.metadata.uid = Some(uid.into());
    run.status.phase = Some(phase.into());
    run
}

fn source(container: &str) -> Arc<LogSource> {
    Arc::new(LogSource {
        pod: "p".into(),
        pod_uid: "pu".into(),
        container: container.into(),
        restart: 0,
        stage: Some(Stage::Agent),
        context_version: 1,
        attempt: 1,
    })
}

fn line(source: &Arc<LogSource>, millisecond: i64, ordinal: u32, text: &str) -> LogEvent {
    LogEvent::Line(LogLine {
        source: Arc::clone(source),
        at: Timestamp::from_millisecond(1_900_000_000_000 + millisecond).unwrap(),
        ordinal,
        text: text.into(),
        left_out: 0,
    })
}

/// A log as it is followed: a start, lines of which two share a moment, a notice, an end.
fn followed() -> Vec<LogEvent> {
    let agent = source("agent");
    vec![
        LogEvent::SourceStarted(Arc::clone(&agent)),
        line(&agent, 0, 0, "one"),
        line(&agent, 0, 1, "one"),
        line(&agent, 4_000, 0, "two \u{1b}[1m \"quoted\""),
        LogEvent::Notice(
            Arc::clone(&agent),
            Notice::Server("reconnected, 0 lines lost".into()),
        ),
        line(&agent, 9_000, 0, ""),
        LogEvent::SourceEnded(agent),
    ]
}

fn stored(ledger: &Ledger) -> Vec<LogEvent> {
    ledger.read_log(UID).unwrap().collect()
}

fn texts(events: &[LogEvent]) -> Vec<&str> {
    fn text(event: &LogEvent) -> Option<&str> {
        match event {
            LogEvent::Line(line) => Some(&line.text),
            _ => None,
        }
    }
    events.iter().filter_map(text).collect()
}

#[test]
fn a_log_is_read_back_as_it_was_followed() {
    let (_directory, ledger) = ledger();
    assert_eq!(stored(&ledger), []);
    let mut spool = ledger.spool(UID).unwrap().unwrap();
    spool.append(&followed()).unwrap();
    assert_eq!(stored(&ledger), followed());
}

#[test]
fn following_again_doubles_nothing_and_adds_what_is_new() {
    let (_directory, ledger) = ledger();
    let all = followed();
    for stop in [2, 4, 3, 7, 7] {
        let mut spool = ledger.spool(UID).unwrap().unwrap();
        for event in &all[..stop] {
            spool.append(std::slice::from_ref(event)).unwrap();
        }
    }
    assert_eq!(stored(&ledger), all);
    // The same spool hears the log once more from its first line.
    let mut spool = ledger.spool(UID).unwrap().unwrap();
    spool.append(&all).unwrap();
    spool.append(&all).unwrap();
    assert_eq!(stored(&ledger), all);
}

#[test]
fn two_sources_with_the_same_moments_are_kept_apart() {
    let (_directory, ledger) = ledger();
    let (agent, push) = (source("agent"), source("push"));
    let events = [
        line(&agent, 0, 0, "a"),
        line(&push, 0, 0, "b"),
        line(&push, 1, 0, "c"),
    ];
    let mut spool = ledger.spool(UID).unwrap().unwrap();
    spool.append(&events).unwrap();
    assert_eq!(texts(&stored(&ledger)), ["a", "b", "c"]);
}

#[test]
fn a_line_that_a_crash_left_half_written_is_written_again() {
    let (_directory, ledger) = ledger();
    let all = followed();
    ledger.spool(UID).unwrap().unwrap().append(&all).unwrap();
    let path = ledger.directory().join(UID).join("log.jsonl");
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        ledger.spool(UID).unwrap().unwrap().append(&all).unwrap();
        assert_eq!(texts(&stored(&ledger)), texts(&all), "cut at byte {cut}");
    }
}

#[test]
fn one_process_writes_and_the_others_are_told() {
    let (_directory, ledger) = ledger();
    let spool = ledger.spool(UID).unwrap();
    assert!(spool.is_some());
    assert!(ledger.spool(UID).unwrap().is_none());
    drop(spool);
    assert!(ledger.spool(UID).unwrap().is_some());
}

#[test]
fn a_log_that_grows_too_long_ends_with_a_word_about_it() {
    let (_directory, ledger) = ledger();
    let ledger = ledger.with_log_limit(3 * 1024 * 1024);
    let agent = source("agent");
    let long = "x".repeat(1024 * 1024 - 200);
    let events: Vec<LogEvent> = (0..5)
        .map(|index| line(&agent, index * 10, 0, &long))
        .collect();
    for _ in 0..2 {
        let mut spool = ledger.spool(UID).unwrap().unwrap();
        spool.append(&events).unwrap();
    }
    let stored = stored(&ledger);
    assert_eq!(texts(&stored).len(), 3);
    let LogEvent::Notice(_, notice) = stored.last().unwrap() else {
        panic!("{:?}", stored.last());
    };
    assert_eq!(
        notice.to_string(),
        "the ledger keeps 3 MiB of a run's log; what follows is not kept"
    );
}

#[test]
fn runs_are_listed_newest_first_with_what_became_of_them() {
    let (_directory, ledger) = ledger();
    let mut older = run("docs-older", UID, "Running");
    let time = |text: &str| {
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            text.parse().unwrap(),
        ))
    };
    older.metadata.creation_timestamp = time("2030-01-01T00:00:00Z");
    let mut newer = run("docs-newer", "u-2", "Running");
    newer.metadata.creation_timestamp = time("2030-01-02T00:00:00Z");
    ledger.record(&older).unwrap();
    ledger.record(&newer).unwrap();
    older.status.phase = Some("Succeeded".into());
    ledger.record(&older).unwrap();
    ledger
        .spool(UID)
        .unwrap()
        .unwrap()
        .append(&followed())
        .unwrap();
    let at = "2030-01-03T00:00:00Z".parse().unwrap();
    ledger.mark_removed(UID, "ann", at).unwrap();
    std::fs::create_dir(ledger.directory().join("broken")).unwrap();
    std::fs::write(ledger.directory().join("broken/run.json"), "{").unwrap();

    let entries = ledger.list().unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry.run.name()).collect();
    assert_eq!(names, ["docs-newer", "docs-older"]);
    assert_eq!(entries[1].run, older);
    let removed = entries[1].removed.clone().unwrap();
    assert_eq!((removed.by.as_str(), removed.at), ("ann", at));
    assert!(entries[1].log_bytes > 0 && entries[0].log_bytes == 0);

    ledger.forget(UID).unwrap();
    assert_eq!(ledger.entry(UID).unwrap(), None);
}

#[test]
fn nobody_else_may_read_it() {
    let (_directory, ledger) = ledger();
    ledger.record(&run("docs-1", UID, "Running")).unwrap();
    let mut spool = ledger.spool(UID).unwrap().unwrap();
    spool.append(&followed()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = ledger.directory().join(UID);
    assert_eq!((mode(ledger.directory()), mode(&folder)), (0o700, 0o700));
    let mut files = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 3);
}

#[test]
fn a_uid_never_leads_out_of_the_directory() {
    let (_directory, ledger) = ledger();
    for uid in ["", "..", "a/b", "a\0b"] {
        assert!(
            matches!(ledger.spool(uid), Err(LedgerError::Uid(_))),
            "{uid:?}"
        );
    }
}
