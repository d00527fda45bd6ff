use proptest::prelude::*;

use super::*;

/// Returns the numbers of the loaded lines from one on.
fn numbers(store: &Store, from: LineId) -> Vec<LineId> {
    let mut numbers = Vec::new();
    store.walk(from, false, |line| {
        numbers.push(line.id);
        true
    });
    numbers
}

/// Spills all segments that are due.
fn spill_all(store: &mut Store) {
    loop {
        let next = store.next_to_spill();
        if next.is_empty() {
            return;
        }
        let file = store.write(&next).ok();
        store.spilled(
            file,
            next.into_iter().map(|(location, _)| location).collect(),
        );
    }
}

fn text(number: u64) -> String {
    format!("{number} é {}", "x".repeat((number % 97) as usize))
}

#[test]
fn spilled_lines_stay_readable() {
    let mut store = Store::new(300_000);
    for number in 0..20_000 {
        store.push(
            &text(number),
            (number % 3 > 0).then_some(number as i64),
            number as u16 % 5,
        );
        if number % 500 == 0 {
            spill_all(&mut store);
            assert!(store.bytes() <= 300_000 + SEGMENT);
        }
    }
    assert_eq!(store.first(), 0, "nothing was dropped");
    assert!(store.is_spilled(0) && !store.is_spilled(19_999) && !store.is_spilled(20_000));
    assert_eq!(store.with(10, |_| ()), None);
    let mut next = 0;
    store.walk(0, true, |line| {
        assert_eq!((line.id, line.text), (next, text(next).as_str()));
        assert_eq!(line.at, (next % 3 > 0).then_some(next as i64));
        assert_eq!(line.tag, next as u16 % 5);
        next += 1;
        true
    });
    assert_eq!(next, 20_000);
    let missing = store.missing([10]);
    assert!(!missing.is_empty());
    let read = store.read(&missing);
    store.cache(missing.len(), read);
    assert_eq!(store.with(10, |line| line.text.to_owned()), Some(text(10)));
    assert!(!numbers(&store, 10).is_empty() && numbers(&store, 10).len() < 20_000);
    assert_eq!(store.start(), Some(1), "the first that has a time");
    assert!(store.since(19_990) <= 19_990 && store.since(19_990) >= 19_980);
}

#[test]
fn drops_oldest_lines_when_the_disk_fails() {
    let mut store = Store::new(300_000);
    for number in 0..3_000 {
        store.push(&text(number), None, 0);
    }
    let next = store.next_to_spill();
    assert!(next.is_empty(), "there is room");
    for number in 3_000..6_000 {
        store.push(&text(number), None, 0);
    }
    let next = store.next_to_spill();
    assert!(!next.is_empty());
    store.spilled(
        None,
        next.into_iter().map(|(location, _)| location).collect(),
    );
    assert!(store.next_to_spill().is_empty(), "no retry");
    for number in 6_000..20_000 {
        store.push(&text(number), None, 0);
    }
    assert!(store.first() > 0);
    assert_eq!(
        store.with(19_999, |line| line.text.to_owned()),
        Some(text(19_999))
    );
    assert_eq!(numbers(&store, 0).len() as u64, 20_000 - store.first());
}

#[test]
fn keeps_numbers_when_lines_are_dropped() {
    let mut store = Store::new(300_000);
    let text = "x".repeat(100);
    for _ in 0..10_000 {
        store.push(&text, Some(5), 1);
    }
    assert_eq!(store.next(), 10_000);
    assert!(store.first() > 5_000, "old lines were dropped");
    assert!(store.bytes() <= 375_000 + SEGMENT);
    assert_eq!(store.with(store.first() - 1, |_| ()), None);
    let line = store.with(9_999, |line| (line.id, line.at, line.tag));
    assert_eq!(line, Some((9_999, Some(5), 1)));
    assert_eq!(numbers(&store, 0)[0], store.first());
}

#[test]
fn memory_overhead_is_small() {
    let mut store = Store::new(usize::MAX);
    let text = "y".repeat(120);
    for _ in 0..50_000 {
        store.push(&text, None, 0);
    }
    let held = store.slots.iter().map(|slot| match slot {
        Slot::InMemory(segment) => segment.held(),
        Slot::Spilled(_) => 0,
    });
    let held: usize = held.sum();
    assert!(held as f64 <= 50_000.0 * 120.0 * 1.3, "{held} bytes held");
}

proptest! {
    #[test]
    fn returns_what_was_added(lines in proptest::collection::vec(("[^\n]{0,40}", any::<u16>()), 0..200), long in 0usize..200) {
        let mut store = Store::new(usize::MAX);
        for (index, (text, tag)) in lines.iter().enumerate() {
            let text = if index == long { "z".repeat(SEGMENT + 1) } else { text.clone() };
            store.push(&text, None, *tag);
        }
        for (index, (text, tag)) in lines.iter().enumerate() {
            let (found, known) = store.with(index as u64, |line| (line.text.to_owned(), line.tag)).unwrap();
            prop_assert_eq!(known, *tag);
            if index != long { prop_assert_eq!(&found, text); }
        }
        prop_assert_eq!(numbers(&store, long as u64).len(), lines.len().saturating_sub(long));
    }
}
