//! Error messages of Kubernetes requests.

/// Returns the server's message, or the innermost cause if there was no response: that names the address and the reason,
/// without the wrappers around it.
#[must_use]
pub fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return flightdeck_core::text::sanitize(&status.message).into_owned();
    }
    innermost(error)
}

/// Returns the innermost source of an error chain.
#[must_use]
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    flightdeck_core::text::sanitize(&cause.to_string()).into_owned()
}
