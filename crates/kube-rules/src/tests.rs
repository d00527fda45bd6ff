//! Rules at every place of a schema, and what they must withstand.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Returns a schema whose `spec` is `spec`.
fn schema(spec: &Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

fn rules(spec: &Value) -> Rules {
    let (rules, problems) = Rules::compile(&schema(spec));
    assert_eq!(problems, [], "{spec}");
    rules
}

/// Returns the violations as `field: detail`.
fn violations(rules: &Rules, new: &Value, old: Option<&Value>) -> Vec<String> {
    let old = old.map(|old| json!({ "spec": old }));
    let found = rules.evaluate(&json!({ "spec": new }), old.as_ref());
    found
        .into_iter()
        .map(|violation| format!("{}: {}", violation.field, violation.detail))
        .collect()
}

/// Returns a schema with fields of many types, and one rule on the whole.
fn ruled(rule: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "ratio": {"type": "number"},
            "name": {"type": "string"},
            "maybe": {"type": "string"},
            "since": {"type": "string", "format": "date-time"},
            "port": {"x-kubernetes-int-or-string": true},
            "a-b.c": {"type": "string"},
            "namespace": {"type": "string"},
            "list": {"type": "array", "items": {"type": "string"}},
            "numbers": {"type": "array", "items": {"type": "integer"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "unknown": {"x-kubernetes-preserve-unknown-fields": true},
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}},
            },
        },
        "x-kubernetes-validations": [{"rule": rule}],
    })
}

/// Returns a value of [`ruled`].
fn value() -> Value {
    json!({
        "size": 3, "ratio": 1, "name": "abcabc", "since": "2026-01-02T03:04:05Z", "port": "http", "a-b.c": "x",
        "namespace": "n", "list": ["b", "a"], "numbers": [1, 2, 3], "set": ["x", "y"], "labels": {"app": "web"},
        "free": {"any": [1]}, "unknown": 1, "keyed": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
    })
}

#[test]
fn expressions_hold_as_on_an_api_server() {
    for rule in [
        "self.size == 3 && self.ratio == 1.0 && self.ratio > 0.5",
        "type(self.ratio) == double && type(self.size) == int",
        "!has(self.maybe) && has(self.name)",
        "self.port == 'http' && type(self.port) == string",
        "self.a__dash__b__dot__c == 'x' && self.__namespace__ == 'n'",
        "self.labels['app'] == 'web' && self.labels.app == 'web' && 'app' in self.labels",
        "self.labels.all(key, key.startsWith('a')) && size(self.labels) == 1",
        "self.set == ['y', 'x'] && !(self.list == ['a', 'b'])",
        "(self.set + ['y', 'z']).size() == 3 && (self.list + ['a']).size() == 3",
        "self.keyed.exists_one(item, item.v == 2) && self.keyed[1].k == 'b'",
        "self.keyed.map(item, item.k) == ['a', 'b'] && self.keyed.filter(item, item.v > 1).size() == 1",
        "(self.keyed + [{'k': 'b', 'v': 7}]).map(item, item.v) == [1, 7]",
        "self.?maybe.orValue('none') == 'none' && self.?name.hasValue()",
        "optional.of(1).value() == 1 && !optional.none().hasValue()",
        "self.name.lowerAscii() == 'abcabc' && self.name.upperAscii() == 'ABCABC'",
        "self.name.indexOf('c') == 2 && self.name.indexOf('c', 3) == 5 && self.name.indexOf('x') == -1",
        "self.name.lastIndexOf('a') == 3 && self.name.lastIndexOf('a', 2) == 0 && 'äöü'.indexOf('ü') == 2",
        "self.name.substring(3) == 'abc' && self.name.substring(1, 3) == 'bc' && 'äöü'.charAt(1) == 'ö'",
        "self.name.replace('b', '-') == 'a-ca-c' && self.name.replace('b', '-', 1) == 'a-cabc'",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'äb'.split('') == ['ä', 'b']",
        "self.list.join('-') == 'b-a' && self.list.join() == 'ba' && ' a '.trim() == 'a'",
        "self.numbers.sum() == 6 && self.numbers.min() == 1 && self.numbers.max() == 3",
        "self.numbers.isSorted() && !self.list.isSorted() && self.numbers.indexOf(2) == 1",
        "self.name.matches('^[a-c]+$') && matches(self.name, 'b') && !self.name.matches(self.port)",
        "self.name.find('b.') == 'bc' && self.name.findAll('b.') == ['bc', 'bc'] && self.name.findAll('b', 1).size() == 1",
        "self.list.all(a, self.numbers.exists(b, b == 2)) || 1 / 0 == 1",
        "self.size > 2 ? true : self.maybe == 'x'",
    ] {
        assert_eq!(
            violations(&rules(&ruled(rule)), &value(), None),
            [""; 0],
            "{rule}"
        );
    }
}

