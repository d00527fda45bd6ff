//! A parsed request for a resource, and its responses.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use serde_json::Value;

use super::response::{ResponseBody, bytes_response};
use crate::{
    duplicate_keys::duplicates,
    kinds::Kind,
    list::{self, Scope},
    object::{Key, Object},
    protobuf,
    representation::Representation,
    route::{Params, ResourcePath},
    selector::Selector,
    status::StatusError,
    write::{DeleteOptions, FieldValidation, WriteOptions, WriteResult},
};

/// Maximum size of a request body, in bytes.
const MAX_BODY: usize = 3 << 20;

/// Error of a body stream.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn read_body<B>(body: B) -> Result<Bytes, StatusError>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusError::too_large(MAX_BODY)),
        Err(error) => Err(StatusError::bad_request(format!(
            "cannot read the body: {error}"
        ))),
    }
}

pub(super) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Parses a JSON, YAML or protobuf body.
pub(super) fn parse_body(headers: &HeaderMap, body: &[u8]) -> Result<Value, StatusError> {
    let media_type = header_text(headers, header::CONTENT_TYPE);
    if media_type.contains("protobuf") {
        return protobuf::decode(body);
    }
    let plain = media_type.split(';').next().unwrap_or_default().trim();
    let json = ["", "application/json", "text/json"].contains(&plain) || plain.ends_with("+json");
    if !(json || plain.contains("yaml")) {
        return Err(StatusError::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ]));
    }
    let invalid = |error: &dyn std::fmt::Display| {
        StatusError::bad_request(format!("cannot parse the body: {error}"))
    };
    if plain.contains("yaml") {
        // Try JSON first: it is valid YAML, and faster to parse.
        return serde_json::from_slice(body)
            .or_else(|_| parse_yaml(body))
            .map_err(|error| invalid(&error));
    }
    serde_json::from_slice(body).map_err(|error| invalid(&error))
}

/// Reads YAML with the parser's default limits (64 levels, 250,000 nodes). It checks them while it reads, so that its time
/// and memory are proportional to the size of the body.
fn parse_yaml(body: &[u8]) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        // `defaultMode: 0644`
        legacy_octal_numbers: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    serde_saphyr::from_slice_with_options(body, options)
        .map_err(|error| error.without_snippet().to_string())
}

/// A request for a resource.
pub(super) struct Call {
    pub kind: Arc<Kind>,
    pub path: ResourcePath,
    pub params: Params,
    pub representation: Representation,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub(super) fn scope(&self) -> Result<Scope, StatusError> {
        let selector = Selector::parse(
            &self.kind,
            self.params.text("labelSelector"),
            self.params.text("fieldSelector"),
        )?;
        Ok(Scope {
            namespace: self.path.namespace.clone(),
            selector,
            representation: self.representation,
        })
    }

    pub(super) fn key(&self, name: &str) -> Key {
        Key::new(&*self.path.namespace, name)
    }

    /// Returns the options of a write. `options` names their kind in errors (`CreateOptions`, `PatchOptions` ...).
    pub(super) fn write_options(&self, options: &str) -> Result<WriteOptions, StatusError> {
        let words = ["Ignore", "Warn", "Strict"];
        let validation = self.params.one_of("fieldValidation", &words, options)?;
        let manager = match self.params.text("fieldManager") {
            "" => header_text(&self.headers, header::USER_AGENT)
                .split('/')
                .next()
                .unwrap_or_default(),
            name => name,
        };
        Ok(WriteOptions {
            manager: if manager.is_empty() {
                "unknown"
            } else {
                manager
            }
            .to_owned(),
            field_validation: match validation {
                "Strict" => FieldValidation::Strict,
                "Ignore" => FieldValidation::Ignore,
                _ => FieldValidation::Warn,
            },
        })
    }

    /// Returns warnings of duplicate keys in the body, or an error under strict field validation.
    pub(super) fn duplicates(
        &self,
        field_validation: FieldValidation,
    ) -> Result<Vec<String>, StatusError> {
        if field_validation == FieldValidation::Ignore {
            return Ok(Vec::new());
        }
        let warnings: Vec<String> = duplicates(&self.body)
            .iter()
            .map(|field| format!("duplicate field {field:?}"))
            .collect();
        if field_validation == FieldValidation::Warn || warnings.is_empty() {
            return Ok(warnings);
        }
        let Kind { kind, version, .. } = &*self.kind;
        Err(StatusError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
            warnings.join(", ")
        )))
    }

    /// Returns the options of a DELETE, in which the query overrides the body, and whether it is a dry run.
    pub(super) fn delete_options(&self) -> Result<(DeleteOptions, bool), StatusError> {
        let body = if self.body.is_empty() {
            Value::Null
        } else {
            parse_body(&self.headers, &self.body)?
        };
        let mut options = DeleteOptions::parse(&body)?;
        options.set_propagation(self.params.text("propagationPolicy"))?;
        if let Some(seconds) = self.params.number("gracePeriodSeconds")? {
            options.grace_period = Some(seconds);
        }
        let in_body = body["dryRun"].as_array().is_some_and(|all| !all.is_empty());
        Ok((options, in_body || self.params.dry_run("DeleteOptions")?))
    }

    /// Returns the written object, with warnings as headers (RFC 7234), which kubectl prints.
    pub(super) fn written(
        &self,
        code: StatusCode,
        written: &WriteResult,
    ) -> Response<ResponseBody> {
        let mut response = self.object(code, &written.object);
        for warning in &written.warnings {
            let text = format!("299 - {warning:?}");
            if let Ok(value) = header::HeaderValue::from_str(&text) {
                response.headers_mut().append(header::WARNING, value);
            }
        }
        response
    }

    pub(super) fn object(&self, code: StatusCode, object: &Object) -> Response<ResponseBody> {
        let mut out = Vec::with_capacity(object.json.len());
        list::append(&mut out, &self.kind, self.representation, object);
        bytes_response(code, out.into(), "application/json")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_read_as_kubernetes_reads_it() {
        let yaml = "# a comment\nkind: Pod\nmetadata: {name: 'a b', labels: {x: \"1\", y: ~}}\n\
            spec:\n  mode: 0755\n  on: true\n  n: -1.5\n  text: |\n    [0m one\n    two\n  list:\n  - a\n  - {b: c}\n\
            base: &base\n  k: v\ncopy: *base\n";
        let expected = json!({
            "kind": "Pod",
            "metadata": {"name": "a b", "labels": {"x": "1", "y": null}},
            "spec": {"mode": 0o755, "on": true, "n": -1.5, "text": "[0m one\ntwo\n", "list": ["a", {"b": "c"}]},
            "base": {"k": "v"},
            "copy": {"k": "v"},
        });
        assert_eq!(parse_yaml(yaml.as_bytes()).unwrap(), expected);
    }

    /// A parser that reads all of the body first takes time quadratic in its nesting: an hour for the first.
    #[test]
    fn nested_yaml_is_refused_at_the_limit() {
        for (opening, count) in [("[", MAX_BODY), ("{a: ", MAX_BODY / 4), ("- ", 100_000)] {
            let error = parse_yaml(opening.repeat(count).as_bytes()).unwrap_err();
            let limit = error.contains("limit exceeded") || error.contains("Depth");
            assert!(limit, "{error}");
        }
    }
}
