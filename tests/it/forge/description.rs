//! Validates calls against GitHub's OpenAPI description of its REST API.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use flightdeck_host::forge::stand_in::RecordedCall;

const FILE: &str = "node_modules/@octokit/openapi/generated/api.github.com.json";
/// Statuses that any call may return; they are documented separately.
const ANYWHERE: [u16; 8] = [301, 401, 403, 404, 429, 500, 502, 503];

pub(super) struct Description(Value);

impl Description {
    /// Reads the description, if `.ci/peers` has installed it.
    pub(super) fn installed() -> Option<Self> {
        let peers = std::env::var_os("FLIGHTDECK_PEERS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
            PathBuf::from,
        );
        let bytes = fs::read(peers.join(FILE)).ok()?;
        Some(Self(serde_json::from_slice(&bytes).unwrap()))
    }

    /// Returns where a call or its response violates the description.
    pub(super) fn errors(&self, call: &RecordedCall) -> Vec<String> {
        let RecordedCall { method, uri, .. } = call;
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let Some(operation) = self.operation(path, &method.as_str().to_lowercase()) else {
            return vec![format!("{method} {path} is unknown")];
        };
        let mut errors = self.query_errors(operation, query);
        let body = "/requestBody/content/application~1json/schema";
        match operation.pointer(body) {
            Some(schema) => {
                self.check(schema, &call.sent, "sent", &mut errors);
                self.check_unknown(schema, &call.sent, &mut errors);
            }
            None if call.sent.is_null() => {}
            None => errors.push("sent: unexpected body".into()),
        }
        let status = call.status.as_u16();
        let answers = &operation["responses"];
        match answers.get(status.to_string()) {
            // Conditional requests are described for all reads, on a page of their own.
            _ if status == 304 && *method == http::Method::GET => {}
            Some(answer) => {
                let answer = self.resolved(answer);
                if let Some(schema) = answer.pointer("/content/application~1json/schema") {
                    self.check(schema, &call.answered, "answered", &mut errors);
                }
            }
            None if ANYWHERE.contains(&status) => {
                let schema = &self.0["components"]["schemas"]["basic-error"];
                self.check(schema, &call.answered, "answered", &mut errors);
            }
            None => errors.push(format!("answered: unexpected status {status}")),
        }
        let call = format!("{method} {uri} {status}");
        let named = errors.iter().map(|error| format!("{call}: {error}"));
        named.collect()
    }

    /// Returns the operation of a path. If several templates match, the one with the fewest parameters.
    fn operation(&self, path: &str, method: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let parameter = |part: &str| part.starts_with('{');
        let fits = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(wanted, part)| parameter(wanted) || wanted == part)
        };
        let paths = self.0["paths"].as_object().unwrap();
        let found = paths.iter().filter(|(template, _)| fits(template));
        let (_, item) = found.min_by_key(|(template, _)| template.matches('{').count())?;
        item.get(method)
    }

    fn query_errors(&self, operation: &Value, query: &str) -> Vec<String> {
        let parameters = operation["parameters"].as_array().unwrap();
        let find = |name: &str| {
            let known = parameters.iter().map(|parameter| self.resolved(parameter));
            known
                .into_iter()
                .find(|known| known["name"] == name && known["in"] == "query")
        };
        let mut errors = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap();
            match find(name) {
                None => errors.push(format!("unknown query parameter {name}")),
                Some(parameter) => {
                    let value = match value.parse::<i64>() {
                        Ok(number) if parameter["schema"]["type"] == "integer" => number.into(),
                        _ => Value::from(value),
                    };
                    self.check(&parameter["schema"], &value, name, &mut errors);
                }
            }
        }
        errors
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(name) => self.resolved(self.0.pointer(&name[1..]).unwrap()),
            None => value,
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, at, errors);
        }
        for choice in ["anyOf", "oneOf"] {
            let Some(choices) = schema[choice].as_array() else {
                continue;
            };
            let tried = choices.iter().map(|choice| {
                let mut errors = Vec::new();
                self.check(choice, value, at, &mut errors);
                errors
            });
            let least = tried.min_by_key(Vec::len).unwrap_or_default();
            errors.extend(least);
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            errors.push(format!("{at}: {value} is not one of {allowed:?}"));
        }
        let right = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        if !right {
            errors.push(format!("{at}: {value} is not of type {}", schema["type"]));
            return;
        }
        match value {
            Value::Object(fields) => self.check_fields(schema, fields, at, errors),
            Value::Array(items) => {
                if schema["minItems"].as_u64() > Some(items.len() as u64) {
                    errors.push(format!("{at}: too few items"));
                }
                for (number, item) in items.iter().enumerate() {
                    self.check(&schema["items"], item, &format!("{at}[{number}]"), errors);
                }
            }
            Value::String(text) => {
                let well_formed = match schema["format"].as_str() {
                    Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
                    Some("uri") => text.contains("://"),
                    _ => true,
                };
                if !well_formed {
                    errors.push(format!("{at}: {text:?} is not a {}", schema["format"]));
                }
            }
            _ => {}
        }
    }

    fn check_fields(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        at: &str,
        errors: &mut Vec<String>,
    ) {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                errors.push(format!("{at}: {name} is missing"));
            }
        }
        let known = schema["properties"].as_object();
        for (name, value) in fields {
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.check(schema, value, &format!("{at}.{name}"), errors);
            }
        }
    }

    /// Checks for unknown fields, which GitHub ignores silently.
    fn check_unknown(&self, schema: &Value, sent: &Value, errors: &mut Vec<String>) {
        let schema = self.resolved(schema);
        let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        let schemas = choices.map_or_else(|| vec![schema], |choices| choices.iter().collect());
        for name in sent.as_object().into_iter().flat_map(Map::keys) {
            if !schemas
                .iter()
                .any(|schema| schema["properties"].get(name).is_some())
            {
                errors.push(format!("sent: unknown field {name}"));
            }
        }
    }
}