#[test]
fn errors_while_evaluating_are_violations() {
    for (rule, expected) in [
        ("self.size > 5", "failed rule: self.size > 5"),
        (
            "self.maybe == 'x'",
            "no such key: maybe evaluating rule: self.maybe == 'x'",
        ),
        (
            "self.list[7] == 'x'",
            "index out of bounds: 7 evaluating rule: self.list[7] == 'x'",
        ),
        (
            "1 / (self.size - 3) == 1",
            "division by zero evaluating rule: 1 / (self.size - 3) == 1",
        ),
        (
            "self.port + 1 > 2",
            "'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.port + 1 > 2",
        ),
        (
            "self.numbers.filter(n, n > 7).max() == 7",
            "max called on empty list evaluating rule: self.numbers.filter(n, n > 7).max() == 7",
        ),
    ] {
        let found = violations(&rules(&ruled(rule)), &value(), None);
        assert_eq!(found, [format!("spec: {expected}")]);
    }
}

#[test]
fn rules_apply_at_any_depth() {
    let rule = |rule: &str| json!([{"rule": rule, "message": "wrong"}]);
    let rules = rules(&json!({
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {
                "type": "object",
                "properties": {"n": {"type": "integer", "x-kubernetes-validations": rule("self > 0")}},
                "x-kubernetes-validations": rule("self.n < 10"),
            }},
            "map": {"type": "object", "additionalProperties": {
                "type": "object",
                "additionalProperties": {"type": "string", "x-kubernetes-validations": rule("self != 'x'")},
            }},
            "maybe": {"type": "string", "nullable": true, "x-kubernetes-validations": rule("false")},
        },
        "x-kubernetes-validations": rule("!has(self.list) || self.list.size() < 3"),
    }));
    let new = json!({
        "list": [{"n": 1}, {"n": 0}, {"n": 11}], "map": {"a": {"b": "x", "c": "y"}}, "maybe": null,
    });
    assert_eq!(
        violations(&rules, &new, None),
        [
            "spec: wrong",
            "spec.list[1].n: wrong",
            "spec.list[2]: wrong",
            "spec.map[a][b]: wrong"
        ]
    );
    let found = rules.evaluate(&json!({"spec": {"list": [{"n": 0}]}}), None);
    assert_eq!(found[0].value_type, "integer");
}

#[test]
fn rules_on_the_root_read_name_and_kind() {
    let with = |rule: &str| json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
    let (rules, problems) = Rules::compile(&with(
        "self.metadata.name == 'a' && self.kind == 'Widget' && self.apiVersion == 'v1'",
    ));
    assert_eq!(problems, []);
    let object = json!({"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "b"}});
    let found = rules.evaluate(&object, None);
    assert_eq!(found[0].field, "");
    let (_, problems) = Rules::compile(&with("self.metadata.labels.size() == 0"));
    assert_eq!(
        problems[0].message,
        "compilation failed: undefined field 'labels'"
    );
}

#[test]
fn transition_rules_need_an_old_value() {
    let rules = rules(&json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "shrinks"}]},
            "fixed": {"type": "string", "x-kubernetes-validations": [{
                "rule": "oldSelf.hasValue() && oldSelf.value() == self", "optionalOldSelf": true, "message": "is fixed",
            }]},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"},
                    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "differs"}]},
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {
                    "type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "differs"}],
                }}},
            },
            "map": {"type": "object", "additionalProperties": {
                "type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "differs"}],
            }},
        },
    }));
    let check = |new: Value, old: Value| violations(&rules, &new, Some(&old));
    assert_eq!(violations(&rules, &json!({"size": 1}), None), [""; 0]);
    assert_eq!(check(json!({"size": 1}), json!({})), [""; 0]);
    assert_eq!(check(json!({"size": 2}), json!({"size": 1})), [""; 0]);
    assert_eq!(
        check(json!({"size": 1}), json!({"size": 2})),
        ["spec.size: shrinks"]
    );
    assert_eq!(
        violations(&rules, &json!({"fixed": "a"}), None),
        ["spec.fixed: is fixed"]
    );
    assert_eq!(check(json!({"fixed": "a"}), json!({"fixed": "a"})), [""; 0]);
    assert_eq!(
        check(json!({"set": ["b", "a"]}), json!({"set": ["a", "b"]})),
        [""; 0]
    );
    assert_eq!(
        check(json!({"set": ["b", "c"]}), json!({"set": ["a", "b"]})),
        ["spec.set: differs"]
    );
    let keyed = |a: i64, b: i64| json!({"keyed": [{"k": "a", "v": a}, {"k": "b", "v": b}]});
    let turned = json!({"keyed": [{"k": "c", "v": 9}, {"k": "b", "v": 2}, {"k": "a", "v": 7}]});
    assert_eq!(check(turned, keyed(1, 2)), ["spec.keyed[2].v: differs"]);
    assert_eq!(
        check(
            json!({"map": {"a": 1, "b": 2}}),
            json!({"map": {"a": 2, "c": 2}})
        ),
        ["spec.map[a]: differs"]
    );
}

