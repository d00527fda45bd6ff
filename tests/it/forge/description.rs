//! GitHub's own description of its REST API (OpenAPI 3.0), as a judge of what is sent and answered.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use flightdeck_host::forge::stand_in::RecordedCall;

const FILE: &str = "node_modules/@octokit/openapi/generated/api.github.com.json";
/// Answers that any call may give, which are described on pages of their own.
const ANYWHERE: [u16; 8] = [301, 401, 403, 404, 429, 500, 502, 503];

pub struct Description(Value);

impl Description {
    /// The description, where `.ci/peers` has installed it.
    pub fn installed() -> Option<Self> {
        let peers = std::env::var_os("FLIGHTDECK_PEERS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
            PathBuf::from,
        );
        let bytes = fs::read(peers.join(FILE)).ok()?;
        Some(Self(serde_json::from_slice(&bytes).unwrap()))
    }

    /// What of a call and its answer the description does not allow.
    pub fn complaints(&self, exchange: &RecordedCall) -> Vec<String> {
        let RecordedCall { method, uri, .. } = exchange;
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let Some(operation) = self.operation(path, &method.as_str().to_lowercase()) else {
            return vec![format!("{method} {path} is not described")];
        };
        let mut complaints = self.about_query(operation, query);
        let body = "/requestBody/content/application~1json/schema";
        match operation.pointer(body) {
            Some(schema) => {
                self.check(schema, &exchange.sent, "sent", &mut complaints);
                self.unknown(schema, &exchange.sent, &mut complaints);
            }
            None if exchange.sent.is_null() => {}
            None => complaints.push("sent: no body is described".into()),
        }
        let status = exchange.status.as_u16();
        let answers = &operation["responses"];
        match answers.get(status.to_string()) {
            // Conditional requests are described for all reads, on a page of their own.
            _ if status == 304 && *method == http::Method::GET => {}
            Some(answer) => {
                let answer = self.resolved(answer);
                if let Some(schema) = answer.pointer("/content/application~1json/schema") {
                    self.check(schema, &exchange.answered, "answered", &mut complaints);
                }
            }
            None if ANYWHERE.contains(&status) => {
                let schema = &self.0["components"]["schemas"]["basic-error"];
                self.check(schema, &exchange.answered, "answered", &mut complaints);
            }
            None => complaints.push(format!("answered: {status} is not described")),
        }
        let call = format!("{method} {uri} {status}");
        let named = complaints.iter().map(|said| format!("{call}: {said}"));
        named.collect()
    }

    /// The operation of a path: of the templates that fit, the one with the fewest holes.
    fn operation(&self, path: &str, method: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let hole = |part: &str| part.starts_with('{');
        let fits = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            template.len() == parts.len()
                && template
                    .iter()
                    .zip(&parts)
                    .all(|(wanted, part)| hole(wanted) || wanted == part)
        };
        let paths = self.0["paths"].as_object().unwrap();
        let found = paths.iter().filter(|(template, _)| fits(template));
        let (_, item) = found.min_by_key(|(template, _)| template.matches('{').count())?;
        item.get(method)
    }

    fn about_query(&self, operation: &Value, query: &str) -> Vec<String> {
        let parameters = operation["parameters"].as_array().unwrap();
        let find = |name: &str| {
            let known = parameters.iter().map(|parameter| self.resolved(parameter));
            known
                .into_iter()
                .find(|known| known["name"] == name && known["in"] == "query")
        };
        let mut complaints = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap();
            match find(name) {
                None => complaints.push(format!("there is no query parameter {name}")),
                Some(parameter) => {
                    let value = match value.parse::<i64>() {
                        Ok(number) if parameter["schema"]["type"] == "integer" => number.into(),
                        _ => Value::from(value),
                    };
                    self.check(&parameter["schema"], &value, name, &mut complaints);
                }
            }
        }
        complaints
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(name) => self.resolved(self.0.pointer(&name[1..]).unwrap()),
            None => value,
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, complaints: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, at, complaints);
        }
        for choice in ["anyOf", "oneOf"] {
            let Some(choices) = schema[choice].as_array() else {
                continue;
            };
            let tried = choices.iter().map(|choice| {
                let mut said = Vec::new();
                self.check(choice, value, at, &mut said);
                said
            });
            let least = tried.min_by_key(Vec::len).unwrap_or_default();
            complaints.extend(least);
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            complaints.push(format!("{at}: {value} is none of {allowed:?}"));
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
            complaints.push(format!("{at}: {value} is no {}", schema["type"]));
            return;
        }
        match value {
            Value::Object(fields) => self.check_fields(schema, fields, at, complaints),
            Value::Array(items) => {
                if schema["minItems"].as_u64() > Some(items.len() as u64) {
                    complaints.push(format!("{at}: too few items"));
                }
                for (number, item) in items.iter().enumerate() {
                    self.check(
                        &schema["items"],
                        item,
                        &format!("{at}[{number}]"),
                        complaints,
                    );
                }
            }
            Value::String(text) => {
                let well_formed = match schema["format"].as_str() {
                    Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
                    Some("uri") => text.contains("://"),
                    _ => true,
                };
                if !well_formed {
                    complaints.push(format!("{at}: {text:?} is no {}", schema["format"]));
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
        complaints: &mut Vec<String>,
    ) {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                complaints.push(format!("{at}: {name} is missing"));
            }
        }
        let known = schema["properties"].as_object();
        for (name, value) in fields {
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.check(schema, value, &format!("{at}.{name}"), complaints);
            }
        }
    }

    /// GitHub ignores what it does not know: a wish that nobody hears.
    fn unknown(&self, schema: &Value, sent: &Value, complaints: &mut Vec<String>) {
        let schema = self.resolved(schema);
        let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        let schemas = choices.map_or_else(|| vec![schema], |choices| choices.iter().collect());
        for name in sent.as_object().into_iter().flat_map(Map::keys) {
            if !schemas
                .iter()
                .any(|schema| schema["properties"].get(name).is_some())
            {
                complaints.push(format!("sent: {name} is not described"));
            }
        }
    }
}
