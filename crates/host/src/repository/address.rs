//! Addresses of repositories: what may be shown, what a run can clone.

use std::path::{Component, Path, PathBuf};

use flightdeck_core::remote_url::{RemoteUrl, Transport, redact};

/// Returns a message with the credentials removed from every address in it.
#[must_use]
pub fn without_credentials_in(message: &str) -> String {
    let is_end = |c| matches!(c, ' ' | '\'' | '"' | '\n');
    let words = message.split_inclusive(is_end);
    let redacted = words.map(|word| {
        let address = word.trim_end_matches(is_end);
        if address.contains("://") {
            redact(address) + &word[address.len()..]
        } else {
            word.to_owned()
        }
    });
    redacted.collect()
}

/// What a run clones: no credentials, and a path of this machine made absolute from `root`, as git reads it.
#[must_use]
pub fn clonable(url: &str, root: &Path) -> String {
    match RemoteUrl::parse(url) {
        Ok(url) if url.transport() != Transport::Path => return url.clone_url(),
        Ok(_) => {}
        Err(_) => return redact(url),
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
            assert_eq!(
                without_credentials_in(&format!("cannot get '{url}': no")),
                format!("cannot get '{shown}': no")
            );
        }
    }

    #[test]
    fn paths_become_absolute_and_the_rest_stays() {
        let root = Path::new("/srv/srv/shop");
        for (url, clonable_url) in [
            ("../origin.git", "/srv/srv/origin.git"),
            ("/srv/origin.git", "/srv/origin.git"),
            ("./a:b", "/srv/srv/shop/a:b"),
            ("file:///srv/origin.git", "file:///srv/origin.git"),
            (
                "http://localhost:3000/acme/shop",
                "http://localhost:3000/acme/shop",
            ),
            ("ssh://git@127.0.0.1/shop", "ssh://git@127.0.0.1/shop"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            (
                "git@github.com:acme/shop.git",
                "git@github.com:acme/shop.git",
            ),
            (
                "https://github.com/acme/shop",
                "https://github.com/acme/shop",
            ),
        ] {
            assert_eq!(clonable(url, root), clonable_url);
        }
    }
}
