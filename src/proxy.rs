//! The way out through an HTTP proxy: which one stands before an address, as the environment says it (`HTTPS_PROXY`,
//! `NO_PROXY` ...), and how it is spoken to. A proxy's address may hold a password: no sentence here shows it.
//!
//! Must not know: what is asked through it.

use http::Uri;
use hyper_util::client::{
    legacy::connect::proxy::Tunnel,
    proxy::matcher::{Intercept, Matcher},
};

/// The proxy for `target`, if there is one. Nothing on this machine is asked through a proxy: it would look on itself.
///
/// # Errors
/// A sentence, when the proxy speaks what is not known here.
pub fn before(target: &Uri, proxies: &Matcher) -> Result<Option<Intercept>, String> {
    let host = target.host().unwrap_or_default();
    let here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    let Some(found) = proxies.intercept(target).filter(|_| !here) else {
        return Ok(None);
    };
    match found.uri().scheme_str() {
        Some("http" | "https") => Ok(Some(found)),
        other => Err(format!(
            "the proxy {} is spoken to as {}, which is not known here: name an HTTP proxy in HTTPS_PROXY, or the host in NO_PROXY",
            found.uri().host().unwrap_or_default(),
            other.unwrap_or("nothing")
        )),
    }
}

/// Connections of `inner`, led through `proxy`, which is told the user and the password of its address.
pub fn tunnel<C>(proxy: &Intercept, inner: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.uri().clone(), inner);
    match proxy.basic_auth() {
        Some(password) => tunnel.with_auth(password.clone()),
        None => tunnel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_taken_from_the_environment_but_never_for_this_machine() {
        let proxies = Matcher::builder()
            .all("http://user:pass@proxy.acme.example:3128")
            .no("git.acme.example")
            .build();
        let at = |url: &'static str| before(&Uri::from_static(url), &proxies);
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
        let refused = before(&Uri::from_static("https://api.github.com"), &socks);
        let refused = refused.err().unwrap();
        assert!(
            refused.contains("HTTPS_PROXY") && !refused.contains("pass"),
            "{refused}"
        );
    }
}
