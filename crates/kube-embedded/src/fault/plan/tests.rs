use super::*;

fn read(text: &str) -> Result<Plan, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("faults.toml");
    fs::write(&path, text).unwrap();
    Plan::read(&path).map_err(|error| error.to_string())
}

#[test]
fn shipped_example_has_every_fault_once() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/faults.toml");
    let plan = Plan::read(&path).unwrap();
    let faults: Vec<String> = plan
        .rules
        .iter()
        .map(|rule| format!("{:?}", rule.then))
        .collect();
    for kind in [
        "Answer",
        "DelayMs",
        "Hang",
        "LoseRequest",
        "LoseResponse",
        "Stale",
        "CutAfterEvents",
        "CutAfterBytes",
        "EndAfterBytes",
        "DuplicateEvents",
        "SlowEventsMs",
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(kind)),
            "{kind} is not in {faults:?}"
        );
    }
    assert!(plan.rules.iter().all(|rule| !rule.name.is_empty()));
}

#[test]
fn parse_error_names_file_line_and_field() {
    for (text, line, said) in [
        ("[[rule]]\nthen = \"explode\"", 2, "explode"),
        ("[[rule]]\nverbs = [\"get\"]", 1, "then"),
        ("[[rule]]\nthen = \"hang\"\nchanse = 0.5", 3, "chanse"),
        ("[[rule]]\nthen = \"hang\"\nchance = 1.5", 3, "from 0 to 1"),
        ("[[rule]]\nthen = \"hang\"\nevery = 0", 3, "nonzero"),
        ("[[rule]]\nthen = \"hang\"\nverbs = [\"grab\"]", 3, "grab"),
        (
            "[[rule]]\nthen = { answer = { code = 200 } }",
            2,
            "400 to 599",
        ),
        ("[[rule]]\nthen = { answer = { kode = 500 } }", 2, "kode"),
        ("seed = 1\n\n[[rules]]", 3, "rules"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains("faults.toml"), "{error}");
        assert!(error.contains(&format!("line {line}")), "{text}: {error}");
        assert!(error.contains(said), "{text}: {error}");
    }
    assert!(read("seed = 3").unwrap_err().contains("[[rule]]"));
    let missing = Plan::read(Path::new("/nowhere/faults.toml")).unwrap_err();
    assert!(missing.to_string().starts_with("/nowhere/faults.toml: "));
}

fn asked(verb: Verb, resource: &str, name: &str) -> RequestInfo {
    RequestInfo {
        verb,
        resource: resource.into(),
        namespace: "default".into(),
        name: name.into(),
    }
}

#[test]
fn rule_matches_if_all_criteria_match() {
    let hang = || Rule::new(Fault::Hang);
    let status = asked(Verb::Patch, "docsruns/status", "docs-a");
    let pods = asked(Verb::Watch, "pods", "");
    for (rule, of_status, of_pods) in [
        (hang(), true, true),
        (hang().verbs(&[Verb::Write]), true, false),
        (hang().verbs(&[Verb::Read]), false, true),
        (hang().verbs(&[Verb::List, Verb::Watch]), false, true),
        (hang().resources(&["docsruns"]), false, false),
        (hang().resources(&["docsruns*"]), true, false),
        (hang().resources(&["*/status", "po*s"]), true, true),
    ] {
        assert_eq!(rule.matches(&status), of_status, "{rule:?}");
        assert_eq!(rule.matches(&pods), of_pods, "{rule:?}");
    }
    let mut rule = hang();
    rule.objects = vec!["docs-*".into()];
    assert!(rule.matches(&status) && !rule.matches(&pods));
    rule.namespaces = vec!["other".into()];
    assert!(!rule.matches(&status));
}

/// Returns which of the first twelve requests the only rule of a plan injects into.
fn strikes(rule: &Rule, seed: u64) -> Vec<u64> {
    strikes_at(0, rule, seed)
}

fn strikes_at(index: u64, rule: &Rule, seed: u64) -> Vec<u64> {
    let mut count = Count::default();
    (1..=12)
        .filter(|_| {
            count.matched += 1;
            let due = rule.should_inject(&count, seed, index);
            count.injected += u64::from(due);
            due
        })
        .collect()
}

#[test]
fn injects_by_count() {
    let hang = || Rule::new(Fault::Hang);
    let all: Vec<u64> = (1..=12).collect();
    for (rule, injected) in [
        (hang(), &*all),
        (hang().nth(3), &[3]),
        (hang().from_nth(10), &[10, 11, 12]),
        (hang().every(5), &[5, 10]),
        (hang().from_nth(4).every(3).times(2), &[6, 9]),
        (hang().times(0), &[]),
    ] {
        assert_eq!(strikes(&rule, 0), injected, "{rule:?}");
    }
}

#[test]
fn chance_is_seeded_and_keeps_its_rate() {
    let mut rule = Rule::new(Fault::Hang);
    rule.chance = Chance(0.25);
    assert_eq!(strikes(&rule, 7), strikes(&rule, 7));
    assert_ne!(strikes(&rule, 7), strikes(&rule, 8));
    assert_ne!(
        strikes(&rule, 7),
        strikes_at(1, &rule, 7),
        "rules choose independently"
    );
    let injected = (0..10_000).filter(|&n| random(7, n) < 0.25).count();
    assert!((2_300..2_700).contains(&injected), "{injected} of 10,000");
}
