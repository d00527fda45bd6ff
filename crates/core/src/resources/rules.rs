//! The rules of a spec that no schema keyword can say: across fields, and against what identifies a run being changed.
//!
//! Each row says its rule twice: in CEL, for API servers (evaluated from Kubernetes 1.25 on, with `fieldPath` from 1.28), and
//! as a function, for everything of ours that meets a spec first. A test holds the two against each other.

use serde_json::Value;

use super::Kind;

/// One rule.
pub struct Rule {
    /// The kind it is for; `None`: both.
    pub kind: Option<Kind>,
    /// Where it stands in the schema, below `spec`: a field, `field[].field` for one of the items of a list, or nothing for the spec itself.
    pub at: &'static str,
    /// The field it blames, a direct one of `spec`.
    pub field: &'static str,
    /// `{field}` stands for [`Self::field`].
    cel: &'static str,
    /// What holds, said to whoever broke it; follows the field's name.
    pub message: &'static str,
    /// Whether a spec keeps it: the field, the spec, and the spec as it was when this is a change.
    holds: fn(&str, &Value, Option<&Value>) -> bool,
}

impl Rule {
    /// The rule in CEL.
    #[must_use]
    pub fn cel(&self) -> String {
        self.cel.replace("{field}", self.field)
    }

    /// Whether `spec` keeps it; `old` is the spec before, when this is a change.
    #[must_use]
    pub fn holds(&self, spec: &Value, old: Option<&Value>) -> bool {
        (self.holds)(self.field, spec, old)
    }
}

/// Names that an agent's environment may not set: they steer programs, or are how a stage is told what to do.
const RESERVED: [&str; 7] = [
    "PATH",
    "HOME",
    "RUN_FILES",
    "WORKSPACE",
    "HANDOVER",
    "SSH_FILES",
    "TERMINATION_MESSAGE_PATH",
];
/// Beginnings of such names.
const RESERVED_PREFIXES: [&str; 4] = ["LD_", "GIT_", "FLIGHTDECK_", "FD_"];

const FIXED: &str = "is fixed when a run is created; launch another run";
const GROWS: &str = "only grows";
const BRANCH: &str = "is not a name git takes for a branch";
const CREDENTIALS: &str = "must not hold a user name, password or token";
const IS_RESERVED: &str = "sets a reserved variable (PATH, HOME, LD_*, GIT_*, FLIGHTDECK_*, FD_*, or one that tells a stage where its files are)";

/// Every rule.
pub const RULES: &[Rule] = &[
    fixed(None, "repositoryUrl"),
    fixed(None, "sourceBranch"),
    fixed(None, "workingDirectory"),
    fixed(None, "tag"),
    fixed(None, "agent"),
    fixed(Some(Kind::Docs), "taskIds"),
    fixed(Some(Kind::Code), "taskId"),
    fixed(Some(Kind::Code), "service"),
    fixed_with_its_absence(None, "targetBranch"),
    fixed_with_its_absence(None, "githubUser"),
    fixed_with_its_absence(Some(Kind::Code), "docsRepositoryUrl"),
    fixed_with_its_absence(Some(Kind::Code), "docsProjectDirectory"),
    fixed_with_its_absence(Some(Kind::Code), "docsBranch"),
    grows("contextVersion"),
    grows("cancelVersion"),
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
        message: "is missing, so that docsProjectDirectory and docsBranch mean nothing",
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
        message: "changes only together with a higher contextVersion",
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
        message: "is missing; promptMode replace needs it",
        holds: |field, spec, _| spec["promptMode"] != "replace" || spec.get(field).is_some(),
    },
    Rule {
        kind: None,
        at: "",
        field: "context",
        cel: "!has(oldSelf.context) || has(self.context) && oldSelf.context.all(o, self.context.exists(n, n.filename == o.filename))",
        message: "keeps every file it had",
        holds: |field, spec, old| {
            items(old, field).all(|old| file(spec, &old["filename"]).is_some())
        },
    },
    Rule {
        kind: None,
        at: "context[].content",
        field: "context",
        cel: "self == oldSelf",
        message: "keeps every file as it was; add another",
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
        message: "has a name that is not one of a variable (letters, digits and underscores, at most 128)",
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
        message: "sets a variable that env sets too",
        holds: |field, spec, _| {
            let mut secrets = items(Some(spec), field);
            secrets.all(|secret| !names(spec).any(|name| secret["name"] == name))
        },
    },
];

/// What identifies a run, in a field that is always there.
const fn fixed(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: field,
        field,
        cel: "self == oldSelf",
        message: FIXED,
        holds: unchanged,
    }
}

/// What identifies a run, in a field that may be absent: a rule of the field itself is not asked when it comes or goes.
const fn fixed_with_its_absence(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: "",
        field,
        cel: "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        message: FIXED,
        holds: unchanged,
    }
}

const fn grows(field: &'static str) -> Rule {
    Rule {
        kind: None,
        at: field,
        field,
        cel: "self >= oldSelf",
        message: GROWS,
        holds: |field, spec, old| old.is_none_or(|old| number(spec, field) >= number(old, field)),
    }
}

/// What `git check-ref-format` refuses and a pattern without look-ahead cannot.
#[expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "git compares so"
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

/// Specs are shown, listed and logged; a credential in one would be too.
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
        // The lists that are fixed are sets: their order says nothing.
        (Some(Value::Array(new)), Some(Value::Array(old))) => {
            new.len() == old.len() && old.iter().all(|item| new.contains(item))
        }
        (new, old) => new == old,
    })
}

/// Both versions have a default, so that only a malformed spec has no number.
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

/// Whether an agent's environment may not set this variable.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