#[test]
fn unchanged_values_keep_their_violations() {
    let rule = |rule: &str| json!([{"rule": rule, "message": "wrong"}]);
    let rules = rules(&json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer", "x-kubernetes-validations": rule("self > 5")},
            "other": {"type": "integer"},
            "grows": {"type": "integer", "x-kubernetes-validations": rule("self > oldSelf")},
        },
    }));
    let check = |new: Value, old: Value| violations(&rules, &new, Some(&old));
    assert_eq!(
        check(json!({"size": 1, "other": 2}), json!({"size": 1})),
        [""; 0]
    );
    assert_eq!(
        check(json!({"size": 2}), json!({"size": 1})),
        ["spec.size: wrong"]
    );
    // Transition rules are never tolerated.
    assert_eq!(
        check(json!({"grows": 1}), json!({"grows": 1})),
        ["spec.grows: wrong"]
    );
}

#[test]
fn messages_reasons_and_field_paths() {
    let with = |rest: Value| {
        let mut rule = json!({"rule": "self.n > 0"});
        rule.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let spec = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer"}, "s": {"type": "string"},
                "m": {"type": "object", "additionalProperties": {"type": "string"}},
                "a-b": {"type": "object", "properties": {"c": {"type": "string"}}},
            },
            "x-kubernetes-validations": [rule],
        });
        let (rules, problems) = Rules::compile(&schema(&spec));
        assert_eq!(problems, [], "{spec}");
        rules.evaluate(&json!({"spec": {"n": -1, "s": "x"}}), None)
    };
    let first = |rest: Value| with(rest).remove(0);
    for (rest, detail) in [
        (json!({}), "failed rule: self.n > 0"),
        (json!({"message": " too small "}), "too small"),
        (
            json!({"messageExpression": "'n is ' + string(self.n)"}),
            "n is -1",
        ),
        (
            json!({"message": "fallback", "messageExpression": "'x: ' + self.s"}),
            "x: x",
        ),
        // What an API server cannot use.
        (
            json!({"message": "fallback", "messageExpression": "''"}),
            "fallback",
        ),
        (
            json!({"message": "fallback", "messageExpression": "'a\\nb'"}),
            "fallback",
        ),
        (
            json!({"message": "fallback", "messageExpression": "self.m['a']"}),
            "fallback",
        ),
    ] {
        assert_eq!(first(rest.clone()).detail, detail, "{rest}");
    }
    for (path, field) in [
        (".s", "spec.s"),
        (".m['x.y']", "spec.m[x.y]"),
        (".m.k", "spec.m[k]"),
        ("['a-b'].c", "spec.a-b.c"),
    ] {
        assert_eq!(first(json!({"fieldPath": path})).field, field);
    }
    for (reason, read) in [
        ("FieldValueForbidden", Reason::Forbidden),
        ("FieldValueRequired", Reason::Required),
        ("FieldValueDuplicate", Reason::Duplicate),
        ("FieldValueInvalid", Reason::Invalid),
    ] {
        assert_eq!(first(json!({"reason": reason})).reason, read);
    }
}

