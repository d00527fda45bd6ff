//! Validation rules that a schema cannot express: across fields, and on updates of immutable fields.
//!
//! Each rule is written twice: in CEL for API servers (Kubernetes 1.25 or later, with `fieldPath` from 1.28), and as
//! a function for validation before a request is sent. A test checks that both agree.

use serde_json::Value;

use super::Kind;

/// A validation rule.
pub(super) struct Rule {
    /// Kind that the rule applies to; `None` for all.
    pub(super) kind: Option<Kind>,
    /// Location in the schema, below `spec`: a field, `field[].field` for list items, or empty for the spec itself.
    pub(super) at: &'static str,
    /// Top-level field reported in the error.
    pub(super) field: &'static str,
    /// `{field}` is replaced by [`Self::field`].
    cel: &'static str,
    /// Error message, which follows the field name.
    pub(super) message: &'static str,
    /// Whether a spec satisfies the rule, given the field, the spec, and the old spec on update.
    holds: fn(&str, &Value, Option<&Value>) -> bool,
}

impl Rule {
    /// Returns the rule in CEL.
    pub(super) fn cel(&self) -> String {
        self.cel.replace("{field}", self.field)
    }

    /// Whether `spec` satisfies the rule; `old` is the previous spec on update.
    pub(super) fn holds(&self, spec: &Value, old: Option<&Value>) -> bool {
        (self.holds)(self.field, spec, old)
    }
}

/// Variables that the environment of an agent must not set: they affect other programs, or configure the stages.
const RESERVED: [&str; 7] = [
    "PATH",
    "HOME",
    "RUN_FILES",
    "WORKSPACE",
    "HANDOVER",
    "SSH_FILES",
    "TERMINATION_MESSAGE_PATH",
];
/// Prefixes of reserved variables.
const RESERVED_PREFIXES: [&str; 4] = ["LD_", "GIT_", "FLIGHTDECK_", "FD_"];

const IMMUTABLE: &str = "is immutable; launch another run";
const NON_DECREASING: &str = "cannot decrease";
const BRANCH: &str = "is not a valid branch name";
const CREDENTIALS: &str = "must not contain a user name, password or token";
const IS_RESERVED: &str = "sets a reserved variable (PATH, HOME, LD_*, GIT_*, FLIGHTDECK_*, FD_*, or a file location of a stage)";

/// All rules.
pub(super) const RULES: &[Rule] = &[
    immutable(None, "repositoryUrl"),
    immutable(None, "sourceBranch"),
    immutable(None, "workingDirectory"),
    immutable(None, "tag"),
    immutable(None, "agent"),
    immutable(Some(Kind::Docs), "taskIds"),
    immutable(Some(Kind::Code), "taskId"),
    immutable(Some(Kind::Code), "service"),
    immutable_optional(None, "targetBranch"),
    immutable_optional(None, "githubUser"),
    immutable_optional(Some(Kind::Code), "docsRepositoryUrl"),
    immutable_optional(Some(Kind::Code), "docsProjectDirectory"),
    immutable_optional(Some(Kind::Code), "docsBranch"),
    non_decreasing("contextVersion"),
    non_decreasing("cancelVersion"),
    branch(None, "sourceBranch"),
    branch(None, "targetBranch"),
    branch(Some(Kind::Code), "docsBranch"),
    without_credentials(None, "repositoryUrl"),
    without_credentials(Some(Kind::Code), "docsRepositoryUrl"),
    Rule {
        kind: Some(Kind::Code),
        at: "",
        field: "docsRepositoryUrl",
        cel: "has(self.docsRepositoryUrl) || !(has(self.docsProjectDirectory) || has(self.docsBranch))",
        message: "is required with docsProjectDirectory or docsBranch",
        holds: |_, spec, _| {
            spec.get("docsRepositoryUrl").is_some()
                || spec.get("docsProjectDirectory").is_none() && spec.get("docsBranch").is_none()
        },
    },
    Rule {
        kind: None,
        at: "",
        field: "tasksRevision",
        cel: "self.contextVersion > oldSelf.contextVersion || has(self.tasksRevision) == has(oldSelf.tasksRevision) && (!has(self.tasksRevision) || self.tasksRevision == oldSelf.tasksRevision)",
        message: "can change only with a higher contextVersion",
        holds: |field, spec, old| {
            old.is_none_or(|old| {
                number(spec, "contextVersion") > number(old, "contextVersion")
                    || spec.get(field) == old.get(field)
            })
        },
    },
    Rule {
        kind: None,
        at: "",
        field: "promptModification",
        cel: "self.promptMode != 'replace' || has(self.promptModification)",
        message: "is required with promptMode replace",
        holds: |field, spec, _| spec["promptMode"] != "replace" || spec.get(field).is_some(),
    },
    Rule {
        kind: None,
        at: "",
        field: "context",
        cel: "!has(oldSelf.context) || has(self.context) && oldSelf.context.all(o, self.context.exists(n, n.filename == o.filename))",
        message: "cannot drop files",
        holds: |field, spec, old| {
            items(old, field).all(|old| file(spec, &old["filename"]).is_some())
        },
    },
    Rule {
        kind: None,
        at: "context[].content",
        field: "context",
        cel: "self == oldSelf",
        message: "cannot change files; add another",
        holds: |field, spec, old| {
            items(old, field).all(|old| {
                file(spec, &old["filename"]).is_none_or(|new| new["content"] == old["content"])
            })
        },
    },
    Rule {
        kind: None,
        at: "env",
        field: "env",
        cel: "self.all(name, size(name) <= 128 && name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))",
        message: "has an invalid variable name (letters, digits and underscores, at most 128)",
        holds: |_, spec, _| names(spec).all(is_variable),
    },
    Rule {
        kind: None,
        at: "env",
        field: "env",
        cel: "self.all(name, !(name in ['PATH', 'HOME', 'RUN_FILES', 'WORKSPACE', 'HANDOVER', 'SSH_FILES', 'TERMINATION_MESSAGE_PATH'] || name.startsWith('LD_') || name.startsWith('GIT_') || name.startsWith('FLIGHTDECK_') || name.startsWith('FD_')))",
        message: IS_RESERVED,
        holds: |_, spec, _| !names(spec).any(is_reserved),
    },
    Rule {
        kind: None,
        at: "envFromSecrets[].name",
        field: "envFromSecrets",
        cel: "!(self in ['PATH', 'HOME', 'RUN_FILES', 'WORKSPACE', 'HANDOVER', 'SSH_FILES', 'TERMINATION_MESSAGE_PATH'] || self.startsWith('LD_') || self.startsWith('GIT_') || self.startsWith('FLIGHTDECK_') || self.startsWith('FD_'))",
        message: IS_RESERVED,
        holds: |field, spec, _| {
            let mut secrets = items(Some(spec), field);
            secrets.all(|secret| !secret["name"].as_str().is_some_and(is_reserved))
        },
    },
    Rule {
        kind: None,
        at: "",
        field: "envFromSecrets",
        cel: "!has(self.env) || !has(self.envFromSecrets) || self.envFromSecrets.all(secret, !(secret.name in self.env))",
        message: "sets a variable that env also sets",
        holds: |field, spec, _| {
            let mut secrets = items(Some(spec), field);
            secrets.all(|secret| !names(spec).any(|name| secret["name"] == name))
        },
    },
];

