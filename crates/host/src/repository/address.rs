//! Addresses of repositories: what may be shown, what a run can clone.

use std::path::{Component, Path, PathBuf};

/// An address without user name and password, but for the user name that SSH needs.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else {
        return url.to_owned();
    };
    match user.split(':').next() {
        Some(name) if scheme == "ssh" => format!("{scheme}://{name}@{host}{path}"),
        _ => format!("{scheme}://{host}{path}"),
    }
}

/// A message with every address in it shown without credentials.
#[must_use]
pub fn without_credentials_in(message: &str) -> String {
    let words = message.split_inclusive([' ', '\'', '"', '\n']);
    words.map(without_credentials).collect()
}

/// What a run clones: no credentials, and a path of this machine made absolute from `root`, as git reads it.
#[must_use]
pub fn clonable(url: &str, root: &Path) -> String {
    if !is_path(url) {
        return without_credentials(url);
    }
    let mut whole = PathBuf::new();
    for part in root.join(url).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    whole.display().to_string()
}

/// Whether an address is a path of this machine rather than a URL or `host:path`.
fn is_path(url: &str) -> bool {
    let before_colon = url.split(':').next().unwrap_or_default();
    !url.contains("://") && (before_colon.len() == url.len() || before_colon.contains('/'))
}

/// Whether only this machine can clone from an address: a path, `file:`, or a loopback host.
#[must_use]
pub fn is_local(url: &str) -> bool {
    if is_path(url) || url.starts_with("file://") {
        return true;
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_leave_an_address() {
        for (url, shown) in [
            (
                "https://github.com/acme/shop.git",
                "https://github.com/acme/shop.git",
            ),
            (
                "https://ghp_secret@github.com/acme/shop",
                "https://github.com/acme/shop",
            ),
            (
                "https://user:p@ss@github.com/acme/shop",
                "https://github.com/acme/shop",
            ),
            (
                "ssh://git@github.com/acme/shop",
                "ssh://git@github.com/acme/shop",
            ),
            (
                "ssh://git:secret@github.com/acme/shop",
                "ssh://git@github.com/acme/shop",
            ),
            (
                "git@github.com:acme/shop.git",
                "git@github.com:acme/shop.git",
            ),
        ] {
            assert_eq!(without_credentials(url), shown);
            assert_eq!(
                without_credentials_in(&format!("cannot get '{url}': no")),
                format!("cannot get '{shown}': no")
            );
        }
    }

    #[test]
    fn paths_become_absolute_and_the_rest_stays() {
        let root = Path::new("/srv/srv/shop");
        for (url, clonable_url, local) in [
            ("../origin.git", "/srv/srv/origin.git", true),
            ("/srv/origin.git", "/srv/origin.git", true),
            ("./a:b", "/srv/srv/shop/a:b", true),
            ("file:///srv/origin.git", "file:///srv/origin.git", true),
            (
                "http://localhost:3000/acme/shop",
                "http://localhost:3000/acme/shop",
                true,
            ),
            ("ssh://git@127.0.0.1/shop", "ssh://git@127.0.0.1/shop", true),
            ("http://[::1]:80/x", "http://[::1]:80/x", true),
            (
                "git@github.com:acme/shop.git",
                "git@github.com:acme/shop.git",
                false,
            ),
            (
                "https://github.com/acme/shop",
                "https://github.com/acme/shop",
                false,
            ),
        ] {
            assert_eq!(clonable(url, root), clonable_url);
            assert_eq!(is_local(url), local, "{url}");
        }
    }
}
