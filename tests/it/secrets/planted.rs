//! The planted secrets, and every encoding in which they would be found.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use regex::bytes::Regex;

/// A valid token: in the Secret of the user, and in the user's variable `GITHUB_TOKEN`.
pub(super) const TOKEN: &str = "ghp_Vq3+Works0in/Secret=9xK2";
/// In the URL of the user's remote; also valid.
pub(super) const REMOTE: &str = "ghp_m8T+Remote/address=4uZe7";
/// In the user's credential store.
pub(super) const STORE: &str = "ghp_b5N+Store/of0git=w1Hs6cQ";
/// In the user's other variables of that kind.
pub(super) const VARIABLE: &str = "ghp_k2R+Variable/beside=7pLd3";
/// A line of the private key in the Secret for SSH.
pub(super) const KEY: &str = "b3BlbnNzaC1rZXktdjEAAAAAPlantedPrivateKeyLine5Jw8XgT/+rY";
/// In the Secret of the model.
pub(super) const MODEL: &str = "sk-ant-f6D+Model/Secret=h9Bv2";
/// In the user's variable for the model.
pub(super) const OWN_MODEL: &str = "sk-ant-z4C+Model/own=variable8";
/// Password of the proxy in the user's environment.
pub(super) const PROXY: &str = "Yt7+Proxy/password=n3Fk";
/// Password of the proxy in the Secret for the pods.
pub(super) const POD_PROXY: &str = "Qw2+Pod/proxy=secret8Lz";
/// In the URL of a docs repository.
pub(super) const DOCS: &str = "ghp_e9W+Docs/address=2oXj5rMa";

/// All of them with their names.
const PLANTED: [(&str, &str); 10] = [
    ("token", TOKEN),
    ("remote", REMOTE),
    ("store", STORE),
    ("variable", VARIABLE),
    ("key", KEY),
    ("model", MODEL),
    ("own model", OWN_MODEL),
    ("proxy", PROXY),
    ("pod proxy", POD_PROXY),
    ("docs", DOCS),
];
/// Shortest part that counts as a leak on a screen, where a line may be cut anywhere.
const PIECE: usize = 10;

/// Searches for the planted secrets.
pub(super) struct Search {
    pattern: Regex,
    /// The name of each encoded form.
    forms: BTreeMap<String, String>,
}

impl Search {
    /// Searches for everything planted, and for `more` as name and value.
    pub(super) fn new(more: &[(&str, &str)]) -> Self {
        let mut known = BTreeMap::new();
        for (name, value) in PLANTED.iter().chain(more) {
            for form in forms(value) {
                known.insert(form, (*name).to_owned());
            }
        }
        let words: Vec<String> = known.keys().map(|form| regex::escape(form)).collect();
        Self {
            pattern: Regex::new(&words.join("|")).unwrap(),
            forms: known,
        }
    }

    /// Returns the names of the secrets in `bytes`, in any encoding.
    pub(super) fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let found = self.pattern.find_iter(bytes).map(|found| {
            let form = std::str::from_utf8(found.as_bytes()).unwrap();
            self.forms[form].as_str()
        });
        let mut names: Vec<&str> = found.collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Returns the parts of secrets on a screen, however it is wrapped.
pub(super) fn pieces_on(screen: &str) -> Vec<&'static str> {
    let parts = |value: &'static str| {
        let last = value.len() - PIECE;
        (0..=last).map(move |at| &value[at..at + PIECE])
    };
    PLANTED
        .iter()
        .flat_map(|(_, value)| parts(value))
        .filter(|part| screen.contains(part))
        .collect()
}

/// Returns `value` in plain text, percent-encoded, and in base64 at every alignment.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned(), in_address(value)];
    // git writes lower-case digits.
    let small = [("%2B", "%2b"), ("%2F", "%2f"), ("%3D", "%3d")];
    forms.push(
        small
            .iter()
            .fold(in_address(value), |text, (from, to)| text.replace(from, to)),
    );
    for text in [value.to_owned(), in_address(value)] {
        for engine in [&STANDARD, &URL_SAFE] {
            // Only the digits that do not depend on the neighbouring bytes.
            for (before, first) in [(0, 0), (1, 2), (2, 3)] {
                let encoded = engine.encode([&b"::"[..before], text.as_bytes()].concat());
                let last = (before + text.len()) * 8 / 6;
                forms.push(encoded[first..last].to_owned());
            }
        }
    }
    forms
}

/// Percent-encodes it as the user or password of a URL.
pub(super) fn in_address(value: &str) -> String {
    value
        .chars()
        .map(|c| match c {
            '+' => "%2B".to_owned(),
            '/' => "%2F".to_owned(),
            '=' => "%3D".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[test]
fn planted_secrets_are_found_in_every_encoding() {
    let search = Search::new(&[("more", "another0planted0word")]);
    for text in [
        TOKEN.to_owned(),
        in_address(TOKEN),
        TOKEN
            .replace('+', "%2b")
            .replace('/', "%2f")
            .replace('=', "%3d"),
        STANDARD.encode(TOKEN),
        STANDARD.encode(format!("x-access-token:{TOKEN}")),
        URL_SAFE.encode(format!("{{\"a\":\"{TOKEN}\"}}")),
        STANDARD.encode(format!("ab{TOKEN}cd")),
        STANDARD.encode(format!("http://a:{}@b", in_address(TOKEN))),
    ] {
        assert_eq!(
            search.found(format!("<{text}>").as_bytes()),
            ["token"],
            "{text}"
        );
    }
    assert_eq!(search.found(b"another0planted0word"), ["more"]);
    assert_eq!(search.found(b"ghp_and nothing more"), [""; 0]);
    let (start, end) = PROXY.split_at(11);
    let wrapped = format!("│ http://ada:{start}│\n│ {end} │");
    assert_eq!(pieces_on(&wrapped)[0], &PROXY[..PIECE]);
    assert_eq!(pieces_on("ghp_ and nothing more"), [""; 0]);
}
