//! HTTP proxies: selects the proxy for a URL from the environment (`HTTPS_PROXY`, `NO_PROXY` ...) and tunnels through
//! it. Proxy URLs may contain passwords, which no message shows.

use std::borrow::Cow;

use http::Uri;
use hyper_util::client::{
    legacy::connect::proxy::Tunnel,
    proxy::matcher::{Intercept, Matcher},
};

/// Returns the proxy for `target`, if any. Loopback addresses are never proxied.
///
/// # Errors
/// A message, if the proxy's protocol is not supported.
pub(crate) fn proxy_for(target: &Uri, proxies: &Matcher) -> Result<Option<Intercept>, String> {
    let host = target.host().unwrap_or_default();
    let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    let Some(found) = proxies.intercept(target).filter(|_| !here) else {
        return Ok(None);
    };
    match found.uri().scheme_str() {
        Some("http" | "https") => Ok(Some(found)),
        other => Err(format!(
            "the proxy {} uses the unsupported scheme {}: set HTTPS_PROXY to an HTTP proxy, or add the host to NO_PROXY",
            found.uri().host().unwrap_or_default(),
            other.unwrap_or("(none)")
        )),
    }
}

/// Tunnels connections of `inner` through `proxy`, with the credentials of the proxy's URL.
pub(crate) fn tunnel<C>(proxy: &Intercept, inner: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.uri().clone(), inner);
    match proxy.basic_auth() {
        Some(password) => tunnel.with_auth(password.clone()),
        None => tunnel,
    }
}

/// Removes user and password from every URL in `message`: programs echo the proxy they were given.
pub fn redact_passwords(message: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = message;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let ends = |c: char| c.is_whitespace() || "/?#'\"<>".contains(c);
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        rest = &after[host..];
    }
    if shown.is_empty() {
        return Cow::Borrowed(message);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_user_and_password_of_every_url() {
        for (message, shown) in [
            (
                "Invalid proxy URL 'http://ada:s3@cret@proxy:1'",
                "Invalid proxy URL 'http://proxy:1'",
            ),
            ("https://a@b/c and http://d:e@f", "https://b/c and http://f"),
            ("https://b/c@d, plain@mail", "https://b/c@d, plain@mail"),
            ("nothing", "nothing"),
            ("://", "://"),
        ] {
            assert_eq!(redact_passwords(message), shown);
        }
    }

    #[test]
    fn reads_proxy_from_environment_except_for_loopback() {
        let proxies = Matcher::builder()
            .all("http://user:pass@proxy.acme.example:3128")
            .no("git.acme.example")
            .build();
        let at = |url: &'static str| proxy_for(&Uri::from_static(url), &proxies);
        let found = at("https://api.github.com").unwrap().unwrap();
        assert_eq!(found.uri().authority().unwrap(), "proxy.acme.example:3128");
        assert!(found.basic_auth().is_some());
        for url in [
            "https://git.acme.example/api/v3",
            "http://127.0.0.1:9000",
            "http://localhost:9000",
            "http://[::1]:9000",
        ] {
            assert!(at(url).unwrap().is_none(), "{url}");
        }
        let socks = Matcher::builder()
            .all("socks5://user:pass@proxy:1080")
            .build();
        let refused = proxy_for(&Uri::from_static("https://api.github.com"), &socks);
        let refused = refused.err().unwrap();
        assert!(
            refused.contains("HTTPS_PROXY") && !refused.contains("pass"),
            "{refused}"
        );
    }
}
