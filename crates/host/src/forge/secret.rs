//! A token that never prints.

use std::borrow::Cow;

/// A credential. It has no `Display`, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a token; `None` for one that is empty or that no HTTP header can carry.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        let token = token.trim();
        let carried = token.bytes().all(|byte| byte.is_ascii_graphic());
        (!token.is_empty() && carried).then(|| Self(token.to_owned()))
    }

    /// The first usable token among `GITHUB_TOKEN` and `GH_TOKEN`; `lookup` reads the environment.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        ["GITHUB_TOKEN", "GH_TOKEN"]
            .into_iter()
            .find_map(|name| Self::new(&lookup(name)?))
    }

    /// `said` without this token in it: a server, a proxy or git may repeat what it was sent.
    pub fn hidden_in<'a>(&self, said: &'a str) -> Cow<'a, str> {
        if said.contains(&self.0) {
            Cow::Owned(said.replace(&self.0, "(hidden)"))
        } else {
            Cow::Borrowed(said)
        }
    }

    /// The token itself, for the places that send it.
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
    fn a_token_never_prints_and_a_broken_one_is_none() {
        let secret = Secret::new(" ghp_x\n").unwrap();
        assert_eq!(secret.expose(), "ghp_x");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        for token in ["", "  ", "two words", "line\nbreak", "ü"] {
            assert_eq!(Secret::new(token), None, "{token:?}");
        }
    }

    #[test]
    fn what_repeats_a_token_is_shown_without_it() {
        let secret = Secret::new("ghp_x").unwrap();
        assert_eq!(
            secret.hidden_in("bad token ghp_x, ghp_x!"),
            "bad token (hidden), (hidden)!"
        );
        assert_eq!(secret.hidden_in("fine"), "fine");
    }

    #[test]
    fn the_environment_is_asked_in_order() {
        let secret = Secret::from_environment(|name| (name == "GH_TOKEN").then(|| "second".into()));
        assert_eq!(secret.unwrap().expose(), "second");
        assert_eq!(Secret::from_environment(|_| Some(String::new())), None);
    }
}
