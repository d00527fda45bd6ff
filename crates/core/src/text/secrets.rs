//! Redacts credentials that are recognisable by their format.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// Replaces a credential.
const REPLACEMENT: &str = "\u{2026}";

/// Formats of credentials. The first group is kept, the rest of the match is replaced.
const PATTERNS: &[&str] = &[
    // User and password, or a token, in a URL. A lone user as in `ssh://git@` is kept.
    r"(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/@:'\x22]+:[^\s/'\x22]+)@",
    r"(?i)\b(https?://)[^\s/@'\x22]+@",
    // GitHub: https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/
    r"()\bgh[pousr]_[A-Za-z0-9]{16,}\b",
    r"()\bgithub_pat_[A-Za-z0-9_]{20,}\b",
    // GitLab, Anthropic, OpenAI.
    r"()\bglpat-[A-Za-z0-9_-]{16,}",
    r"()\bsk-[A-Za-z0-9_-]{16,}",
    // JSON Web Tokens, such as those of service accounts.
    r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"(?i)\b(bearer +|authorization: *(?:basic|token|bearer) +)[A-Za-z0-9._~+/=-]{8,}",
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
];

static COMPILED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let compiled = PATTERNS.iter().map(|form| Regex::new(form));
    // A test checks that every pattern compiles.
    compiled.filter_map(Result::ok).collect()
});

/// Returns `text` with credentials replaced by an ellipsis.
#[must_use]
pub fn redact_secrets(text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for form in COMPILED.iter() {
        if form.is_match(&out) {
            let address = form.as_str().contains("://");
            let instead = if address {
                format!("${{1}}{REPLACEMENT}@")
            } else {
                format!("${{1}}{REPLACEMENT}")
            };
            out = Cow::Owned(form.replace_all(&out, instead.as_str()).into_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_credentials_only() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
        let token = "ghp_0123456789abcdefABCDEF0123456789abcd";
        for (text, expected) in [
            (
                "fetch https://ada:pa:ss@git.example/x failed".to_owned(),
                "fetch https://…@git.example/x failed",
            ),
            (format!("https://{token}@github.com/acme/shop"), "https://…@github.com/acme/shop"),
            ("ssh://git@github.com/acme/shop".to_owned(), "ssh://git@github.com/acme/shop"),
            ("git@github.com:acme/shop".to_owned(), "git@github.com:acme/shop"),
            (format!("env GITHUB_TOKEN={token}."), "env GITHUB_TOKEN=…."),
            ("key sk-ant-api03-abcdefghijklmnop".to_owned(), "key …"),
            ("Authorization: Bearer abcdefgh12345678".to_owned(), "Authorization: Bearer …"),
            (
                "token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl".to_owned(),
                "token …",
            ),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n-----END OPENSSH PRIVATE KEY-----\nthen".to_owned(),
                "-----BEGIN OPENSSH PRIVATE KEY-----…\nthen",
            ),
            ("the run docs-shop-1 in 12:30 user@host".to_owned(), "the run docs-shop-1 in 12:30 user@host"),
        ] {
            assert_eq!(redact_secrets(&text), expected);
        }
    }
}