#[test]
fn invalid_rules_are_reported() {
    use ProblemKind::{Invalid, Required, Unsupported};
    for (rule, kind, field, message) in [
        (json!({}), Required, "rule", "rule is not specified"),
        (
            json!({"rule": "self.size >"}),
            Invalid,
            "rule",
            "compilation failed: ERROR: <input>:1:",
        ),
        (
            json!({"rule": "size > 5"}),
            Invalid,
            "rule",
            "undeclared reference to 'size' (in container '')",
        ),
        (
            json!({"rule": "self.sise > 5"}),
            Invalid,
            "rule",
            "undefined field 'sise'",
        ),
        (
            json!({"rule": "self.keyed.all(x, x.z > 1)"}),
            Invalid,
            "rule",
            "undefined field 'z'",
        ),
        (
            json!({"rule": "self.unknown == 1"}),
            Invalid,
            "rule",
            "undefined field 'unknown'",
        ),
        (
            json!({"rule": "self.free.any == 1"}),
            Invalid,
            "rule",
            "undefined field 'any'",
        ),
        (
            json!({"rule": "self.name.size == 1"}),
            Invalid,
            "rule",
            "type 'string' does not support field selection",
        ),
        (
            json!({"rule": "self.name.reversed() == ''"}),
            Invalid,
            "rule",
            "undeclared reference to 'reversed'",
        ),
        (
            json!({"rule": "self.name.trim(1) == ''"}),
            Invalid,
            "rule",
            "found no matching overload for 'trim'",
        ),
        (
            json!({"rule": "self.name.matches('(?=a)')"}),
            Invalid,
            "rule",
            "error parsing regexp",
        ),
        (
            json!({"rule": "Widget{a: 1} == self"}),
            Invalid,
            "rule",
            "undeclared reference to 'Widget'",
        ),
        (
            json!({"rule": "true", "message": ""}),
            Invalid,
            "message",
            "message must be non-empty if specified",
        ),
        (
            json!({"rule": "true", "message": "a\nb"}),
            Invalid,
            "message",
            "message must not contain line breaks",
        ),
        (
            json!({"rule": "true\n"}),
            Required,
            "message",
            "message must be specified if rule contains line breaks",
        ),
        (
            json!({"rule": "true", "messageExpression": " "}),
            Invalid,
            "messageExpression",
            "messageExpression must be non-empty if specified",
        ),
        (
            json!({"rule": "true", "messageExpression": "self.sise"}),
            Invalid,
            "messageExpression",
            "undefined field 'sise'",
        ),
        (
            json!({"rule": "true", "fieldPath": ".sise"}),
            Invalid,
            "fieldPath",
            "fieldPath must be a valid path",
        ),
        (
            json!({"rule": "true", "fieldPath": "size"}),
            Invalid,
            "fieldPath",
            "fieldPath must be a valid path",
        ),
        (
            json!({"rule": "true", "reason": "Because"}),
            Invalid,
            "reason",
            "must be FieldValueInvalid",
        ),
        (
            json!({"rule": "isURL(self.name)"}),
            Unsupported,
            "rule",
            "the function isURL",
        ),
        (
            json!({"rule": "quantity(self.name).isLessThan(quantity('1Gi'))"}),
            Unsupported,
            "rule",
            "the function quantity",
        ),
        (
            json!({"rule": "sets.contains(self.list, ['a'])"}),
            Unsupported,
            "rule",
            "the function sets.contains",
        ),
        (
            json!({"rule": "self.list.all(i, v, v != '')"}),
            Invalid,
            "rule",
            "undeclared reference to 'i'",
        ),
        (
            json!({"rule": "self.since < self.since"}),
            Unsupported,
            "rule",
            "values of format date-time",
        ),
        // An error is more important than what is not supported.
        (
            json!({"rule": "isURL(self.sise)"}),
            Invalid,
            "rule",
            "undefined field 'sise'",
        ),
    ] {
        let mut spec = ruled("true");
        spec["x-kubernetes-validations"] = json!([rule]);
        let (rules, problems) = Rules::compile(&schema(&spec));
        let [problem] = &problems[..] else {
            panic!("{rule}: {problems:?}");
        };
        assert_eq!(problem.kind, kind, "{problem:?}");
        let at = "properties[spec].x-kubernetes-validations[0]";
        assert_eq!(problem.field, format!("{at}.{field}"));
        assert!(problem.message.contains(message), "{problem:?}");
        assert!(rules.is_empty());
    }
}

#[test]
fn old_values_of_unordered_items_are_refused() {
    let rule = json!([{"rule": "self == oldSelf"}]);
    let spec = json!({
        "type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "x-kubernetes-validations": rule}}},
    });
    let (_, problems) = Rules::compile(&schema(&spec));
    assert_eq!(
        problems[0].message,
        "oldSelf cannot be used on the uncorrelatable portion of the schema within properties[spec].items"
    );
}