/// An immutable required field.
const fn immutable(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: field,
        field,
        cel: "self == oldSelf",
        message: IMMUTABLE,
        holds: unchanged,
    }
}

/// An immutable optional field. The rule is on the spec, because rules on a field are not evaluated when it is added
/// or removed.
const fn immutable_optional(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: "",
        field,
        cel: "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        message: IMMUTABLE,
        holds: unchanged,
    }
}

const fn non_decreasing(field: &'static str) -> Rule {
    Rule {
        kind: None,
        at: field,
        field,
        cel: "self >= oldSelf",
        message: NON_DECREASING,
        holds: |field, spec, old| old.is_none_or(|old| number(spec, field) >= number(old, field)),
    }
}

/// The part of `git check-ref-format` that a pattern without look-ahead cannot express.
#[expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "git is case-sensitive here"
)]
const fn branch(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: field,
        field,
        cel: "self != '@' && !self.contains('@{') && !self.contains('.lock/') && !self.endsWith('.lock')",
        message: BRANCH,
        holds: |field, spec, _| {
            spec[field].as_str().is_none_or(|name| {
                name != "@"
                    && !name.contains("@{")
                    && !name.contains(".lock/")
                    && !name.ends_with(".lock")
            })
        },
    }
}

/// Specs are listed and logged, so they must not contain credentials.
const fn without_credentials(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: field,
        field,
        cel: "!self.matches('^https?://[^/]*@') && !self.matches('^[a-z]+://[^/]*:[^/]*@')",
        message: CREDENTIALS,
        holds: |field, spec, _| {
            let Some((scheme, rest)) = spec[field].as_str().and_then(|url| url.split_once("://"))
            else {
                return true;
            };
            let authority = rest.split('/').next().unwrap_or_default();
            authority
                .rsplit_once('@')
                .is_none_or(|(user, _)| !matches!(scheme, "http" | "https") && !user.contains(':'))
        },
    }
}

fn unchanged(field: &str, spec: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| match (spec.get(field), old.get(field)) {
        // Immutable lists are sets, so order is irrelevant.
        (Some(Value::Array(new)), Some(Value::Array(old))) => {
            new.len() == old.len() && old.iter().all(|item| new.contains(item))
        }
        (new, old) => new == old,
    })
}

/// Both versions have a default; only a malformed spec has no number.
fn number(spec: &Value, field: &str) -> i64 {
    let default = i64::from(field == "contextVersion");
    spec[field].as_i64().unwrap_or(default)
}

fn items<'a>(spec: Option<&'a Value>, field: &str) -> impl Iterator<Item = &'a Value> {
    let list = spec.and_then(|spec| spec[field].as_array());
    list.into_iter().flatten()
}

fn file<'a>(spec: &'a Value, filename: &Value) -> Option<&'a Value> {
    items(Some(spec), "context").find(|file| file["filename"] == *filename)
}

fn names(spec: &Value) -> impl Iterator<Item = &str> {
    let env = spec["env"].as_object();
    env.into_iter()
        .flat_map(|map| map.keys().map(String::as_str))
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 128
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether an agent environment must not set this variable.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
