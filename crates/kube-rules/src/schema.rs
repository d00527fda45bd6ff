//! The part of a schema that rules need: types, correlation of lists, and the rules themselves.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    Reason,
    check::{Check, Refusal},
    program::{self, Program},
};

/// Key of the rules in a schema.
const VALIDATIONS: &str = "x-kubernetes-validations";
/// Maximum nesting of a schema whose rules are evaluated.
const MAX_DEPTH: usize = 128;

/// A rule that is refused or not evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// Path below the schema, such as `properties[spec].x-kubernetes-validations[0].rule`.
    pub field: String,
    /// The offending value.
    pub value: String,
    /// Why, and what is unsupported.
    pub message: String,
}

/// Kind of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A required field is missing: an API server refuses the definition.
    Required,
    /// The rule is invalid: an API server refuses the definition.
    Invalid,
    /// The rule is valid, but uses what this crate does not support.
    Unsupported,
}

/// Type of a list (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    /// Order is irrelevant.
    Set,
    /// Items are identified by these fields; order is irrelevant.
    Map(Vec<String>),
}

/// A rule of a schema.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) program: Program,
    pub(crate) message_expression: Option<Program>,
    /// Message for a violation; never empty.
    pub(crate) message: String,
    /// How errors name the rule: its message, else its text.
    pub(crate) name: String,
    pub(crate) reason: Reason,
    /// Path below the value, such as `.name`; empty for the value itself.
    pub(crate) field_path: String,
    pub(crate) optional_old_self: bool,
}

/// One node of a schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// Type; empty for int-or-string and unknown types.
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) int_or_string: bool,
    pub(crate) properties: BTreeMap<String, Schema>,
    pub(crate) additional: Option<Box<Schema>>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) list_type: ListType,
    pub(crate) rules: Vec<Rule>,
    /// Whether this node or one below it has rules.
    pub(crate) has_rules: bool,
    /// Whether this node or one below it has rules that use `oldSelf`.
    pub(crate) has_transition_rules: bool,
}

/// Where a node stands in its schema.
#[derive(Clone, Copy)]
struct Position<'a> {
    at: &'a str,
    /// The innermost ancestor below which old values do not correlate.
    uncorrelated: Option<&'a str>,
    depth: usize,
}

impl Schema {
    /// Reads the schema of an object with `apiVersion`, `kind` and `metadata`.
    pub(crate) fn read_root(schema: &Value, problems: &mut Vec<Problem>) -> Self {
        let position = Position {
            at: "",
            uncorrelated: None,
            depth: 0,
        };
        Self::read(schema, true, position, problems)
    }

