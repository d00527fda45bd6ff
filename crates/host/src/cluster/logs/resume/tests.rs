use proptest::prelude::*;

use super::*;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

/// Reads a complete response to the next request, up to line `stop` of it. Returns the hashes of new lines, and
/// whether there was a gap.
fn read(resume: &mut Resume, file: &[(i64, u64)], running: bool, stop: usize) -> (Vec<u64>, bool) {
    let request = resume.request(running);
    let from = request
        .tail
        .map_or(0, |tail| file.len().saturating_sub(tail));
    resume.start_response();
    let (mut new, mut gap) = (Vec::new(), false);
    for (time, hash) in file[from..].iter().take(stop) {
        match resume.take(at(*time), *hash) {
            Verdict::Known => {}
            Verdict::NewRequest => return (new, gap),
            Verdict::New => new.push(*hash),
            Verdict::AfterGap(_) => {
                new.push(*hash);
                gap = true;
            }
        }
    }
    resume.ended(from.saturating_add(stop) >= file.len(), 0);
    (new, gap)
}

/// Reads repeatedly until the end of the file.
fn read_on(resume: &mut Resume, file: &[(i64, u64)]) -> (Vec<u64>, bool) {
    let (mut all, mut gaps) = (Vec::new(), false);
    for _ in 0..20 {
        let (new, gap) = read(resume, file, true, usize::MAX);
        let done = new.is_empty() && resume.caught_up();
        all.extend(new);
        gaps |= gap;
        if done {
            return (all, gaps);
        }
    }
    panic!("the end is never reached");
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<(i64, u64)> {
    numbers
        .map(|number| (number as i64 * 100, number))
        .collect()
}

fn hashes(lines: &[(i64, u64)]) -> Vec<u64> {
    lines.iter().map(|(_, hash)| *hash).collect()
}

#[test]
fn finds_position_however_much_was_written_since() {
    for missed in [0, 1, 15, 16, 17, 31, 33, 1_000, 1_100, 40_000] {
        let file = numbered(0..50_000);
        for known in [1, 15, 16, 17, 5_000] {
            let mut resume = Resume::default();
            read(&mut resume, &file[..known], true, usize::MAX);
            let (new, gap) = read_on(&mut resume, &file[..known + missed]);
            assert_eq!(new, hashes(&file[known..known + missed]));
            assert!(!gap, "{missed} lines after {known}");
        }
    }
}

#[test]
fn requests_all_lines_while_few_are_known() {
    for (known, tail) in [(0, None), (1, None), (15, None), (16, Some(32))] {
        let mut resume = Resume::default();
        read(&mut resume, &numbered(0..known), true, usize::MAX);
        let follow = true;
        assert_eq!(resume.request(true), LogRequest { tail, follow }, "{known}");
    }
}

#[test]
fn rotated_file_is_reported_as_gap() {
    for (rotated, missed) in [(100, 1), (103, 50), (200, 5_000)] {
        let file = numbered(0..10_000);
        let mut resume = Resume::default();
        read(&mut resume, &file[..100], true, usize::MAX);
        let now = &file[rotated..rotated + missed];
        assert_eq!(read_on(&mut resume, now), (hashes(now), true));
        // Later lines follow without a gap.
        let (new, gap) = read_on(&mut resume, &file[rotated..rotated + missed + 40]);
        assert_eq!((new.len(), gap), (40, false));
    }
}

#[test]
fn rotation_of_read_lines_is_not_a_gap() {
    for kept in [1, 3, 15, 16, 20] {
        let file = numbered(0..1_000);
        let mut resume = Resume::default();
        read(&mut resume, &file[..100], true, usize::MAX);
        let (new, gap) = read_on(&mut resume, &file[100 - kept..140]);
        assert_eq!(new, hashes(&file[100..140]));
        assert!(!gap, "{kept}");
    }
}

#[test]
fn line_equal_to_the_first_is_not_confused_with_it() {
    // For example empty lines with one timestamp, and a clock with a resolution of seconds.
    for again in [1, 2, 20, 60] {
        for known in [1, 2, 15] {
            let mut file = numbered(0..100);
            file[again] = file[0];
            let mut resume = Resume::default();
            read(&mut resume, &file[..known], true, usize::MAX);
            let (new, gap) = read_on(&mut resume, &file[..again + 32]);
            assert_eq!(new, hashes(&file[known..again + 32]));
            assert!(!gap, "{again} after {known}");
        }
    }
}

#[test]
fn incomplete_line_is_last_only_after_its_predecessors() {
    let file = numbered(1..4);
    for (shown, line, is_last) in [
        (&file[..2], 3, true),
        (&file[..2], 1, false),
        (&file[..1], 3, false),
        // A rotated file starts later.
        (&file[1..2], 3, true),
        (&[], 3, true),
        (&[], 2, false),
    ] {
        let mut resume = Resume::default();
        read(&mut resume, &file, true, usize::MAX);
        resume.start_response();
        for (time, hash) in shown {
            resume.take(at(*time), *hash);
        }
        assert_eq!(resume.ends_with(line), is_last, "{line} behind {shown:?}");
    }
}

#[test]
fn cut_off_response_does_not_lose_the_position() {
    let file = numbered(0..3_000);
    let mut resume = Resume::default();
    read(&mut resume, &file[..500], true, usize::MAX);
    for stop in [10, 20, 100, 499, 3, 450] {
        let (new, gap) = read(&mut resume, &file, true, stop);
        assert!(new.is_empty() && !gap, "{stop}");
    }
    assert_eq!(read_on(&mut resume, &file), (hashes(&file[500..]), false));
}

#[test]
fn clock_set_back_hides_nothing() {
    // While disconnected, the clock is set back by an hour, or by some seconds.
    for (back, missed) in [(3_600_000, 20), (3_600_000, 500), (5_000, 200)] {
        let mut file = numbered(0..1_000);
        for (time, _) in &mut file[500..] {
            *time -= back;
        }
        let mut resume = Resume::default();
        read(&mut resume, &file[..500], true, usize::MAX);
        let (new, gap) = read_on(&mut resume, &file[..500 + missed]);
        assert_eq!(new, hashes(&file[500..500 + missed]));
        assert!(!gap);
    }
}

#[test]
fn ordinals_of_one_timestamp_are_unique() {
    let mut resume = Resume::default();
    let mut ordinals = std::collections::HashSet::new();
    for time in [1_500, 1_400, 1_500, 2_100, 1_400, 1_500, 2_900, 2_000] {
        assert!(ordinals.insert((time, resume.ordinal(at(time)))));
    }
    resume.ordinal(at(9_000));
    assert_eq!(
        resume.ordinals.counts.len(),
        1,
        "old timestamps are dropped"
    );
}

proptest! {
    /// Wherever streams break and clocks jump, each line is returned once.
    #[test]
    fn each_line_comes_once(
        steps in prop::collection::vec((-5_000_i64..1_500, 1_usize..4), 0..80),
        breaks in prop::collection::vec((1_usize..240, 0_usize..200), 0..8),
    ) {
        let mut time = 100_000;
        let mut file = Vec::new();
        for (step, same) in steps {
            time += step;
            for _ in 0..same {
                file.push((time, file.len() as u64));
            }
        }
        let mut resume = Resume::default();
        let mut got = Vec::new();
        let mut written = 0;
        for (more, stop) in breaks {
            written = (written + more).min(file.len());
            let (new, gap) = read(&mut resume, &file[..written], true, stop);
            prop_assert!(!gap, "a gap where there is none");
            got.extend(new);
        }
        let (new, gap) = read_on(&mut resume, &file);
        prop_assert!(!gap, "a gap where there is none");
        got.extend(new);
        prop_assert_eq!(got, hashes(&file));
    }
}
