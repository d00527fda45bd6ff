//! Validation rules that a schema cannot express: across fields, and on updates of immutable fields.
//!
//! In CEL, for API servers (Kubernetes 1.25 or later, with `fieldPath` from 1.28) and for [`validate`](super::validate).

use super::Kind;

/// A validation rule.
pub(super) struct Rule {
    /// Kind that the rule applies to; `None` for all.
    pub(super) kind: Option<Kind>,
    /// Location in the schema, below `spec`: a field, `field[].field` for list items, or empty for the spec itself.
    pub(super) at: &'static str,
    /// Top-level field reported in the error.
    pub(super) field: &'static str,
    /// `{field}` is replaced by [`Self::field`], `{reserved:x}` by whether the name `x` is reserved.
    cel: &'static str,
    /// Error message, which follows the field name.
    pub(super) message: &'static str,
}

impl Rule {
    /// Returns the rule in CEL.
    pub(super) fn cel(&self) -> String {
        self.cel
            .replace("{field}", self.field)
            .replace("{reserved:name}", &reserved("name"))
            .replace("{reserved:self}", &reserved("self"))
    }
}

/// Returns the CEL expression for whether the text `variable` is a reserved name.
fn reserved(variable: &str) -> String {
    let names = RESERVED.map(|name| format!("'{name}'")).join(", ");
    let prefixes = RESERVED_PREFIXES
        .map(|prefix| format!("{variable}.startsWith('{prefix}')"))
        .join(" || ");
    format!("({variable} in [{names}] || {prefixes})")
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
    },
    Rule {
        kind: None,
        at: "",
        field: "tasksRevision",
        cel: "self.contextVersion > oldSelf.contextVersion || has(self.tasksRevision) == has(oldSelf.tasksRevision) && (!has(self.tasksRevision) || self.tasksRevision == oldSelf.tasksRevision)",
        message: "can change only with a higher contextVersion",
    },
    Rule {
        kind: None,
        at: "",
        field: "promptModification",
        cel: "self.promptMode != 'replace' || has(self.promptModification)",
        message: "is required with promptMode replace",
    },
    Rule {
        kind: None,
        at: "",
        field: "context",
        cel: "!has(oldSelf.context) || has(self.context) && oldSelf.context.all(o, self.context.exists(n, n.filename == o.filename))",
        message: "cannot drop files",
    },
    Rule {
        kind: None,
        at: "context[].content",
        field: "context",
        cel: "self == oldSelf",
        message: "cannot change files; add another",
    },
    Rule {
        kind: None,
        at: "env",
        field: "env",
        cel: "self.all(name, size(name) <= 128 && name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))",
        message: "has an invalid variable name (letters, digits and underscores, at most 128)",
    },
    Rule {
        kind: None,
        at: "env",
        field: "env",
        cel: "self.all(name, !{reserved:name})",
        message: IS_RESERVED,
    },
    Rule {
        kind: None,
        at: "envFromSecrets[].name",
        field: "envFromSecrets",
        cel: "!{reserved:self}",
        message: IS_RESERVED,
    },
    Rule {
        kind: None,
        at: "",
        field: "envFromSecrets",
        cel: "!has(self.env) || !has(self.envFromSecrets) || self.envFromSecrets.all(secret, !(secret.name in self.env))",
        message: "sets a variable that env also sets",
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
    }
}

const fn non_decreasing(field: &'static str) -> Rule {
    Rule {
        kind: None,
        at: field,
        field,
        cel: "self >= oldSelf",
        message: NON_DECREASING,
    }
}

/// The part of `git check-ref-format` that a pattern without look-ahead cannot express.
const fn branch(kind: Option<Kind>, field: &'static str) -> Rule {
    Rule {
        kind,
        at: field,
        field,
        cel: "self != '@' && !self.contains('@{') && !self.contains('.lock/') && !self.endsWith('.lock')",
        message: BRANCH,
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
    }
}

/// Whether an agent environment must not set this variable.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