    fn read(
        schema: &Value,
        resource: bool,
        position: Position<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let list_type = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array();
                let keys = keys.into_iter().flatten().filter_map(Value::as_str);
                ListType::Map(keys.map(str::to_owned).collect())
            }
            _ => ListType::Atomic,
        };
        let mut node = Self {
            kind: text("type"),
            format: text("format"),
            int_or_string: schema["x-kubernetes-int-or-string"] == true,
            list_type,
            ..Self::default()
        };
        if position.depth < MAX_DEPTH {
            node.read_children(schema, position, problems);
        } else {
            unsupported_below(schema, position.at, problems);
        }
        for key in ["allOf", "anyOf", "oneOf", "not"] {
            unsupported_below(&schema[key], &join(position.at, key), problems);
        }
        if resource || schema["x-kubernetes-embedded-resource"] == true {
            node.add_object_meta();
        }
        // After the children: expressions are checked against their types.
        let rules = schema[VALIDATIONS]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        for (index, rule) in rules.iter().enumerate() {
            let at = join(position.at, &format!("{VALIDATIONS}[{index}]"));
            let (rule, mut found) = node.read_rule(rule, &at, position.uncorrelated);
            if found.is_empty() {
                node.rules.extend(rule);
            }
            problems.append(&mut found);
        }
        let uses_old = |rule: &Rule| rule.program.uses_old_self();
        node.has_rules |= !node.rules.is_empty();
        node.has_transition_rules |= node.rules.iter().any(uses_old);
        node
    }

    fn read_children(
        &mut self,
        schema: &Value,
        position: Position<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let mut read = |child: &Value, name: &str, uncorrelated: bool| {
            let at = join(position.at, name);
            let uncorrelated = uncorrelated.then_some(at.as_str());
            let below = Position {
                at: &at,
                uncorrelated: position.uncorrelated.or(uncorrelated),
                depth: position.depth + 1,
            };
            let child = Self::read(child, false, below, problems);
            self.has_rules |= child.has_rules;
            self.has_transition_rules |= child.has_transition_rules;
            child
        };
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let property = read(property, &format!("properties[{name}]"), false);
            self.properties.insert(name.clone(), property);
        }
        if schema["additionalProperties"].is_object() {
            let values = read(
                &schema["additionalProperties"],
                "additionalProperties",
                false,
            );
            self.additional = Some(Box::new(values));
        } else if schema["additionalProperties"] == true {
            self.additional = Some(Box::default());
        }
        if schema["items"].is_object() {
            let uncorrelated = !matches!(self.list_type, ListType::Map(_));
            self.items = Some(Box::new(read(&schema["items"], "items", uncorrelated)));
        }
    }

    /// Declares the fields that rules may read of a resource.
    fn add_object_meta(&mut self) {
        let string = || Self {
            kind: "string".to_owned(),
            ..Self::default()
        };
        let of = |names: [&str; 2]| names.map(|name| (name.to_owned(), string()));
        self.properties.extend(of(["apiVersion", "kind"]));
        let metadata = Self {
            kind: "object".to_owned(),
            properties: of(["name", "generateName"]).into(),
            ..Self::default()
        };
        self.properties.insert("metadata".to_owned(), metadata);
    }

    fn read_rule(
        &self,
        rule: &Value,
        at: &str,
        uncorrelated: Option<&str>,
    ) -> (Option<Rule>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut report = |kind: ProblemKind, field: &str, value: &str, message: String| {
            problems.push(Problem {
                kind,
                field: format!("{at}.{field}"),
                value: value.to_owned(),
                message,
            });
        };
        let field = |name: &str| rule[name].as_str().unwrap_or_default();
        let (text, message) = (field("rule"), field("message"));
        let optional_old_self = rule["optionalOldSelf"] == true;
        if rule.get("message").is_some() && message.trim().is_empty() {
            let why = "message must be non-empty if specified";
            report(ProblemKind::Invalid, "message", message, why.to_owned());
        } else if has_line_breaks(message) {
            let why = "message must not contain line breaks";
            report(ProblemKind::Invalid, "message", message, why.to_owned());
        } else if has_line_breaks(text) && message.is_empty() {
            let why = "message must be specified if rule contains line breaks";
            report(ProblemKind::Required, "message", message, why.to_owned());
        }
        let reason = match rule.get("reason").and_then(Value::as_str) {
            None | Some("FieldValueInvalid") => Reason::Invalid,
            Some("FieldValueForbidden") => Reason::Forbidden,
            Some("FieldValueRequired") => Reason::Required,
            Some("FieldValueDuplicate") => Reason::Duplicate,
            Some(other) => {
                let why = "must be FieldValueInvalid, FieldValueForbidden, FieldValueRequired or FieldValueDuplicate";
                report(ProblemKind::Invalid, "reason", other, why.to_owned());
                Reason::Invalid
            }
        };
        let mut field_path = String::new();
        if let Some(path) = rule.get("fieldPath").and_then(Value::as_str) {
            match self.resolve_field_path(path) {
                Ok(resolved) => field_path = resolved,
                Err(why) => {
                    let why = format!("fieldPath must be a valid path: {why}");
                    report(ProblemKind::Invalid, "fieldPath", path, why);
                }
            }
        }
        let mut compile = |name: &str, text: &str| {
            let check = Check {
                schema: self,
                optional_old_self,
            };
            match program::compile(text, &check) {
                Ok(program) => Some(program),
                Err(Refusal::Invalid(why)) => {
                    let why = format!("compilation failed: {why}");
                    report(ProblemKind::Invalid, name, text, why);
                    None
                }
                Err(Refusal::Unsupported(why)) => {
                    report(ProblemKind::Unsupported, name, text, why);
                    None
                }
            }
        };
        let message_expression = match rule.get("messageExpression").and_then(Value::as_str) {
            Some(text) if !text.trim().is_empty() => compile("messageExpression", text),
            _ => None,
        };
        let program = if text.trim().is_empty() {
            None
        } else {
            compile("rule", text)
        };
        if let Some(text) = rule.get("messageExpression").and_then(Value::as_str)
            && text.trim().is_empty()
        {
            let why = "messageExpression must be non-empty if specified";
            report(
                ProblemKind::Invalid,
                "messageExpression",
                text,
                why.to_owned(),
            );
        }
        if text.trim().is_empty() {
            let why = "rule is not specified".to_owned();
            report(ProblemKind::Required, "rule", text, why);
        }
        if let (Some(path), Some(program)) = (uncorrelated, &program)
            && program.uses_old_self()
        {
            let why = format!(
                "oldSelf cannot be used on the uncorrelatable portion of the schema within {path}"
            );
            report(ProblemKind::Invalid, "rule", text, why);
        }
        let name = if message.is_empty() { text } else { message }.trim();
        let rule = program.map(|program| Rule {
            program,
            message_expression,
            message: if message.is_empty() {
                format!("failed rule: {name}")
            } else {
                name.to_owned()
            },
            name: name.to_owned(),
            reason,
            field_path,
            optional_old_self,
        });
        (rule, problems)
    }

    /// Resolves a `fieldPath` (`.a.b`, `.a['b']`) to the path an error names.
    fn resolve_field_path(&self, path: &str) -> Result<String, String> {
        let mut schema = self;
        let mut resolved = String::new();
        let mut rest = path;
        while !rest.is_empty() {
            let name = if let Some(after) = rest.strip_prefix("['") {
                let (name, after) = after.split_once("']").ok_or("unterminated [' in path")?;
                rest = after;
                name
            } else if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                rest = &after[end..];
                &after[..end]
            } else {
                return Err("expected [ or .".to_owned());
            };
            if let Some(property) = schema.properties.get(name) {
                schema = property;
                resolved = format!("{resolved}.{name}");
            } else if let Some(values) = &schema.additional {
                schema = values;
                resolved = format!("{resolved}[{name}]");
            } else {
                return Err(format!("does not refer to a valid field: {name:?}"));
            }
        }
        if resolved.is_empty() {
            return Err("must not be empty".to_owned());
        }
        Ok(resolved)
    }
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

/// Reports the rules in a part of a schema that is not evaluated.
fn unsupported_below(schema: &Value, at: &str, problems: &mut Vec<Problem>) {
    match schema {
        Value::Object(map) => {
            for (name, child) in map {
                if name == VALIDATIONS {
                    problems.push(Problem {
                        kind: ProblemKind::Unsupported,
                        field: join(at, VALIDATIONS),
                        value: child[0]["rule"].as_str().unwrap_or_default().to_owned(),
                        message: "rules at this place of the schema".to_owned(),
                    });
                } else {
                    unsupported_below(child, &join(at, name), problems);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unsupported_below(item, &format!("{at}[{index}]"), problems);
            }
        }
        _ => {}
    }
}
