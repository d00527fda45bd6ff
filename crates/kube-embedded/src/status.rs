//! What the API answers when it does not do what was asked: the Kubernetes `Status` object.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::kinds::Kind;

/// A refused request. Becomes a `Status` body with the same code.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct StatusError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, as Kubernetes spells it.
    pub reason: &'static str,
    /// One sentence for a person.
    pub message: String,
    /// `StatusDetails`, when there is something to add.
    pub details: Option<Value>,
}

/// One thing that is wrong with an object, with the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// `spec.taskIds[0]`.
    pub field: String,
    /// What is wrong there, without the field's name.
    pub message: String,
}

impl Cause {
    /// A value that is not allowed where it stands.
    pub fn invalid(field: impl Into<String>, value: &Value, message: impl AsRef<str>) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {value}: {}", message.as_ref()),
        }
    }

    /// A value that must be there.
    pub fn required(field: impl Into<String>) -> Self {
        Self {
            reason: "FieldValueRequired",
            field: field.into(),
            message: "Required value".to_owned(),
        }
    }

    /// A word that is none of those there are.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                list.join(", ")
            ),
        }
    }

    /// A value that another item of the list has already.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {value}"),
        }
    }

    /// A reference to something that is not there.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueNotFound",
            field: field.into(),
            message: format!("Not found: {value}"),
        }
    }

    /// A text that is longer than `most` bytes.
    pub fn too_long(field: impl Into<String>, most: u64) -> Self {
        Self {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {most} bytes"),
        }
    }

    /// A change or value that is never allowed.
    pub fn forbidden(field: impl Into<String>, message: impl AsRef<str>) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {}", message.as_ref()),
        }
    }
}

impl StatusError {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: code.as_u16(),
            reason,
            message: message.into(),
            details: None,
        }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = Some(json!({"name": name, "group": kind.group, "kind": kind.plural}));
        self
    }

    /// The path is nothing this server serves.
    pub fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// A resource or subresource that Kubernetes may have, but this server has not.
    pub fn not_served(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!(
                "the server could not find the requested resource: the embedded cluster serves no {what}"
            ),
        )
    }

    /// The object is not there.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(kind, name)
    }

    /// An object of this name is there already.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", kind.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(kind, name)
    }

    /// The object changed since the writer read it, or a precondition does not hold.
    pub fn conflict(kind: &Kind, name: &str, why: impl AsRef<str>) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {}",
            kind.qualified(),
            why.as_ref()
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(kind, name)
    }

    /// Fields that other managers own (server-side apply without force). `fields` are (manager, path), the manager as
    /// the API server describes it: quoted, with subresource and version.
    pub fn apply_conflict(fields: &[(String, String)]) -> Self {
        let causes: Vec<Value> = fields
            .iter()
            .map(|(manager, path)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})
            })
            .collect();
        let message = if let [(manager, path)] = fields {
            format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
        } else {
            let mut by_manager = BTreeMap::<&str, Vec<&str>>::new();
            for (manager, path) in fields {
                by_manager.entry(manager).or_default().push(path);
            }
            let lines = by_manager.iter().flat_map(|(manager, paths)| {
                let paths = paths.iter().map(|path| format!("- {path}"));
                std::iter::once(format!("conflicts with {manager}:")).chain(paths)
            });
            let lines: Vec<String> = lines.collect();
            format!(
                "Apply failed with {} conflicts: {}",
                fields.len(),
                lines.join("\n")
            )
        };
        let mut failure = Self::new(StatusCode::CONFLICT, "Conflict", message);
        failure.details = Some(json!({"causes": causes}));
        failure
    }

    /// The object breaks its schema or a rule of its kind.
    pub fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_as(
            (&kind.qualified_kind(), &kind.group, &kind.kind),
            name,
            causes,
        )
    }

    /// Parameters (`ListOptions`, `CreateOptions` ...) that make no sense, or not together.
    pub fn invalid_options(options: &str, causes: &[Cause]) -> Self {
        let qualified = format!("{options}.meta.k8s.io");
        Self::invalid_as((&qualified, "meta.k8s.io", options), "", causes)
    }

    fn invalid_as(
        (qualified, group, kind): (&str, &str, &str),
        name: &str,
        causes: &[Cause],
    ) -> Self {
        let sentences: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let list = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut message = format!("{qualified} {name:?} is invalid");
        if !list.is_empty() {
            message = format!("{message}: {list}");
        }
        let causes: Vec<Value> = causes
            .iter()
            .map(
                |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
            )
            .collect();
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        failure.details =
            Some(json!({"name": name, "group": group, "kind": kind, "causes": causes}));
        failure
    }

    /// A patch that cannot be carried out on the object as it is.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// The request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// Not allowed, whoever asks.
    pub fn forbidden(kind: &Kind, name: &str, why: impl AsRef<str>) -> Self {
        let message = format!(
            "{} {name:?} is forbidden: {}",
            kind.qualified(),
            why.as_ref()
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(kind, name)
    }

    /// No token, or a wrong one.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// The resource version asked for is no longer (or not yet) known: list again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// A resource version that is still to come: the client is ahead of this server, or of what it kept.
    pub fn too_new(revision: u64, newest: u64) -> Self {
        let message = format!("Too large resource version: {revision}, current: {newest}");
        let mut failure = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        failure.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        failure
    }

    /// The verb is not served on this path.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// Nothing the client accepts can be sent; `sent` can.
    pub fn not_acceptable(sent: &[&str]) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            format!(
                "only the following media types are accepted: {}",
                sent.join(", ")
            ),
        )
    }

    /// The body's type is none of `accepted`.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// The body is in protobuf, and this part of it is not read here.
    pub fn not_read_as_protobuf(what: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "{what} is not read as protobuf here: send application/json, as kubectl does with -f"
            ),
        )
    }

    /// The body is larger than an object may be.
    pub fn too_large(limit: usize) -> Self {
        Self::asks_too_much(format!("limit is {limit}"))
    }

    /// The request is small enough to read, and asks for more than is done in one request.
    pub fn asks_too_much(why: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: {why}"),
        )
    }

    /// Something on this machine failed; the request may be tried again.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// Any code with the reason Kubernetes gives it, for planted faults and rare answers.
    pub fn with_code(code: u16, message: impl Into<String>) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            422 => "Invalid",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        Self {
            code,
            reason,
            message: message.into(),
            details: (code == 429).then(|| json!({"retryAfterSeconds": 1})),
        }
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "StatusError",
            "message": self.message,
            "reason": self.reason,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status["code"] = self.code.into();
        status
    }
}
