//! Tests for crashes, concurrent followers and deleted runs.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, sync::Arc};

use super::*;
use flightdeck_core::{
    log::{LogLine, LogSource, Notice},
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
        status: flightdeck_core::resources::RunStatus::default(),
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
        bytes: None,
        left_out: 0,
    })
}

/// The events of a followed log: a start, lines of which two share a timestamp, a notice, an end.
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
fn reads_log_back_as_followed() {
    let (_directory, ledger) = ledger();
    assert_eq!(stored(&ledger), []);
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&followed()).unwrap();
    assert_eq!(stored(&ledger), followed());
}

#[test]
fn following_again_adds_only_new_lines() {
    let (_directory, ledger) = ledger();
    let all = followed();
    for stop in [2, 4, 3, 7, 7] {
        let mut writer = ledger.log_writer(UID).unwrap().unwrap();
        for event in &all[..stop] {
            writer.append(std::slice::from_ref(event)).unwrap();
        }
    }
    assert_eq!(stored(&ledger), all);
    // The same writer receives the log once more from its first line.
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&all).unwrap();
    writer.append(&all).unwrap();
    assert_eq!(stored(&ledger), all);
}

#[test]
fn keeps_lines_when_clock_is_set_back() {
    let (_directory, ledger) = ledger();
    let agent = source("agent");
    let all: Vec<LogEvent> = [0, 60_000, 3_000, 4_000, 61_000]
        .iter()
        .map(|at| line(&agent, *at, 0, &format!("at {at}")))
        .collect();
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&all).unwrap();
    assert_eq!(stored(&ledger)[1..], all);
    drop(writer);
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all)
        .unwrap();
    assert_eq!(texts(&stored(&ledger)), texts(&all));
}

#[test]
fn keeps_lines_when_clock_is_set_back_between_follows() {
    let agent = source("agent");
    let all: Vec<LogEvent> = [0, 60_000, 3_000, 4_000, 5_000, 61_000]
        .iter()
        .map(|at| line(&agent, *at, 0, &format!("at {at}")))
        .collect();
    for first_stop in 1..all.len() {
        let (_directory, ledger) = ledger();
        for stop in [first_stop, all.len(), all.len()] {
            let mut writer = ledger.log_writer(UID).unwrap().unwrap();
            writer
                .append(&[LogEvent::SourceStarted(Arc::clone(&agent))])
                .unwrap();
            writer.append(&all[..stop]).unwrap();
        }
        assert_eq!(
            texts(&stored(&ledger)),
            texts(&all),
            "{first_stop} followed before"
        );
    }
}

#[test]
fn keeps_sources_with_equal_timestamps_apart() {
    let (_directory, ledger) = ledger();
    let (agent, push) = (source("agent"), source("push"));
    let events = [
        line(&agent, 0, 0, "a"),
        line(&push, 0, 0, "b"),
        line(&push, 1, 0, "c"),
    ];
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&events).unwrap();
    assert_eq!(texts(&stored(&ledger)), ["a", "b", "c"]);
}

#[test]
fn rewrites_line_left_incomplete_by_crash() {
    let (_directory, ledger) = ledger();
    let all = followed();
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all)
        .unwrap();
    let path = only_segment(&ledger);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        ledger
            .log_writer(UID)
            .unwrap()
            .unwrap()
            .append(&all)
            .unwrap();
        assert_eq!(texts(&stored(&ledger)), texts(&all), "cut at byte {cut}");
        for segment in segments(&ledger) {
            std::fs::remove_file(segment).unwrap();
        }
    }
}

fn segments(ledger: &Ledger) -> Vec<PathBuf> {
    let items = std::fs::read_dir(ledger.directory().join(UID).join("log")).unwrap();
    let mut paths: Vec<PathBuf> = items.map(|item| item.unwrap().path()).collect();
    paths.sort();
    paths
}

fn only_segment(ledger: &Ledger) -> PathBuf {
    let paths = segments(ledger);
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths[0].clone()
}

/// The ledger's own notices about the log.
fn notices(events: &[LogEvent]) -> Vec<String> {
    let notice = |event: &LogEvent| match event {
        LogEvent::Notice(source, notice) if source.pod.is_empty() => Some(notice.to_string()),
        _ => None,
    };
    events.iter().filter_map(notice).collect()
}

