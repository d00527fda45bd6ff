//! [`validate`] and the CRDs agree, and an API server accepts the CRDs.

use serde_json::{Value, json};

use super::{rules::RULES, *};

/// Returns a valid spec with `changes` merged into it.
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

/// Changes to a valid spec, the old changes on update, and the invalid field (`None` if valid).
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
        // Immutable fields.
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
        // Mutable fields.
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
        // Context is append-only.
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
        // Rules across fields.
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
        // Environment.
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
        // Addresses with credentials.
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
fn rules_report_the_invalid_field() {
    let mut broken: Vec<(String, &str)> = Vec::new();
    for (kind, new, old, invalid) in rows() {
        let (new, old) = (spec(kind, &new), old.map(|old| spec(kind, &old)));
        let errors = validate(kind, &new, old.as_ref())
            .err()
            .map_or_else(Vec::new, |invalid| invalid.errors);
        let fields: Vec<&str> = errors.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            invalid.into_iter().collect::<Vec<_>>(),
            "{new}\n{old:?}\n{errors:?}"
        );
        broken.extend(invalid.map(|field| (errors[0].message.clone(), field)));
    }
    for rule in RULES {
        assert!(
            broken.contains(&(rule.message.to_owned(), rule.field)),
            "no row breaks {} ({})",
            rule.cel(),
            rule.field
        );
    }
}

#[test]
fn rules_compile() {
    for kind in [Kind::Docs, Kind::Code] {
        let schema = json!({"type": "object", "properties": {"spec": definition::spec(kind)}});
        assert_eq!(kube_rules::Rules::compile(&schema).1, []);
    }
}

#[test]
fn schema_errors_are_readable() {
    use Kind::{Code, Docs};
    let long = "x".repeat(256);
    for (kind, change, message) in [
        (
            Docs,
            json!({ "sourceBranch": "a b" }),
            "spec.sourceBranch is \"a b\", which is not a valid branch name",
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
            "spec.sourceBranch has 256 characters; must have at most 255",
        ),
        (
            Docs,
            json!({ "repositoryUrl": "ext::sh -c touch% x" }),
            "spec.repositoryUrl is not a repository address",
        ),
        (
            Docs,
            json!({ "repositoryUrl": "--upload-pack=x" }),
            "spec.repositoryUrl is not a repository address",
        ),
        (
            Docs,
            json!({ "repositoryUrl": "../origin" }),
            "spec.repositoryUrl is not a repository address",
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
            "spec.tag is \"../x\", which is not a path without",
        ),
        (
            Docs,
            json!({ "model": "--danger" }),
            "spec.model is \"--danger\", which is not a word",
        ),
        (
            Docs,
            json!({ "githubUser": "a/b" }),
            "spec.githubUser is \"a/b\", which is not a user name",
        ),
        (Docs, json!({ "taskIds": [] }), "spec.taskIds is empty"),
        (
            Docs,
            json!({ "taskIds": ["1", "1"] }),
            "spec.taskIds contains \"1\" twice",
        ),
        (
            Docs,
            json!({ "taskIds": vec!["1"; 501] }),
            "spec.taskIds has 501 items; must have at most 500",
        ),
        (
            Docs,
            json!({ "taskIds": ["a b"] }),
            "spec.taskIds[0] is \"a b\", which is not a name of letters",
        ),
        (
            Code,
            json!({ "service": "Shop" }),
            "spec.service is \"Shop\", which is not a name of lower-case letters",
        ),
        (
            Docs,
            json!({ "contextVersion": 0 }),
            "spec.contextVersion is 0; must be at least 1",
        ),
        (
            Docs,
            json!({ "retries": 11 }),
            "spec.retries is 11; must be at most 10",
        ),
        (
            Docs,
            json!({ "contextVersion": "2" }),
            "spec.contextVersion is not of type integer",
        ),
        (
            Docs,
            json!({ "toolConfig": "all" }),
            "spec.toolConfig is \"all\"; must be one of minimal, default, advanced",
        ),
        (
            Docs,
            json!({ "budgetUsd": "lots" }),
            "spec.budgetUsd is \"lots\", which is not an amount in US dollars",
        ),
        (
            Docs,
            json!({ "env": { "TOKEN": "s3cret".repeat(1000) } }),
            "spec.env.TOKEN has 6000 characters; must have at most 4096",
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
            "spec.context contains \"a.md\" twice",
        ),
        (
            Docs,
            json!({ "tasksRevision": { "path": "/etc", "blob": "x", "commit": "y" } }),
            "spec.tasksRevision.path is \"/etc\", which is not a path without",
        ),
    ] {
        let error = validate(kind, &spec(kind, &change), None).expect_err(&change.to_string());
        assert!(error.to_string().contains(message), "{message}\n{error}");
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
fn messages_never_repeat_secrets() {
    for change in [
        json!({ "repositoryUrl": "https://ada:s3cret@github.com/acme/shop" }),
        json!({ "repositoryUrl": "s3cret\u{7}" }),
        json!({ "env": { "PATH": "s3cret", "A B": "s3cret" } }),
        json!({ "env": { "A": ["s3cret"] } }),
    ] {
        let error = validate(Kind::Docs, &spec(Kind::Docs, &change), None).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
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
fn spec_fields_are_bounded_and_described() {
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
                    format::DESCRIPTIONS
                        .iter()
                        .any(|(known, _)| *known == pattern),
                    "{path}: {pattern}"
                );
                // RE2 supports neither, and Perl classes differ between Go and Rust.
                assert!(
                    !pattern.contains("(?") && !pattern.contains(r"\s") && !pattern.contains(r"\w"),
                    "{path}: {pattern}"
                );
            }
        });
    }
}

#[test]
fn crds_contain_every_rule() {
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
                // Transition rules are evaluated only where old and new values correlate, never below an atomic list.
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

/// CEL cost limits of `k8s.io/apiextensions-apiserver`, estimated when a CRD is applied: 10 million per rule (times
/// its evaluations per object), 100 million per CRD. The estimate follows cel-go, rounded up: 1 per operation, a
/// tenth of the longer operand for string reads, times a quarter of the expression length for `matches`. A
/// comprehension multiplies its body by the maximum item count; map keys count as empty.
#[test]
fn cel_cost_is_within_limits() {
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
        // Counts each token as an operation, which overestimates.
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
fn accepts_fields_of_newer_versions() {
    let unknown_fields = json!({ "sandbox": { "kind": "gvisor" }, "preflightOverride": null });
    validate(
        Kind::Docs,
        &spec(Kind::Docs, &unknown_fields),
        Some(&spec(Kind::Docs, &unknown_fields)),
    )
    .unwrap();
}
