//! Error responses: the Kubernetes `Status` object (`metav1.Status`).

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::kinds::Kind;

/// An error response. Serialized as a `Status` with the same code.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct StatusError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason (`metav1.StatusReason`).
    pub reason: &'static str,
    /// Human-readable description.
    pub message: String,
    /// `StatusDetails`, if any.
    pub details: Option<Value>,
}

/// One violation, with its field (`metav1.StatusCause`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// Path of the field, such as `spec.containers[0].name`.
    pub field: String,
    /// Description, without the field's path.
    pub message: String,
}

impl Cause {
    /// An invalid value.
    pub fn invalid(field: impl Into<String>, value: &Value, message: impl AsRef<str>) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {value}: {}", message.as_ref()),
        }
    }

    /// A missing value.
    pub fn required(field: impl Into<String>) -> Self {
        Self {
            reason: "FieldValueRequired",
            field: field.into(),
            message: "Required value".to_owned(),
        }
    }

    /// A value that is not one of `supported`.
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

    /// A value that another item of the list already has.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {value}"),
        }
    }

    /// A reference to something that does not exist.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueNotFound",
            field: field.into(),
            message: format!("Not found: {value}"),
        }
    }

    /// A string longer than `max` bytes.
    pub fn too_long(field: impl Into<String>, max: u64) -> Self {
        Self {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {max} bytes"),
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

    fn with_object(mut self, kind: &Kind, name: &str) -> Self {
        self.details = Some(json!({"name": name, "group": kind.group, "kind": kind.plural}));
        self
    }

    /// 404: the path is not served.
    pub fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// 404: a resource or subresource of Kubernetes that this server does not serve.
    pub fn not_served(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!(
                "the server could not find the requested resource: the embedded cluster does not serve {what}"
            ),
        )
    }

    /// 404: the object does not exist.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).with_object(kind, name)
    }

    /// 409: an object with this name exists.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", kind.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with_object(kind, name)
    }

    /// 409: the object has changed since it was read, or a precondition fails.
    pub fn conflict(kind: &Kind, name: &str, why: impl AsRef<str>) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {}",
            kind.qualified(),
            why.as_ref()
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).with_object(kind, name)
    }

    /// 409: fields owned by other managers, in a server-side apply without force. `fields` holds (manager, path), with
    /// the manager described as the API server does: quoted, with subresource and version.
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
        let mut error = Self::new(StatusCode::CONFLICT, "Conflict", message);
        error.details = Some(json!({"causes": causes}));
        error
    }

    /// 422: the object violates its schema or the rules of its kind.
    pub fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_as(
            (&kind.qualified_kind(), &kind.group, &kind.kind),
            name,
            causes,
        )
    }

    /// 422: invalid parameters (`ListOptions`, `CreateOptions` ...).
    pub fn invalid_options(options: &str, causes: &[Cause]) -> Self {
        let qualified = format!("{options}.meta.k8s.io");
        Self::invalid_as((&qualified, "meta.k8s.io", options), "", causes)
    }

    fn invalid_as(
        (qualified, group, kind): (&str, &str, &str),
        name: &str,
        causes: &[Cause],
    ) -> Self {
        let descriptions: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let list = match descriptions.as_slice() {
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
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        error.details = Some(json!({"name": name, "group": group, "kind": kind, "causes": causes}));
        error
    }

    /// 422: the patch does not apply to the object.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// 400: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 403: never allowed.
    pub fn forbidden(kind: &Kind, name: &str, why: impl AsRef<str>) -> Self {
        let message = format!(
            "{} {name:?} is forbidden: {}",
            kind.qualified(),
            why.as_ref()
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).with_object(kind, name)
    }

    /// 401: the token is missing or wrong.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 410: the resource version is no longer available; the client has to list again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 504: the resource version is in the future, so the client is ahead of this server.
    pub fn too_new(revision: u64, newest: u64) -> Self {
        let message = format!("Too large resource version: {revision}, current: {newest}");
        let mut error = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
        error.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        error
    }

    /// 405: the path does not support the verb.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 406: none of the accepted media types can be served.
    pub fn not_acceptable(supported: &[&str]) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            format!(
                "only the following media types are accepted: {}",
                supported.join(", ")
            ),
        )
    }

    /// 415: the body has none of the `accepted` media types.
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

    /// 415: a protobuf message or field that the decoder does not know.
    pub fn unsupported_protobuf(what: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "{what} is not supported as protobuf: send application/json, as kubectl does with -f"
            ),
        )
    }

    /// 413: the body is too large.
    pub fn too_large(limit: usize) -> Self {
        Self::asks_too_much(format!("limit is {limit}"))
    }

    /// 413: the request is small enough to read, but would do more work than one request may.
    pub fn asks_too_much(why: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: {why}"),
        )
    }

    /// 500: a local error; the request may be retried.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// Returns an error with `code` and the reason Kubernetes gives it.
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

    /// Returns the `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
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