/// Returns whether `part` is a subsequence of `whole`.
fn is_part(part: &[&str], whole: &[&str]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|line| rest.any(|other| other == line))
}

/// Writes a log of `lines` lines in several segments, the last of which is open.
fn written_log(ledger: &Ledger, lines: i64) -> Vec<LogEvent> {
    let (agent, push) = (source("agent"), source("push"));
    let events: Vec<LogEvent> = (0..lines)
        .map(|index| {
            let from = if index % 3 == 0 { &push } else { &agent };
            line(
                from,
                index * 400,
                0,
                &format!("line {index} \u{1f600} \"x\""),
            )
        })
        .collect();
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    events
        .chunks(3)
        .for_each(|chunk| writer.append(chunk).unwrap());
    events
}

/// Checks that a damaged log returns no invented or duplicate lines, reports missing ones, and can be appended to.
fn check_damaged_log(ledger: &Ledger, all: &[LogEvent], what: &str, cut: bool, go_on: bool) {
    let read = stored(ledger);
    let (read_texts, all_texts) = (texts(&read), texts(all));
    assert!(is_part(&read_texts, &all_texts), "{what}: {read_texts:?}");
    // A file that ends between two lines does not look damaged; its content is a prefix.
    let beginning = all_texts.starts_with(&read_texts);
    let whole = read_texts.len() == all_texts.len();
    assert!(
        whole || !notices(&read).is_empty() || (cut && beginning),
        "{what}: lines are missing without a notice: {read_texts:?}"
    );
    if !go_on {
        return;
    }
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(all)
        .unwrap();
    let after = stored(ledger);
    let after = texts(&after);
    let mut once = after.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), after.len(), "{what}: doubled: {after:?}");
    assert!(after.len() >= read_texts.len(), "{what}: {after:?}");
}

#[test]
fn survives_any_single_byte_of_damage() {
    for segment in [400, 1024 * 1024] {
        let (_directory, ledger) = ledger();
        let ledger = ledger.with_segments_of(segment);
        let all = written_log(&ledger, 7);
        let folder = ledger.directory().join(UID).join("log");
        let files: Vec<(PathBuf, Vec<u8>)> = segments(&ledger)
            .into_iter()
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        assert_eq!(files.len() > 2, segment == 400);
        let restore = || {
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::create_dir(&folder).unwrap();
            for (path, bytes) in &files {
                std::fs::write(path, bytes).unwrap();
            }
        };
        for (path, bytes) in &files {
            let name = path.file_name().unwrap().to_string_lossy();
            for at in 0..bytes.len() {
                // Appending is slow; the ends of a file matter most.
                let go_on = at % 31 == 0 || at < 2 || at + 2 > bytes.len();
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                for (what, damaged) in [("cut", &bytes[..at]), ("flipped", &flipped[..])] {
                    std::fs::write(path, damaged).unwrap();
                    let what_happened = format!("{name} {what} at {at}");
                    check_damaged_log(&ledger, &all, &what_happened, what == "cut", go_on);
                    if go_on {
                        restore();
                    }
                }
            }
            restore();
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 48, failure_persistence: None, ..Default::default() })]
    #[test]
    fn large_log_survives_random_damage(damage in proptest::collection::vec((0_usize..100, 0_usize..1_000, proptest::bool::ANY, 0_u8..8), 1..4)) {
        let (_directory, ledger) = ledger();
        let ledger = ledger.with_segments_of(20_000);
        let all = written_log(&ledger, 1_500);
        let files = segments(&ledger);
        let mut cut = false;
        for (file, at, cuts, bit) in &damage {
            let path = &files[file % files.len()];
            let mut bytes = std::fs::read(path).unwrap();
            let at = at * bytes.len() / 1_000;
            if *cuts {
                cut = true;
                bytes.truncate(at);
            } else if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
            std::fs::write(path, bytes).unwrap();
        }
        check_damaged_log(&ledger, &all, &format!("{damage:?}"), cut, true);
    }
}