#[test]
fn rules_in_alternatives_are_unsupported() {
    let rule = json!([{"rule": "self == 'x'"}]);
    let spec = json!({"type": "string", "anyOf": [{"x-kubernetes-validations": rule}]});
    let (rules, problems) = Rules::compile(&schema(&spec));
    assert_eq!(problems[0].kind, ProblemKind::Unsupported);
    assert_eq!(
        problems[0].field,
        "properties[spec].anyOf[0].x-kubernetes-validations"
    );
    assert!(rules.is_empty());
}

#[test]
fn long_and_nested_expressions_are_refused() {
    for rule in [
        "a".repeat(9_000),
        "(".repeat(4_000),
        "[".repeat(4_000),
        "!".repeat(7_000),
        format!("self{}", ".a".repeat(4_000)),
        format!("1{} > 0", "+1".repeat(4_000)),
        format!("self{} == 1", "[0]".repeat(2_000)),
        format!("self.list{} == []", ".map(x, x)".repeat(700)),
        "true ? 1 : ".repeat(600),
        "has(".repeat(1_500),
        "self.all(x, ".repeat(600),
        "@#$%^&*)(".repeat(800),
    ] {
        let started = Instant::now();
        let (_, problems) = Rules::compile(&schema(&ruled(&rule)));
        assert_eq!(problems[0].kind, ProblemKind::Invalid, "{rule}");
        assert!(started.elapsed() < Duration::from_secs(30), "{rule}");
    }
    let flat = vec!["self.size > 0"; 300].join(" && ");
    assert_eq!(violations(&rules(&ruled(&flat)), &value(), None), [""; 0]);
}

#[test]
fn evaluation_is_bounded() {
    let mut value = value();
    value["list"] = (0..1_000).map(|n| n.to_string()).collect();
    value["name"] = "a".repeat(500_000).into();
    let hundred = format!("[{}]", vec!["1"; 100].join(","));
    for rule in [
        "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c != 'x')))".to_owned(),
        format!(
            "{hundred}.all(a, {hundred}.all(b, {hundred}.all(c, {hundred}.all(d, {hundred}.all(e, true)))))"
        ),
        format!("['a']{} == []", ".map(x, x + x)".repeat(40)),
        format!("[[1]]{} == []", ".map(x, x + x)".repeat(40)),
        format!("[1]{} == []", ".map(x, [x, x])".repeat(40)),
        "self.name.replace('', self.name) == ''".to_owned(),
        "self.list.join(self.name) == ''".to_owned(),
        "self.list.all(a, self.name.split('').size() > 0)".to_owned(),
        "self.list.all(a, self.list.all(b, a.matches(b) || true))".to_owned(),
        "self.list.map(a, self.list.map(b, self.list.map(c, self.list))) == []".to_owned(),
        // An error that `||` would absorb.
        "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c != 'x'))) || true".to_owned(),
    ] {
        let started = Instant::now();
        let found = violations(&rules(&ruled(&rule)), &value, None);
        assert!(
            matches!(&found[..], [one] if one.contains("actual cost limit exceeded")),
            "{rule}: {found:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(30), "{rule}");
    }
}

#[test]
fn function_tables_have_no_duplicates() {
    let all = functions::OVERLOADS.iter().chain(meter::OVERLOADS);
    let mut names: Vec<_> = all.map(|(name, arguments, _)| (name, arguments)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn property_names_are_escaped() {
    for (name, escaped) in [
        ("plain", Some("plain")),
        ("in", Some("__in__")),
        ("a__b", Some("a__underscores__b")),
        ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
        ("$ref", None),
        ("", None),
        ("9", None),
    ] {
        assert_eq!(values::escape(name).as_deref(), escaped, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_text_is_compiled_or_refused(tokens in proptest::collection::vec(prop::sample::select(vec![
        "self", ".", "size", "list", "name", "port", "(", ")", "[", "]", "{", "}", ",", ":", "?", "!", "-", "+", "*", "/",
        "%", "==", "<", "&&", "||", "in", "1", "-9223372036854775808", "1u", "1.5", "'a'", "b'\\xff'", "true", "null",
        "all", "exists_one", "map", "has", "x", "matches", "find", "substring", "charAt", "lastIndexOf", "optional",
        "of", "value", "orValue", "optMap", "int", "string", "bytes", "type", "oldSelf", "é", "\"", "r'", "`", "@",
    ]), 0..12)) {
        let text = tokens.join("");
        let (rules, _) = Rules::compile(&schema(&ruled(&text)));
        drop(rules.evaluate(&json!({ "spec": value() }), Some(&json!({ "spec": value() }))));
    }
}
