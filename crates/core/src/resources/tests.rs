//! The definitions and [`validate`] say the same, and an API server takes the definitions.

use serde_json::{Value, json};

use super::{
    rules::{RULES, Rule},
    *,
};

/// A spec that is sound, with `changes` merged into it.
fn spec(kind: Kind, changes: &Value) -> Value {
    let mut spec = json!({
        "repositoryUrl": "https://github.com/acme/shop.git",
        "sourceBranch": "feature/checkout",
        "workingDirectory": ".",
        "tag": "master",
        "agent": "claude",
        "model": "opus",
        "promptMode": "append",
        "contextVersion": 1,
        "cancelVersion": 0,
    });
    let own = match kind {
        Kind::Docs => json!({ "taskIds": ["1", "2"] }),
        Kind::Code => json!({ "taskId": "1", "service": "shop" }),
    };
    json_patch::merge(&mut spec, &own);
    json_patch::merge(&mut spec, changes);
    spec
}

/// The values a rule of the definition is asked about: (`self`, `oldSelf`), correlated as an API server does.
fn scoped<'a>(
    at: &str,
    new: &'a Value,
    old: Option<&'a Value>,
) -> Vec<(&'a Value, Option<&'a Value>)> {
    let mut pairs = vec![(new, old)];
    for part in at.split('.').filter(|part| !part.is_empty()) {
        let field = part.trim_end_matches("[]");
        let mut next = Vec::new();
        for (new, old) in pairs {
            let old = old.and_then(|old| old.get(field));
            match new.get(field) {
                None => {}
                Some(Value::Array(items)) if part.ends_with("[]") => {
                    let key = if field == "context" {
                        "filename"
                    } else {
                        "name"
                    };
                    let old = |item: &Value| {
                        let mut all = old.and_then(Value::as_array).into_iter().flatten();
                        all.find(|old| old[key] == item[key])
                    };
                    next.extend(items.iter().map(|item| (item, old(item))));
                }
                Some(value) => next.push((value, old)),
            }
        }
        pairs = next;
    }
    pairs
}

/// Whether an API server finds the rule kept.
fn kept_by_cel(rule: &Rule, program: &cel::Program, new: &Value, old: Option<&Value>) -> bool {
    let text = rule.cel();
    let is_transition = text.contains("oldSelf");
    scoped(rule.at, new, old).into_iter().all(|(new, old)| {
        if is_transition && old.is_none() {
            return true;
        }
        let mut context = cel::Context::default();
        context.add_variable("self", new).unwrap();
        if let Some(old) = old {
            context.add_variable("oldSelf", old).unwrap();
        }
        match program.execute(&context) {
            Ok(cel::Value::Bool(kept)) => kept,
            other => panic!("{text}: {other:?} of {new}"),
        }
    })
}

