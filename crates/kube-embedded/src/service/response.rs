//! Responses: what an answer is sent as.

use std::convert::Infallible;

use futures::{Stream, StreamExt};
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::Value;

use crate::status::StatusError;

/// The body of every response.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A failure as a response.
pub fn error_response(failure: &StatusError) -> Response<ResponseBody> {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &failure.to_status());
    if failure.code == 429 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// A JSON body.
pub fn json_response(code: StatusCode, value: &Value) -> Response<ResponseBody> {
    bytes_response(code, value.to_string().into(), "application/json")
}

/// A body that is ready.
pub fn bytes_response(
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

/// A body that goes on as long as `lines`.
pub fn stream_response(
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
