//! Builders of HTTP responses.

use std::convert::Infallible;

use futures::{Stream, StreamExt};
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::Value;

use crate::status::StatusError;

/// The body of every response.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// Returns the response of an error.
pub(crate) fn error_response(error: &StatusError) -> Response<ResponseBody> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &error.to_status());
    if error.code == 429 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// Returns a JSON response.
pub(super) fn json_response(code: StatusCode, value: &Value) -> Response<ResponseBody> {
    bytes_response(code, value.to_string().into(), "application/json")
}

/// Returns a response with a complete body.
pub(super) fn bytes_response(
    code: StatusCode,
    bytes: Bytes,
    media_type: &'static str,
) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    response
}

/// Returns a response that streams `lines`.
pub(super) fn stream_response(
    lines: impl Stream<Item = Bytes> + Send + 'static,
    media_type: &'static str,
) -> Response<ResponseBody> {
    let body = StreamBody::new(lines.map(|bytes| Ok(Frame::data(bytes))));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    response
}
