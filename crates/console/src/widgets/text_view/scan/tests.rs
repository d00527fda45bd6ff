use super::*;
use crate::widgets::text_view::{formatter::Plain, pattern::terms};

fn store(lines: &[&str]) -> Store {
    let mut store = Store::new(usize::MAX);
    for line in lines {
        store.push(line, None, 0);
    }
    store
}

fn scan(pattern: &str, anchor: LineId) -> Scan {
    Scan::new(Matcher::Pattern(Pattern::new(pattern).unwrap()), anchor)
}

#[test]
fn multi_line_check_finds_the_same_lines() {
    let lines = [
        "", "foo", "foobar", "bar foo", "oo", "FOO", "a\tb", "é", "f", "(", "o(?", "end.",
    ];
    let all = store(&lines);
    for typed in [
        "foo",
        "^foo$",
        "^$",
        "\\bfoo\\b",
        "o+$",
        "Foo",
        "FOO",
        "[^a]",
        "\\s",
        "(?i)FOO",
        "\\Afoo\\z",
        "f$|^b",
        "(",
        "o(?",
        "x*",
        ".",
        "é",
        "nowhere",
        "o\\n",
        "\\Df",
        "end\\.$",
        "(?m)^oo",
    ] {
        let pattern = Pattern::new(typed).unwrap();
        let mut scan = scan(typed, 0);
        while !scan.step(&all, &Plain, 10_000, false) {}
        let found: Vec<_> = (0..lines.len() as u64).filter(|id| scan.has(*id)).collect();
        let each = (0_u64..)
            .zip(lines)
            .filter(|(_, line)| pattern.matches(line));
        assert_eq!(found, each.map(|(id, _)| id).collect::<Vec<_>>(), "{typed}");
    }
}

#[test]
fn slices_of_any_size_find_the_same() {
    let store = store(&["a1", "b", "a2", "c", "a3", "a4"]);
    for anchor in 0..7 {
        for budget in [1, 17, 40, 10_000] {
            let mut scan = scan("a", anchor);
            let mut steps = 0;
            while !scan.step(&store, &Plain, budget, false) {
                steps += 1;
                assert!(steps < 100, "a scan ends");
            }
            let found: Vec<_> = (0..6).filter(|id| scan.has(*id)).collect();
            assert_eq!(found, [0, 2, 4, 5], "anchor {anchor}, budget {budget}");
            assert_eq!((scan.count(), scan.rank(4)), (4, 2));
        }
    }
}

#[test]
fn joined_parts_find_the_same() {
    for anchor in 0..7 {
        for (elsewhere, here) in [(1, 1), (40, 17), (17, 40), (10_000, 1), (1, 10_000)] {
            let mut store = store(&["a1", "b", "a2", "c", "a3", "a4"]);
            let mut scan = scan("a", anchor);
            loop {
                let mut part = scan.part();
                part.step(&store, &Plain, elsewhere, false);
                if store.next() < 9 {
                    store.push("a", None, 0);
                }
                let through = scan.step(&store, &Plain, here, false);
                scan.join(part);
                if through {
                    break;
                }
            }
            let found: Vec<_> = (0..9).filter(|id| scan.has(*id)).collect();
            let matcher: Vec<_> = (0..store.next())
                .filter(|id| ![1, 3].contains(id))
                .collect();
            assert_eq!(found, matcher, "anchor {anchor}, {elsewhere} and {here}");
            assert_eq!(scan.count(), matcher.len(), "each once");
        }
    }
}

#[test]
fn ignores_parts_of_another_scan() {
    let store = store(&["a", "b"]);
    let mut part = scan("b", 0);
    part.step(&store, &Plain, 1_000, false);
    let mut own = scan("a", 0);
    own.join(part);
    assert_eq!(own.count(), 0);
}

#[test]
fn next_and_previous_wrap() {
    let store = store(&["a", "b", "a", "b"]);
    let mut scan = scan("a", 1);
    assert_eq!(
        scan.following(3, &store),
        JumpTarget::Pending,
        "nothing was scanned yet"
    );
    while !scan.step(&store, &Plain, 1, false) {}
    assert_eq!(scan.following(1, &store), JumpTarget::Line(2));
    assert_eq!(scan.following(3, &store), JumpTarget::Line(0));
    assert_eq!(scan.preceding(2, &store), JumpTarget::Line(0));
    assert_eq!(scan.preceding(0, &store), JumpTarget::Line(2));
    let mut none = Scan::new(Matcher::Pattern(Pattern::new("zzz").unwrap()), 0);
    while !none.step(&store, &Plain, 1, false) {}
    assert_eq!(none.following(0, &store), JumpTarget::None);
}

#[test]
fn filters_by_several_and_negated_terms() {
    let store = store(&["get /a ok", "get /b error", "post /a ok"]);
    for (typed, kept) in [
        ("get", vec![0, 1]),
        ("get & !error", vec![0]),
        ("!get", vec![2]),
        ("/a & ok", vec![0, 2]),
        ("", vec![0, 1, 2]),
    ] {
        let mut scan = Scan::new(
            Matcher::Filter {
                terms: terms(typed),
                hidden: 0,
            },
            0,
        );
        while !scan.step(&store, &Plain, 5, false) {}
        let found: Vec<_> = (0..3).filter(|id| scan.has(*id)).collect();
        assert_eq!(found, kept, "{typed}");
    }
}
