//! Validation rules of Kubernetes custom resources (`x-kubernetes-validations`), evaluated as an API server does.
//!
//! [`Rules::compile`] reads the schema of a CustomResourceDefinition and reports the rules an API server refuses.
//! [`Rules::evaluate`] checks an object, and on update the change from the old one. Pure.
//!
//! ```
//! use kube_rules::Rules;
//! use serde_json::json;
//!
//! let (rules, problems) = Rules::compile(&json!({"type": "object", "properties": {"spec": {
//!     "type": "object",
//!     "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}},
//!     "x-kubernetes-validations": [{"rule": "self.min <= self.max", "message": "min exceeds max"}],
//! }}}));
//! assert!(problems.is_empty());
//! let violations = rules.evaluate(&json!({"spec": {"min": 2, "max": 1}}), None);
//! assert_eq!(violations[0].field, "spec");
//! assert_eq!(violations[0].detail, "min exceeds max");
//! ```
//!
//! # Differences from an API server
//!
//! * Expressions are not fully typed before they run. Unknown fields, variables and functions are refused with the
//!   definition; operands of the wrong type are violations of each object instead.
//! * [`Rules::compile`] reports rules with functions or types that are not supported (URLs, quantities, IP addresses,
//!   semantic versions, sets, times, durations, bytes, `format`, comprehensions with two variables) as
//!   [`ProblemKind::Unsupported`]. They are not evaluated.
//! * The cost of a rule is not estimated. Its text and nesting are limited, and so are the work and the time of each
//!   evaluation.

mod check;
mod functions;
mod meter;
mod program;
mod schema;
mod values;

use serde_json::Value;

use meter::Meter;
use program::{Failure, Scope};
use schema::{ListType, Rule, Schema};

pub use schema::{Problem, ProblemKind};

/// Maximum length of a message that a rule computes, in bytes, as in Kubernetes.
const MAX_MESSAGE: usize = 5 << 10;

/// The compiled rules of one schema.
#[derive(Debug)]
pub struct Rules {
    root: Schema,
}

/// Why a value violates a rule (`reason` of the rule).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    #[default]
    Invalid,
    Forbidden,
    Required,
    Duplicate,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `spec.items[0].name`; empty for the object itself.
    pub field: String,
    pub reason: Reason,
    /// Type of the value in its schema, which an API server prints instead of the value.
    pub value_type: String,
    /// Message of the rule.
    pub detail: String,
}

impl Rules {
    /// Compiles the rules of an `openAPIV3Schema`. Rules with a [`Problem`] are not evaluated.
    #[must_use]
    pub fn compile(schema: &Value) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let root = Schema::read_root(schema, &mut problems);
        (Self { root }, problems)
    }

    /// Returns whether there are no rules to evaluate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.root.has_rules
    }

    /// Returns the violations of an object, and on update of the change from `old`. Violations that an unchanged value
    /// already had are tolerated.
    #[must_use]
    pub fn evaluate(&self, new: &Value, old: Option<&Value>) -> Vec<Violation> {
        let mut evaluation = Evaluation {
            meter: Meter::new(),
            violations: Vec::new(),
        };
        evaluation.check(&self.root, new, old, false, "");
        evaluation.violations
    }
}

/// One evaluation of all rules on an object.
struct Evaluation {
    meter: Meter,
    violations: Vec<Violation>,
}

impl Evaluation {
    /// Checks a value and everything below it. `same`: the parent is known to be unchanged.
    fn check(&mut self, schema: &Schema, new: &Value, old: Option<&Value>, same: bool, at: &str) {
        if new.is_null() || !schema.has_rules {
            return;
        }
        let same = same || old == Some(new);
        if same && !schema.has_transition_rules {
            return;
        }
        for rule in &schema.rules {
            self.check_rule(schema, rule, (new, old), same, at);
        }
        match new {
            Value::Object(map) => {
                for (name, value) in map {
                    let old = old.and_then(|old| old.get(name));
                    if let Some(property) = schema.properties.get(name) {
                        self.check(property, value, old, same, &child(at, name));
                    } else if let Some(schema) = &schema.additional {
                        self.check(schema, value, old, same, &format!("{at}[{name}]"));
                    }
                }
            }
            Value::Array(items) => {
                let Some(item_schema) = &schema.items else {
                    return;
                };
                let old: &[Value] = old.and_then(Value::as_array).map_or(&[], Vec::as_slice);
                for (index, item) in items.iter().enumerate() {
                    let old = schema.list_type.correlate(old, item, index);
                    self.check(item_schema, item, old, same, &format!("{at}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn check_rule(
        &mut self,
        schema: &Schema,
        rule: &Rule,
        (new, old): (&Value, Option<&Value>),
        same: bool,
        at: &str,
    ) {
        let transition = rule.program.uses_old_self();
        if same && !transition || transition && old.is_none() && !rule.optional_old_self {
            return;
        }
        if self.meter.is_exhausted() {
            return;
        }
        let scope = Scope {
            schema,
            new,
            old,
            optional_old_self: rule.optional_old_self,
            meter: &self.meter,
        };
        let failed = |why: &str| (at.to_owned(), Reason::Invalid, why.to_owned());
        let (field, reason, detail) = match rule.program.holds(&scope) {
            Ok(true) => return,
            Ok(false) => {
                let field = match rule.field_path.strip_prefix('.') {
                    Some(path) if at.is_empty() => path.to_owned(),
                    _ => format!("{at}{}", rule.field_path),
                };
                let computed = rule.message_expression.as_ref();
                let computed = computed.and_then(|program| message(&program.text(&scope).ok()?));
                (
                    field,
                    rule.reason,
                    computed.unwrap_or_else(|| rule.message.clone()),
                )
            }
            Err(Failure::Exhausted) => failed(&format!(
                "operation cancelled: actual cost limit exceeded: no further validation rules will be run due to call cost exceeds limit for rule: {}",
                rule.name
            )),
            Err(Failure::NoOverload) => failed(&format!(
                "'no such overload': call arguments did not match a supported operator, function or macro signature for rule: {}",
                rule.name
            )),
            Err(Failure::Error(why)) => failed(&format!("{why} evaluating rule: {}", rule.name)),
        };
        self.violations.push(Violation {
            field,
            reason,
            value_type: schema.kind.clone(),
            detail,
        });
    }
}

/// Returns a computed message, unless an API server would fall back to the message of the rule.
fn message(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let usable =
        !trimmed.is_empty() && text.len() <= MAX_MESSAGE && !trimmed.contains(['\n', '\r']);
    usable.then(|| trimmed.to_owned())
}

fn child(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

impl ListType {
    /// Returns the old value of an item. Only items of a map list correlate.
    fn correlate<'a>(&self, old: &'a [Value], item: &Value, index: usize) -> Option<&'a Value> {
        let Self::Map(keys) = self else {
            return None;
        };
        let same_keys = |old: &&Value| keys.iter().all(|key| old.get(key) == item.get(key));
        // Usually an item keeps its place.
        let in_place = old.get(index).filter(same_keys);
        in_place.or_else(|| old.iter().find(same_keys))
    }
}

#[cfg(test)]
mod tests;