#[test]
fn restores_state_from_last_segments() {
    let (_directory, ledger) = ledger();
    let ledger = ledger.with_segments_of(400);
    let all = written_log(&ledger, 200);
    // The first segments may be missing without causing duplicates.
    let before = stored(&ledger);
    for segment in &segments(&ledger)[..10] {
        std::fs::remove_file(segment).unwrap();
    }
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all)
        .unwrap();
    let after = stored(&ledger);
    assert!(texts(&before).ends_with(&texts(&after)[..]));
    assert!(texts(&after).len() > 100);
    let notice = notices(&after).join("\n");
    assert!(
        notice.contains("missing here: over the ledger's log limit"),
        "{notice}"
    );
}

#[test]
fn reads_from_any_line() {
    let (_directory, ledger) = ledger();
    let ledger = ledger.with_segments_of(400);
    let all = written_log(&ledger, 100);
    assert_eq!(ledger.log_lines(UID).unwrap(), 100);
    for from in [0, 1, 37, 99, 100, 500] {
        let read: Vec<LogEvent> = ledger.read_log_from(UID, from).unwrap().collect();
        let skipped = (from as usize).min(100);
        assert_eq!(texts(&read), texts(&all)[skipped..], "from {from}");
        assert_eq!(notices(&read), [""; 0]);
    }
}

#[test]
fn compresses_ended_log_as_plain_gzip() {
    let (_directory, ledger) = ledger();
    let agent = source("agent");
    let words = "the quick brown fox jumps over the lazy dog ".repeat(3);
    let mut events: Vec<LogEvent> = (0..5_000)
        .map(|index| line(&agent, index, 0, &format!("{index} {words}")))
        .collect();
    events.push(LogEvent::RunEnded);
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&events)
        .unwrap();
    let names: Vec<PathBuf> = segments(&ledger);
    assert!(
        names
            .iter()
            .all(|name| name.to_string_lossy().ends_with(".jsonl.gz")),
        "{names:?}"
    );
    ledger.record(&run("docs-1", UID, "Succeeded")).unwrap();
    let bytes = ledger.entry(UID).unwrap().unwrap().log_bytes;
    assert!(bytes < 5_000 * 140 / 5, "{bytes} bytes");
    let mut text = String::new();
    let first = std::fs::File::open(&names[0]).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(first), &mut text)
        .unwrap();
    assert!(
        text.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    assert_eq!(texts(&stored(&ledger)), texts(&events));
}

#[test]
fn appends_archived_end_after_followed_lines() {
    let (_directory, ledger) = ledger();
    let agent = source("agent");
    let all: Vec<LogEvent> = (0..6)
        .map(|index| line(&agent, index * 100, 0, &format!("{index}")))
        .collect();
    let lines: Vec<LogLine> = all
        .iter()
        .map(|event| match event {
            LogEvent::Line(line) => line.clone(),
            _ => unreachable!(),
        })
        .collect();
    // The controller knows only the pod's name.
    let nameless = Arc::new(LogSource {
        pod_uid: String::new(),
        ..agent.as_ref().clone()
    });
    let lines: Vec<LogLine> = lines
        .into_iter()
        .map(|line| LogLine {
            source: Arc::clone(&nameless),
            ..line
        })
        .collect();
    // Followed up to line 2, archived from line 1: nothing is missing.
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all[..3])
        .unwrap();
    ledger.complete(UID, &lines[1..], true).unwrap();
    ledger.complete(UID, &lines[1..], true).unwrap();
    let read = stored(&ledger);
    assert_eq!(texts(&read), texts(&all));
    assert!(
        !read
            .iter()
            .any(|event| matches!(event, LogEvent::Notice(..)))
    );
    assert_eq!(
        read.last(),
        Some(&LogEvent::SourceEnded(Arc::clone(&agent)))
    );
    // Not followed, and only the end was archived.
    ledger.forget(UID).unwrap();
    ledger.complete(UID, &lines[4..], true).unwrap();
    let read = stored(&ledger);
    assert_eq!(texts(&read), ["4", "5"]);
    assert!(
        matches!(&read[1], LogEvent::Notice(_, notice) if notice.to_string().contains("earlier lines are missing"))
    );
}

