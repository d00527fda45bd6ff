//! Parsing of repository addresses.

use std::net::Ipv6Addr;

use super::{RemoteUrl, RemoteUrlError, Transport};

impl RemoteUrl {
    /// Parses a URL, an scp-like address (`user@host:path`) or a path.
    ///
    /// # Errors
    /// If git would not accept the address, or if its host cannot be determined with certainty.
    pub fn parse(address: &str) -> Result<Self, RemoteUrlError> {
        if address.is_empty() {
            return Err(RemoteUrlError::Empty);
        }
        if address.trim() != address || address.chars().any(char::is_control) {
            return Err(RemoteUrlError::Whitespace);
        }
        if address.starts_with('-') {
            return Err(RemoteUrlError::Option);
        }
        let scheme = scheme(address);
        let after_scheme = &address[scheme.len()..];
        if !scheme.is_empty() && after_scheme.starts_with("::") {
            return Err(RemoteUrlError::Helper);
        }
        match after_scheme.strip_prefix("://") {
            Some(rest) if !scheme.is_empty() => Self::parse_url(&scheme.to_lowercase(), rest),
            _ => Self::parse_without_scheme(address),
        }
    }

    fn parse_url(scheme: &str, rest: &str) -> Result<Self, RemoteUrlError> {
        let transport = Transport::from_scheme(scheme).ok_or(RemoteUrlError::Scheme)?;
        // For ssh, `?` and `#` do not end the authority: `ssh://a?@b/x` connects to b. For curl they do.
        let ends: &[char] = if transport.is_http() {
            &['/', '?', '#']
        } else {
            &['/']
        };
        let end = rest.find(ends).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let query = match rest.find(['?', '#']) {
            Some(at) if transport.is_http() => at,
            _ => rest.len(),
        };
        let (written_path, query) = rest.split_at(query);
        let mut url = Self {
            transport,
            scheme: scheme.to_owned(),
            user: None,
            has_password: false,
            host: None,
            port: None,
            written_path: written_path.to_owned(),
            query: query.to_owned(),
            path: project_path(written_path)
                .trim_start_matches('/')
                .to_owned(),
        };
        if transport.is_http() {
            url.set_authority(authority)?;
            return Ok(url);
        }
        // Git decodes the whole of such a URL before it looks for the host.
        let decoded = percent_decode(written_path).unwrap_or_else(|| written_path.to_owned());
        // Git takes brackets behind an `@` for the host wherever they are, even in the path.
        if decoded.contains("@[") {
            return Err(RemoteUrlError::Host);
        }
        let path = project_path(&decoded);
        if transport == Transport::File {
            // Git ignores the host of a file URL.
            path.clone_into(&mut url.path);
            return Ok(url);
        }
        path.trim_start_matches('/').clone_into(&mut url.path);
        let authority = percent_decode(authority).ok_or(RemoteUrlError::Host)?;
        if authority.contains('/') || authority.starts_with('-') {
            return Err(RemoteUrlError::Host);
        }
        if transport == Transport::Git && authority.contains('@') {
            return Err(RemoteUrlError::Host);
        }
        url.set_authority(&authority)?;
        Ok(url)
    }

    fn parse_without_scheme(address: &str) -> Result<Self, RemoteUrlError> {
        let mut url = Self {
            transport: Transport::Path,
            scheme: String::new(),
            user: None,
            has_password: false,
            host: None,
            port: None,
            written_path: address.to_owned(),
            query: String::new(),
            path: project_path(address).to_owned(),
        };
        // Git takes `host:path` for a remote only if no slash comes before the colon.
        let is_scp = address
            .split('/')
            .next()
            .is_some_and(|start| start.contains(':'));
        if !is_scp {
            return Ok(url);
        }
        // Git looks for `://` anywhere and fails.
        if address.contains("://") {
            return Err(RemoteUrlError::Scheme);
        }
        let bracket = match address.find("@[") {
            Some(at) => Some(at + 1),
            None => address.starts_with('[').then_some(0),
        };
        let colon = match bracket {
            // Also excludes an `@[` in the path, which git takes for the host.
            Some(at) if address[..at].contains(['/', ':']) => None,
            Some(at) => address[at..].find("]:").map(|end| at + end + 1),
            None => address.find(':'),
        };
        let colon = colon.ok_or(RemoteUrlError::Host)?;
        let (authority, path) = (&address[..colon], &address[colon + 1..]);
        url.transport = Transport::Ssh;
        path.clone_into(&mut url.written_path);
        project_path(path)
            .trim_start_matches('/')
            .clone_into(&mut url.path);
        url.set_authority(authority)?;
        Ok(url)
    }

    fn set_authority(&mut self, authority: &str) -> Result<(), RemoteUrlError> {
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        if let Some(userinfo) = userinfo {
            // Git reads brackets in the user as the host, and curl versions disagree on a second `@` and on a backslash.
            let ambiguous = userinfo.contains(['[', ']', '\\', '/'])
                || userinfo.chars().any(char::is_control)
                || self.transport.is_http() && userinfo.contains('@');
            if ambiguous {
                return Err(RemoteUrlError::Host);
            }
            let (user, password) = match userinfo.split_once(':') {
                Some((user, _)) => (user, true),
                None => (userinfo, false),
            };
            self.user = (!user.is_empty()).then(|| user.to_owned());
            self.has_password = password;
        }
        let (host, port) = if let Some(rest) = host.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(RemoteUrlError::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| RemoteUrlError::Host)?;
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => return Err(RemoteUrlError::Host),
                port => port.unwrap_or_default(),
            };
            (address.to_string(), port)
        } else {
            let (host, port) = host.split_once(':').unwrap_or((host, ""));
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if !host.chars().all(plain) || host.starts_with('-') {
                return Err(RemoteUrlError::Host);
            }
            (host.trim_end_matches('.').to_lowercase(), port)
        };
        if host.is_empty() {
            return Err(RemoteUrlError::Host);
        }
        self.host = Some(host);
        self.port = match port {
            "" => None,
            port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().map_err(|_| RemoteUrlError::Port)?)
            }
            _ => return Err(RemoteUrlError::Port),
        };
        Ok(())
    }
}

/// The scheme in front of a colon, by git's rule; empty if there is none.
fn scheme(address: &str) -> &str {
    let end = address
        .find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
        .unwrap_or(address.len());
    let starts_well = address.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && address[end..].starts_with(':') {
        &address[..end]
    } else {
        ""
    }
}

/// Returns a path without trailing slashes and `.git`.
pub(super) fn project_path(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    let trimmed = trimmed.strip_suffix(".git").unwrap_or(trimmed);
    let trimmed = trimmed.trim_end_matches('/');
    if trimmed.is_empty() && path.starts_with('/') {
        "/"
    } else {
        trimmed
    }
}

/// Returns `None` if the result is not UTF-8 or has control characters.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}