/// What is changed of a sound spec, what it was changed from, and the field that is blamed (none: it is taken).
type Row = (Kind, Value, Option<Value>, Option<&'static str>);

fn rows() -> Vec<Row> {
    use Kind::{Code, Docs};
    let file = |name: &str, content: &str| json!({ "filename": name, "content": content });
    let files = |files: &[Value]| json!({ "context": files, "contextVersion": 2 });
    let secret = |name: &str| json!({ "envFromSecrets": [{ "name": name, "secretName": "extra", "secretKey": "k" }] });
    let revision = |digit: &str| json!({ "path": ".taskmaster/tasks/tasks.json", "blob": digit.repeat(40), "commit": "c".repeat(40) });
    let none = || Some(json!({}));
    let mut rows: Vec<Row> = vec![
        (Docs, json!({}), None, None),
        (Code, json!({}), None, None),
        (Docs, json!({}), none(), None),
        (Code, json!({}), none(), None),
        // What identifies a run.
        (
            Docs,
            json!({ "repositoryUrl": "https://github.com/acme/other" }),
            none(),
            Some("repositoryUrl"),
        ),
        (
            Docs,
            json!({ "sourceBranch": "main" }),
            none(),
            Some("sourceBranch"),
        ),
        (
            Docs,
            json!({ "workingDirectory": "apps" }),
            none(),
            Some("workingDirectory"),
        ),
        (Docs, json!({ "tag": "mvp" }), none(), Some("tag")),
        (Docs, json!({ "agent": "template" }), none(), Some("agent")),
        (Docs, json!({ "taskIds": ["1"] }), none(), Some("taskIds")),
        (Code, json!({ "taskId": "2" }), none(), Some("taskId")),
        (Code, json!({ "service": "till" }), none(), Some("service")),
        (
            Docs,
            json!({ "targetBranch": "docs/x" }),
            none(),
            Some("targetBranch"),
        ),
        (
            Docs,
            json!({}),
            Some(json!({ "targetBranch": "docs/x" })),
            Some("targetBranch"),
        ),
        (
            Docs,
            json!({ "targetBranch": "docs/x" }),
            Some(json!({ "targetBranch": "docs/y" })),
            Some("targetBranch"),
        ),
        (
            Docs,
            json!({ "targetBranch": "docs/x" }),
            Some(json!({ "targetBranch": "docs/x" })),
            None,
        ),
        (
            Docs,
            json!({ "githubUser": "ada" }),
            none(),
            Some("githubUser"),
        ),
        (
            Code,
            json!({ "docsRepositoryUrl": "https://github.com/acme/docs" }),
            none(),
            Some("docsRepositoryUrl"),
        ),
        (
            Code,
            json!({ "docsRepositoryUrl": "https://github.com/acme/docs", "docsBranch": "b" }),
            Some(json!({ "docsRepositoryUrl": "https://github.com/acme/docs" })),
            Some("docsBranch"),
        ),
        (
            Code,
            json!({ "docsRepositoryUrl": "https://github.com/acme/docs", "docsProjectDirectory": "b" }),
            Some(json!({ "docsRepositoryUrl": "https://github.com/acme/docs" })),
            Some("docsProjectDirectory"),
        ),
        // What may change.
        (
            Docs,
            json!({ "model": "haiku", "retries": 1, "suspend": true, "prompt": "x" }),
            none(),
            None,
        ),
        (Docs, json!({ "contextVersion": 2 }), none(), None),
        (
            Docs,
            json!({ "contextVersion": 1 }),
            Some(json!({ "contextVersion": 2 })),
            Some("contextVersion"),
        ),
        (Docs, json!({ "cancelVersion": 1 }), none(), None),
        (
            Docs,
            json!({ "cancelVersion": 0 }),
            Some(json!({ "cancelVersion": 1 })),
            Some("cancelVersion"),
        ),
        (Docs, json!({ "tasksRevision": revision("a") }), None, None),
        (
            Docs,
            json!({ "tasksRevision": revision("a") }),
            none(),
            Some("tasksRevision"),
        ),
        (
            Docs,
            json!({ "tasksRevision": revision("b") }),
            Some(json!({ "tasksRevision": revision("a") })),
            Some("tasksRevision"),
        ),
        (
            Docs,
            json!({ "tasksRevision": revision("b"), "contextVersion": 2 }),
            Some(json!({ "tasksRevision": revision("a") })),
            None,
        ),
        (
            Docs,
            json!({ "contextVersion": 2 }),
            Some(json!({ "tasksRevision": revision("a") })),
            None,
        ),
        // Context is only ever added to.
        (Docs, files(&[file("context-v2.md", "a")]), none(), None),
        (
            Docs,
            files(&[file("a.md", "a"), file("b.md", "b")]),
            Some(files(&[file("a.md", "a")])),
            None,
        ),
        (
            Docs,
            files(&[file("b.md", "b")]),
            Some(files(&[file("a.md", "a")])),
            Some("context"),
        ),
        (
            Docs,
            json!({ "contextVersion": 2 }),
            Some(files(&[file("a.md", "a")])),
            Some("context"),
        ),
        (
            Docs,
            files(&[file("a.md", "b")]),
            Some(files(&[file("a.md", "a")])),
            Some("context"),
        ),
        // Across fields.
        (
            Docs,
            json!({ "promptMode": "replace" }),
            None,
            Some("promptModification"),
        ),
        (
            Docs,
            json!({ "promptMode": "replace", "promptModification": "Write haiku." }),
            None,
            None,
        ),
        (
            Code,
            json!({ "docsBranch": "main" }),
            None,
            Some("docsRepositoryUrl"),
        ),
        (
            Code,
            json!({ "docsProjectDirectory": "x" }),
            None,
            Some("docsRepositoryUrl"),
        ),
        (
            Code,
            json!({ "docsRepositoryUrl": "https://github.com/acme/docs", "docsBranch": "main" }),
            None,
            None,
        ),
        // The environment.
        (
            Docs,
            json!({ "env": { "NODE_ENV": "production", "_x1": "" } }),
            None,
            None,
        ),
        (Docs, json!({ "env": { "1X": "" } }), None, Some("env")),
        (Docs, json!({ "env": { "A-B": "" } }), None, Some("env")),
        (Docs, json!({ "env": { "": "" } }), None, Some("env")),
        (Docs, json!({ "env": { "A".repeat(128): "" } }), None, None),
        (
            Docs,
            json!({ "env": { "A".repeat(129): "" } }),
            None,
            Some("env"),
        ),
        (Docs, secret("DEPLOY_KEY"), None, None),
        (
            Docs,
            json!({ "env": { "DEPLOY_KEY": "" }, "envFromSecrets": secret("DEPLOY_KEY")["envFromSecrets"] }),
            None,
            Some("envFromSecrets"),
        ),
        // Addresses without credentials.
        (
            Docs,
            json!({ "repositoryUrl": "ssh://git@github.com/acme/shop" }),
            None,
            None,
        ),
        (
            Docs,
            json!({ "repositoryUrl": "git@github.com:acme/shop.git" }),
            None,
            None,
        ),
        (
            Docs,
            json!({ "repositoryUrl": "/srv/with space/origin.git" }),
            None,
            None,
        ),
        (
            Docs,
            json!({ "repositoryUrl": "https://ghp_x@github.com/acme/shop" }),
            None,
            Some("repositoryUrl"),
        ),
        (
            Docs,
            json!({ "repositoryUrl": "https://a:b@github.com/acme/shop" }),
            None,
            Some("repositoryUrl"),
        ),
        (
            Docs,
            json!({ "repositoryUrl": "ssh://a:b@github.com/acme/shop" }),
            None,
            Some("repositoryUrl"),
        ),
        (
            Code,
            json!({ "docsRepositoryUrl": "http://x@github.com/acme/docs" }),
            None,
            Some("docsRepositoryUrl"),
        ),
    ];
    for name in [
        "PATH",
        "HOME",
        "RUN_FILES",
        "WORKSPACE",
        "HANDOVER",
        "SSH_FILES",
        "TERMINATION_MESSAGE_PATH",
        "LD_PRELOAD",
        "GIT_SSH",
        "FLIGHTDECK_X",
        "FD_X",
    ] {
        rows.push((Docs, json!({ "env": { name: "x" } }), None, Some("env")));
        rows.push((Docs, secret(name), None, Some("envFromSecrets")));
    }
    for name in ["@", "a@{1}", "a.lock", "a.lock/b"] {
        rows.push((
            Docs,
            json!({ "sourceBranch": name }),
            None,
            Some("sourceBranch"),
        ));
        rows.push((
            Docs,
            json!({ "targetBranch": name }),
            None,
            Some("targetBranch"),
        ));
        rows.push((
            Code,
            json!({ "docsRepositoryUrl": "/srv/d", "docsBranch": name }),
            None,
            Some("docsBranch"),
        ));
    }
    for name in ["a@b", "v1.2", "feature/x.y-z", "Ünï"] {
        rows.push((Docs, json!({ "sourceBranch": name }), None, None));
    }
    rows
}

#[test]
fn the_rules_in_cel_and_our_own_say_the_same_of_every_row() {
    let mut broken = vec![false; RULES.len()];
    let compile = |rule: &Rule| {
        let text = rule.cel();
        cel::Program::compile(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    };
    let programs: Vec<cel::Program> = RULES.iter().map(compile).collect();
    for (kind, new, old, blamed) in rows() {
        let (new, old) = (spec(kind, &new), old.map(|old| spec(kind, &old)));
        for (at, rule) in RULES.iter().enumerate() {
            if rule.kind.is_some_and(|only| only != kind) {
                continue;
            }
            let ours = rule.holds(&new, old.as_ref());
            assert_eq!(
                ours,
                kept_by_cel(rule, &programs[at], &new, old.as_ref()),
                "{}\n{new}\n{old:?}",
                rule.cel()
            );
            broken[at] |= !ours;
        }
        let faults = validate(kind, &new, old.as_ref())
            .err()
            .map_or_else(Vec::new, |invalid| invalid.faults);
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            blamed.into_iter().collect::<Vec<_>>(),
            "{new}\n{old:?}\n{faults:?}"
        );
    }
    for (rule, broken) in RULES.iter().zip(broken) {
        assert!(broken, "no row breaks {} ({})", rule.cel(), rule.field);
    }
}

#[test]
fn what_a_schema_refuses_is_said_in_words() {
    use Kind::{Code, Docs};
    let long = "x".repeat(256);
    for (kind, change, sentence) in [
        (
            Docs,
            json!({ "sourceBranch": "a b" }),
            "spec.sourceBranch is \"a b\", which is not a name git takes for a branch",
        ),
        (
            Docs,
            json!({ "sourceBranch": "-d" }),
            "spec.sourceBranch is \"-d\", which is",
        ),
        (
            Docs,
            json!({ "sourceBranch": "a..b" }),
            "spec.sourceBranch is \"a..b\"",
        ),
        (
            Docs,
            json!({ "sourceBranch": "a//b" }),
            "spec.sourceBranch is \"a//b\"",
        ),
        (
            Docs,
            json!({ "sourceBranch": "a/" }),
            "spec.sourceBranch is \"a/\"",
        ),
        (
            Docs,
            json!({ "sourceBranch": ".a" }),
            "spec.sourceBranch is \".a\"",
        ),
        (
            Docs,
            json!({ "sourceBranch": "a\u{1b}[2J" }),
            "spec.sourceBranch is \"a\\u{1b}[2J\"",
        ),
        (
            Docs,
            json!({ "sourceBranch": "" }),
            "spec.sourceBranch is empty",
        ),
        (
            Docs,
            json!({ "sourceBranch": null }),
            "spec.sourceBranch is missing",
        ),
        (
            Docs,
            json!({ "sourceBranch": long }),
            "spec.sourceBranch has 256 characters; at most 255 fit",
        ),
        (
            Docs,
            json!({ "repositoryUrl": "ext::sh -c touch% x" }),
            "spec.repositoryUrl is not the address of a repository",
        ),
        (
            Docs,
            json!({ "repositoryUrl": "--upload-pack=x" }),
            "spec.repositoryUrl is not the address",
        ),
        (
            Docs,
            json!({ "repositoryUrl": "../origin" }),
            "spec.repositoryUrl is not the address",
        ),
        (
            Docs,
            json!({ "workingDirectory": "../x" }),
            "spec.workingDirectory is \"../x\", which is not a directory below the repository root",
        ),
        (
            Docs,
            json!({ "workingDirectory": "/etc" }),
            "spec.workingDirectory is \"/etc\"",
        ),
        (
            Docs,
            json!({ "workingDirectory": "a/../../b" }),
            "spec.workingDirectory is",
        ),
        (
            Docs,
            json!({ "tag": "../x" }),
            "spec.tag is \"../x\", which is not a path of names",
        ),
        (
            Docs,
            json!({ "model": "--danger" }),
            "spec.model is \"--danger\", which is not one word",
        ),
        (
            Docs,
            json!({ "githubUser": "a/b" }),
            "spec.githubUser is \"a/b\", which is not the name of a user",
        ),
        (Docs, json!({ "taskIds": [] }), "spec.taskIds is empty"),
        (
            Docs,
            json!({ "taskIds": ["1", "1"] }),
            "spec.taskIds names \"1\" twice",
        ),
        (
            Docs,
            json!({ "taskIds": vec!["1"; 501] }),
            "spec.taskIds has 501 items; at most 500 fit",
        ),
        (
            Docs,
            json!({ "taskIds": ["a b"] }),
            "spec.taskIds[0] is \"a b\", which is not a name of letters",
        ),
        (
            Code,
            json!({ "service": "Shop" }),
            "spec.service is \"Shop\", which is not a name of small letters",
        ),
        (
            Docs,
            json!({ "contextVersion": 0 }),
            "spec.contextVersion is 0; at least 1 is needed",
        ),
        (
            Docs,
            json!({ "retries": 11 }),
            "spec.retries is 11; at most 10 is allowed",
        ),
        (
            Docs,
            json!({ "contextVersion": "2" }),
            "spec.contextVersion is not of type integer",
        ),
        (
            Docs,
            json!({ "toolConfig": "all" }),
            "spec.toolConfig is \"all\", not one of minimal, default, advanced",
        ),
        (
            Docs,
            json!({ "budgetUsd": "lots" }),
            "spec.budgetUsd is \"lots\", which is not a number of US dollars",
        ),
        (
            Docs,
            json!({ "env": { "TOKEN": "s3cret".repeat(1000) } }),
            "spec.env.TOKEN has 6000 characters; at most 4096 fit",
        ),
        (
            Docs,
            json!({ "context": [{ "filename": "../x.md", "content": "" }] }),
            "spec.context[0].filename is \"../x.md\", which is not the name of a Markdown file",
        ),
        (
            Docs,
            json!({ "context": [{ "filename": "a.md" }] }),
            "spec.context[0].content is missing",
        ),
        (
            Docs,
            json!({ "context": [{ "filename": "a.md", "content": "" }, { "filename": "a.md", "content": "" }] }),
            "spec.context names \"a.md\" twice",
        ),
        (
            Docs,
            json!({ "tasksRevision": { "path": "/etc", "blob": "x", "commit": "y" } }),
            "spec.tasksRevision.path is \"/etc\", which is not a path of names",
        ),
    ] {
        let said = validate(kind, &spec(kind, &change), None).expect_err(&change.to_string());
        assert!(said.to_string().contains(sentence), "{sentence}\n{said}");
    }
    for directory in [
        ".",
        "./",
        "apps",
        "./apps/web",
        "apps/web/",
        "..x",
        ".hidden/a",
    ] {
        validate(
            Kind::Docs,
            &spec(Kind::Docs, &json!({ "workingDirectory": directory })),
            None,
        )
        .unwrap();
    }
}

#[test]
fn no_sentence_repeats_a_secret() {
    for change in [
        json!({ "repositoryUrl": "https://ada:s3cret@github.com/acme/shop" }),
        json!({ "repositoryUrl": "s3cret\u{7}" }),
        json!({ "env": { "PATH": "s3cret", "A B": "s3cret" } }),
        json!({ "env": { "A": ["s3cret"] } }),
    ] {
        let said = validate(Kind::Docs, &spec(Kind::Docs, &change), None).unwrap_err();
        assert!(!said.to_string().contains("s3cret"), "{said}");
    }
}

fn walk<'a>(path: &str, schema: &'a Value, see: &mut impl FnMut(&str, &'a Value)) {
    see(path, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), inner, see);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(key) {
            walk(&format!("{path}{mark}"), inner, see);
        }
    }
}

