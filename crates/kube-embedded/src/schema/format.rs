//! String formats of schemas. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::metadata;

type Check = fn(&str) -> bool;

/// Supported formats. As on the API server, unknown formats are ignored.
const FORMATS: &[(&str, Check)] = &[
    ("byte", |text| BASE64_STANDARD.decode(text).is_ok()),
    ("cidr", is_cidr),
    ("date", |text| text.parse::<jiff::civil::Date>().is_ok()),
    ("date-time", |text| text.parse::<jiff::Timestamp>().is_ok()),
    ("email", is_email),
    ("hostname", |text| {
        metadata::subdomain(&text.to_lowercase()).is_ok()
    }),
    ("ipv4", |text| text.parse::<Ipv4Addr>().is_ok()),
    ("ipv6", |text| text.parse::<Ipv6Addr>().is_ok()),
    ("mac", is_mac),
    ("uri", |text| {
        !text.is_empty() && text.parse::<http::Uri>().is_ok()
    }),
    ("uuid", |text| uuid::Uuid::try_parse(text).is_ok()),
];

/// Returns whether `text` has the given format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    FORMATS
        .iter()
        .find(|(name, _)| *name == format)
        .is_none_or(|(_, check)| check(text))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(' ')
    })
}

fn is_mac(text: &str) -> bool {
    let pairs = text.split([':', '-']);
    pairs.clone().count() == 6
        && pairs
            .into_iter()
            .all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_formats() {
        for (format, good, bad) in [
            ("byte", "YWJj", "a b"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("date", "2024-02-29", "2023-02-29"),
            ("date-time", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00"),
            ("email", "ada@example.org", "ada"),
            ("hostname", "Example.org", "a_b"),
            ("ipv4", "127.0.0.1", "127.0.0.256"),
            ("ipv6", "::1", "127.0.0.1"),
            ("mac", "00:1a:2B:3c:4d:5e", "00:1a"),
            ("uri", "https://example.org/a", ""),
            ("uuid", "00000000-0000-0000-0000-000000000000", "0"),
        ] {
            assert!(fits(format, good), "{format} {good}");
            assert!(!fits(format, bad), "{format} {bad}");
        }
        assert!(fits("of no known name", "anything"));
    }
}
