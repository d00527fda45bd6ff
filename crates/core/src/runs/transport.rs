//! How git reaches a repository: what decides which credential a run needs.

/// How git reaches a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A token by a credential helper.
    Http,
    /// A key.
    Ssh,
    /// A path, or a protocol without a credential.
    Other,
}

impl Transport {
    /// Of a URL, an scp-like address (`git@host:path`), or a path.
    #[must_use]
    pub fn of(url: &str) -> Self {
        match url.split_once("://") {
            Some(("http" | "https", _)) => Self::Http,
            Some(("ssh" | "git+ssh" | "ssh+git", _)) => Self::Ssh,
            Some(_) => Self::Other,
            // As git has it: a colon before the first slash.
            None => match url.split('/').next() {
                Some(start) if start.contains(':') => Self::Ssh,
                _ => Self::Other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_as_git_does() {
        for (url, transport) in [
            ("https://github.com/acme/shop.git", Transport::Http),
            ("http://127.0.0.1:8080/shop", Transport::Http),
            ("ssh://git@github.com:22/acme/shop.git", Transport::Ssh),
            ("git@github.com:acme/shop.git", Transport::Ssh),
            ("github.com:acme/shop", Transport::Ssh),
            ("/srv/a:b.git", Transport::Other),
            ("./a:b", Transport::Other),
            ("file:///srv/shop.git", Transport::Other),
            ("git://host/shop", Transport::Other),
        ] {
            assert_eq!(Transport::of(url), transport, "{url}");
        }
    }
}
