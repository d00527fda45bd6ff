//! The way out through an HTTP proxy: which one stands before an address, as the environment says it (`HTTPS_PROXY`,
//! `NO_PROXY` ...), and how it is spoken to. A proxy's address may hold a password: no sentence here shows it.
//!
//! Must not know: what is asked through it.

use std::borrow::Cow;

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

/// `said` with the user and password left out of every address in it: programs repeat the proxy they were given.
pub fn without_passwords(said: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = said;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let ends = |c: char| c.is_whitespace() || "/?#'\"<>".contains(c);
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        rest = &after[host..];
    }
    if shown.is_empty() {
        return Cow::Borrowed(said);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_said_without_user_and_password() {
        for (said, shown) in [
            (
                "Invalid proxy URL 'http://ada:s3@cret@proxy:1'",
                "Invalid proxy URL 'http://proxy:1'",
            ),
            ("https://a@b/c and http://d:e@f", "https://b/c and http://f"),
            ("https://b/c@d, plain@mail", "https://b/c@d, plain@mail"),
            ("nothing", "nothing"),
            ("://", "://"),
        ] {
            assert_eq!(without_passwords(said), shown);
        }
    }

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