#[test]
fn refuses_ledger_of_newer_version() {
    let (_directory, ledger) = ledger();
    let path = ledger.directory().join("format");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
    for found in ["3", "x"] {
        std::fs::write(&path, found).unwrap();
        let error = Ledger::open(ledger.directory()).unwrap_err().to_string();
        assert!(
            error.contains("newer flightdeck") && error.contains(found),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), found);
    }
}

#[test]
fn prunes_old_runs_then_oldest_while_too_large() {
    let (_directory, ledger) = ledger();
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let write = |name: &str, uid: &str, phase: &str, days: u32| {
        ledger.record(&run(name, uid, phase)).unwrap();
        let file = std::fs::File::options()
            .append(true)
            .open(ledger.directory().join(uid).join("run.json"));
        file.unwrap()
            .set_modified(std::time::SystemTime::now() - day * days)
            .unwrap();
    };
    write("docs-ancient", "u-1", "Succeeded", 100);
    write("docs-old", "u-2", "Failed", 50);
    write("docs-new", "u-3", "Succeeded", 1);
    write("docs-active", "u-4", "Running", 0);
    let now = Timestamp::now();
    let plan = |retention| ledger.plan_prune(&retention, now).unwrap();
    let names = |plan: &PrunePlan| {
        plan.runs
            .iter()
            .map(|run| run.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(plan(Retention::default()).runs, []);
    let old = plan(Retention { days: 90, bytes: 0 });
    assert_eq!(names(&old), ["docs-ancient"]);
    assert_eq!(old.runs[0].why, "last written 100 days ago");
    let much = plan(Retention {
        days: 0,
        bytes: old.runs[0].bytes * 2,
    });
    assert_eq!(names(&much), ["docs-ancient", "docs-old"]);
    assert_eq!(
        names(&plan(Retention { days: 0, bytes: 1 })),
        ["docs-ancient", "docs-old", "docs-new"]
    );

    // Runs being written are kept, whatever the plan says.
    let writing = ledger.log_writer("u-2").unwrap().unwrap();
    let removed = ledger.prune(&much).unwrap();
    assert_eq!(removed, much.runs[..1]);
    assert!(ledger.entry("u-2").unwrap().is_some() && ledger.entry("u-1").unwrap().is_none());
    drop(writing);
    assert_eq!(
        ledger.size().unwrap(),
        ledger
            .list()
            .unwrap()
            .iter()
            .map(|entry| entry.bytes)
            .sum::<u64>()
    );
}

#[test]
fn stores_files_and_totals_of_a_run() {
    let (_directory, ledger) = ledger();
    assert_eq!(ledger.files(UID).unwrap(), None);
    let files = BTreeMap::from([("prompt.md".to_owned(), "Write.".to_owned())]);
    ledger.record_files(UID, &files).unwrap();
    assert_eq!(ledger.files(UID).unwrap(), Some(files));
    ledger.record(&run("docs-1", UID, "Failed")).unwrap();
    let mut totals = Totals::default();
    totals.usage.cost_micro_usd = 420_000;
    ledger.record_totals(UID, &totals).unwrap();
    assert_eq!(
        ledger.entry(UID).unwrap().unwrap().usage(),
        Some(totals.usage)
    );
}

#[test]
fn allows_one_writer_at_a_time() {
    let (_directory, ledger) = ledger();
    let writer = ledger.log_writer(UID).unwrap();
    assert!(writer.is_some());
    assert!(ledger.log_writer(UID).unwrap().is_none());
    drop(writer);
    assert!(ledger.log_writer(UID).unwrap().is_some());
}

#[test]
fn drops_oldest_lines_over_limit_with_a_notice() {
    let (_directory, ledger) = ledger();
    let ledger = ledger.with_segments_of(2_000).with_log_limit(1_000);
    let all = written_log(&ledger, 300);
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all)
        .unwrap();
    let read = stored(&ledger);
    let kept = texts(&read);
    assert!(
        texts(&all).ends_with(&kept) && (20..250).contains(&kept.len()),
        "{kept:?}"
    );
    let missing = format!(
        "{} lines missing here: over the ledger's log limit",
        300 - kept.len()
    );
    assert_eq!(notices(&read), [missing]);
}

#[test]
fn lists_runs_newest_first() {
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
        .log_writer(UID)
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
fn files_are_private_to_their_owner() {
    let (_directory, ledger) = ledger();
    ledger.record(&run("docs-1", UID, "Running")).unwrap();
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&followed()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = ledger.directory().join(UID);
    assert_eq!((mode(ledger.directory()), mode(&folder)), (0o700, 0o700));
    let mut files = 0;
    assert_eq!(mode(&folder.join("log")), 0o700);
    for file in segments(&ledger)
        .into_iter()
        .chain(["lock", "run.json"].map(|name| folder.join(name)))
    {
        assert_eq!(mode(&file), 0o600);
        files += 1;
    }
    assert_eq!(files, 3);
}

#[test]
fn uid_cannot_escape_the_directory() {
    let (_directory, ledger) = ledger();
    for uid in ["", "..", "a/b", "a\0b"] {
        assert!(
            matches!(ledger.log_writer(uid), Err(LedgerError::Uid(_))),
            "{uid:?}"
        );
    }
}

/// Returns the lines among `events`.
fn lines(events: &[LogEvent]) -> Vec<LogLine> {
    let line = |event: &LogEvent| match event {
        LogEvent::Line(line) => Some(line.clone()),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

#[test]
fn completes_log_from_within_one_timestamp() {
    let (_directory, ledger) = ledger();
    let agent = source("agent");
    // Three lines with the same timestamp, of which two were followed.
    let mut all: Vec<LogEvent> = (0..3)
        .map(|n| line(&agent, 5_000, n, &format!("five {n}")))
        .collect();
    all.push(line(&agent, 6_000, 0, "six"));
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&all[..2]).unwrap();
    drop(writer);
    for _ in 0..2 {
        ledger.complete(UID, &lines(&all), false).unwrap();
        assert_eq!(texts(&stored(&ledger)), texts(&all));
    }
}

#[test]
fn reads_late_archived_source_in_start_order() {
    let (_directory, ledger) = ledger();
    let (prep, agent) = (source("prep"), source("agent"));
    let followed = [line(&agent, 10_000, 0, "agent 1")];
    let mut writer = ledger.log_writer(UID).unwrap().unwrap();
    writer.append(&followed).unwrap();
    drop(writer);
    for (source, at, text) in [(&prep, 5_000, "prep"), (&agent, 20_000, "agent 2")] {
        let kept = lines(&[line(source, at, 0, text)]);
        ledger.complete(UID, &kept, false).unwrap();
    }
    assert_eq!(texts(&stored(&ledger)), ["agent 1", "prep", "agent 2"]);
    let ordered: Vec<LogEvent> = ledger.read_in_order(UID).unwrap().collect();
    assert_eq!(texts(&ordered), ["prep", "agent 1", "agent 2"]);
    assert_eq!(
        ordered.len(),
        stored(&ledger).len(),
        "no other events are lost"
    );
}

#[test]
fn log_size_is_bounded_by_limit_and_open_segment() {
    let (_directory, ledger) = ledger();
    let ledger = ledger.with_segments_of(2_000).with_log_limit(3_000);
    written_log(&ledger, 2_000);
    let bytes: u64 = segments(&ledger)
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    // The open segment counts once it is sealed, and is only slightly larger than its limit.
    assert!(bytes <= 3_000 + 2_500, "{bytes} bytes");
    assert!(segments(&ledger).len() > 2, "{:?}", segments(&ledger));
}

#[test]
fn follower_does_not_duplicate_archived_lines() {
    let (_directory, ledger) = ledger();
    let agent = source("agent");
    let all: Vec<LogEvent> = (0..4)
        .map(|n| line(&agent, 5_000, n, &format!("five {n}")))
        .collect();
    // The archive begins within the timestamp, and counts ordinals from there.
    let kept: Vec<LogLine> = lines(&all[1..])
        .into_iter()
        .map(|line| LogLine {
            ordinal: line.ordinal - 1,
            ..line
        })
        .collect();
    ledger.complete(UID, &kept, true).unwrap();
    let before = texts(&stored(&ledger)).len();
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all)
        .unwrap();
    assert_eq!(texts(&stored(&ledger)).len(), before);
}