#[test]
fn every_text_and_list_of_a_spec_has_a_limit_and_every_pattern_its_words() {
    for kind in [Kind::Docs, Kind::Code] {
        walk("spec", &definition::spec(kind), &mut |path, schema| {
            match schema["type"].as_str() {
                Some("string") if schema["enum"].is_null() => {
                    assert!(schema["maxLength"].is_u64(), "{path}: {schema}");
                }
                Some("array") => assert!(schema["maxItems"].is_u64(), "{path}: {schema}"),
                _ => {}
            }
            if schema.get("additionalProperties").is_some() {
                assert!(schema["maxProperties"].is_u64(), "{path}: {schema}");
            }
            if let Some(pattern) = schema["pattern"].as_str() {
                assert!(
                    format::WORDS.iter().any(|(known, _)| *known == pattern),
                    "{path}: {pattern}"
                );
                // RE2 knows neither; and Perl's classes mean other characters to Go than to us.
                assert!(
                    !pattern.contains("(?") && !pattern.contains(r"\s") && !pattern.contains(r"\w"),
                    "{path}: {pattern}"
                );
            }
        });
    }
}

#[test]
fn every_rule_stands_in_the_definitions_where_it_can_be_asked() {
    for kind in [Kind::Docs, Kind::Code] {
        let mut found = 0;
        let schema = definition::spec(kind);
        walk("", &schema, &mut |path, schema| {
            for rule in schema["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
            {
                found += 1;
                let message = rule["message"].as_str().unwrap();
                assert!(
                    !message.contains('\n') && message.len() <= 2048,
                    "{message}"
                );
                // A rule about a change is only asked where old and new can be told to be the same: never below an atomic list.
                if rule["rule"].as_str().unwrap().contains("oldSelf") && path.contains("[]") {
                    assert_eq!(path, ".context[].content");
                }
                if let Some(field) = rule["fieldPath"].as_str() {
                    assert!(
                        schema["properties"][field.trim_start_matches('.')].is_object(),
                        "{field}"
                    );
                }
            }
        });
        let wanted = RULES
            .iter()
            .filter(|rule| rule.kind.is_none_or(|only| only == kind));
        assert_eq!(found, wanted.count());
        assert_eq!(
            schema["properties"]["context"]["x-kubernetes-list-type"],
            "map"
        );
    }
}

/// What the rules may cost at most, as `k8s.io/apiextensions-apiserver` estimates it when a definition is applied: 10 million
/// for a rule (times how often it is asked in one object), 100 million for a definition. The estimate of cel-go, rounded up:
/// 1 for each operation, a tenth of the longer side's length for what reads a text, that times a quarter of the expression's
/// length for `matches`; a comprehension multiplies what is inside by the most items there can be; a map's keys count as empty.
#[test]
fn what_the_rules_cost_stays_far_below_what_an_api_server_allows() {
    let spec = definition::spec(Kind::Code);
    let most = |pointer: &str| -> u64 {
        let value = spec
            .pointer(&format!("/properties/{pointer}"))
            .and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} has no limit"))
    };
    let read = |length: u64| length / 10 + 1;
    let mut total = 0;
    for rule in RULES {
        let text = rule.cel();
        // Each word and sign of the rule counted as an operation: more than there are.
        let operations = text.split_whitespace().count() as u64 * 4 + 10;
        let cost = match (rule.at, rule.field) {
            ("", "context") => {
                let (items, name) = (
                    most("context/maxItems"),
                    most("context/items/properties/filename/maxLength"),
                );
                operations + items * (operations + items * (operations + read(name)))
            }
            ("context[].content", _) => {
                most("context/maxItems")
                    * (operations + read(most("context/items/properties/content/maxLength")))
            }
            ("envFromSecrets[].name", _) => {
                most("envFromSecrets/maxItems")
                    * (operations
                        + 10 * read(most("envFromSecrets/items/properties/name/maxLength")))
            }
            ("", "envFromSecrets") => {
                operations
                    + most("envFromSecrets/maxItems") * (operations + most("env/maxProperties"))
            }
            ("env", _) => operations + most("env/maxProperties") * operations,
            ("", "tasksRevision") => {
                operations + 3 * read(most("tasksRevision/properties/path/maxLength"))
            }
            (_, "taskIds") => 500 * read(63),
            (_, "contextVersion" | "cancelVersion" | "promptModification") => operations,
            (_, field) => {
                let length = read(most(&format!("{field}/maxLength")));
                let expression = if text.contains("matches") {
                    text.len() as u64 / 4
                } else {
                    4
                };
                operations + 2 * length * expression
            }
        };
        assert!(cost < 1_000_000, "{}: {cost}", rule.cel());
        total += cost;
    }
    assert!(total < 1_000_000, "{total}");
}

#[test]
fn what_a_newer_version_wrote_is_no_fault() {
    let newer = json!({ "sandbox": { "kind": "gvisor" }, "preflightOverride": null });
    validate(
        Kind::Docs,
        &spec(Kind::Docs, &newer),
        Some(&spec(Kind::Docs, &newer)),
    )
    .unwrap();
}
