//! Requests about the server itself: version, health, discovery and OpenAPI.

use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::{
    call::header_text,
    response::{ResponseBody, bytes_response, json_response},
};
use crate::{
    Identity, discovery, openapi,
    route::{Params, Target},
    status::StatusError,
    store::State,
};

/// Answers a GET of a path that is not a resource.
pub(super) fn respond(
    state: &State,
    identity: &Identity,
    target: &Target,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response<ResponseBody>, StatusError> {
    let ok = StatusCode::OK;
    let registry = state.registry();
    let accept = header_text(headers, header::ACCEPT);
    if let (Target::Core | Target::Groups, Some(media_type)) =
        (target, discovery::aggregated_type(accept))
    {
        let value = discovery::aggregated(registry, *target == Target::Core, media_type);
        return Ok(bytes_response(ok, value.to_string().into(), media_type));
    }
    let found = match target {
        Target::Version => Some(version(identity)),
        Target::Health => {
            return Ok(bytes_response(ok, Bytes::from_static(b"ok"), "text/plain"));
        }
        Target::Core => Some(discovery::core_versions()),
        Target::Groups => Some(discovery::group_list(registry)),
        Target::Group(name) => discovery::group(registry, name),
        Target::GroupVersion(group, version) => discovery::resource_list(registry, group, version),
        Target::OpenApi => Some(openapi::index(state, identity)),
        Target::OpenApiOf(group, version) => {
            return document(state, identity, (group, version), uri, headers);
        }
        Target::Resource(_) => None,
    };
    found
        .map(|value| json_response(ok, &value))
        .ok_or_else(StatusError::no_such_path)
}

/// Returns an OpenAPI document with caching headers. Requests with the right hash may cache it forever.
fn document(
    state: &State,
    identity: &Identity,
    (group, version): (&str, &str),
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response<ResponseBody>, StatusError> {
    let (hash, document) =
        openapi::document(state, identity, group, version).ok_or_else(StatusError::no_such_path)?;
    let tag = format!("\"{hash}\"");
    let mut response = if header_text(headers, header::IF_NONE_MATCH) == tag {
        bytes_response(StatusCode::NOT_MODIFIED, Bytes::new(), "application/json")
    } else {
        json_response(StatusCode::OK, &document)
    };
    let caching = if Params::parse(uri).text("hash") == hash {
        "public, immutable"
    } else {
        "no-cache, private"
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(
        header::ETAG,
        HeaderValue::try_from(tag).map_err(StatusError::internal)?,
    );
    Ok(response)
}

/// `/version`: the Kubernetes version whose behavior is implemented.
fn version(identity: &Identity) -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": identity.git_version(),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
