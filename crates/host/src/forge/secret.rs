//! A token that is never printed.

use std::borrow::Cow;

/// A credential without `Display`, and with a redacted `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns `None` if the token is empty or cannot be sent in an HTTP header.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        let token = token.trim();
        let carried = token.bytes().all(|byte| byte.is_ascii_graphic());
        (!token.is_empty() && carried).then(|| Self(token.to_owned()))
    }

    /// Returns the first valid token in `variables`. `lookup` reads the environment.
    pub fn from_environment(
        variables: &[&str],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        variables.iter().find_map(|name| Self::new(&lookup(name)?))
    }

    /// Redacts the token from `message`: servers, proxies and git may echo what they were sent.
    pub fn redact<'a>(&self, message: &'a str) -> Cow<'a, str> {
        if message.contains(&self.0) {
            Cow::Owned(message.replace(&self.0, "(hidden)"))
        } else {
            Cow::Borrowed(message)
        }
    }

    /// Returns the token, for sending it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_printed_and_rejects_invalid_tokens() {
        let secret = Secret::new(" ghp_x\n").unwrap();
        assert_eq!(secret.expose(), "ghp_x");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        for token in ["", "  ", "two words", "line\nbreak", "ü"] {
            assert_eq!(Secret::new(token), None, "{token:?}");
        }
    }

    #[test]
    fn redacts_echoed_token() {
        let secret = Secret::new("ghp_x").unwrap();
        assert_eq!(
            secret.redact("bad token ghp_x, ghp_x!"),
            "bad token (hidden), (hidden)!"
        );
        assert_eq!(secret.redact("fine"), "fine");
    }

    #[test]
    fn reads_environment_in_order() {
        let read = |lookup: fn(&str) -> Option<String>| {
            Secret::from_environment(&["FIRST", "SECOND"], lookup)
        };
        let second = read(|name| (name == "SECOND").then(|| "second".into()));
        assert_eq!(second.unwrap().expose(), "second");
        let both = read(|name| Some(name.to_lowercase()));
        assert_eq!(both.unwrap().expose(), "first");
        assert_eq!(read(|_| Some(String::new())), None);
    }
}
