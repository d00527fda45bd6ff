//! Addresses of git repositories, parsed as git and curl parse them.
//!
//! This is the only parser of such addresses. Allow lists, credential scopes, labels and screens all use it, so that they agree
//! on which host an address leads to. An address that git, ssh and curl could read differently is an error.

use std::net::{IpAddr, Ipv6Addr};

/// Why a text is not a usable repository address. The message never repeats the address, which may hold a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteUrlError {
    #[error("the repository address is empty")]
    Empty,
    #[error("the repository address has control characters or surrounding spaces")]
    Whitespace,
    #[error("the repository address starts with `-`")]
    Option,
    #[error("the repository address names a git remote helper (`helper::address`)")]
    Helper,
    #[error("unsupported scheme in the repository address; use https, http, ssh, git or file")]
    Scheme,
    #[error("the repository address has no valid host name")]
    Host,
    #[error("the repository address has an invalid port")]
    Port,
}

/// Protocol that git uses to reach a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Https,
    Http,
    /// `ssh://` or scp-like.
    Ssh,
    /// `git://`, which has no authentication.
    Git,
    /// `file://`
    File,
    /// A plain path.
    Path,
}

impl Transport {
    /// Returns the transport of an address, or `None` if it cannot be parsed.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        Some(RemoteUrl::parse(address).ok()?.transport)
    }

    fn from_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "https" => Some(Self::Https),
            "http" => Some(Self::Http),
            "ssh" | "git+ssh" | "ssh+git" => Some(Self::Ssh),
            "git" => Some(Self::Git),
            "file" => Some(Self::File),
            _ => None,
        }
    }

    /// Whether git authenticates with a token.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Https | Self::Http)
    }

    /// Whether the protocol can carry a credential.
    #[must_use]
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Self::Https | Self::Http | Self::Ssh)
    }

    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::Git => Some(9418),
            Self::File | Self::Path => None,
        }
    }
}

/// A parsed repository address.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    transport: Transport,
    /// In lower case; empty for paths and scp-like addresses.
    scheme: String,
    user: Option<String>,
    has_password: bool,
    /// In lower case, without brackets and without a trailing dot.
    host: Option<String>,
    port: Option<u16>,
    /// As written, with the leading slash of a URL.
    written_path: String,
    /// `?` or `#` and what follows; HTTP only.
    query: String,
    path: String,
}

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

    /// Protocol that git uses.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Host that git connects to, in lower case and without brackets; `None` for a path or `file://`.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Port, if the address has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// `host` or `host:port`, with brackets around an IPv6 address; empty for a path or `file://`.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Some(host) if host.contains(':') => format!("[{host}]"),
            host => host.clone().unwrap_or_default(),
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// `scheme://host[:port]`, the scope of a credential. The default port is left out. `None` for a path or `file://`.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        self.host.as_ref()?;
        let mut url = self.clone();
        url.port = self
            .port
            .filter(|_| self.port != self.transport.default_port());
        let scheme = match self.transport {
            Transport::Ssh => "ssh",
            _ => &self.scheme,
        };
        Some(format!("{scheme}://{}", url.authority()))
    }

    /// Path of the project, with all groups: `group/sub/name` of a remote, the path itself of a local repository. Has no `.git`
    /// suffix, no trailing slash and, for a remote, no leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Last component of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// `owner/name` of a remote, `host/name` if the path has no owner, the folder name of a local repository.
    #[must_use]
    pub fn short_name(&self) -> String {
        match &self.host {
            None => self.name().to_owned(),
            Some(host) if !self.path.contains('/') => format!("{host}/{}", self.path),
            Some(_) => {
                let start = self.path.rmatch_indices('/').nth(1);
                let start = start.map_or(0, |(at, _)| at + 1);
                self.path[start..].to_owned()
            }
        }
    }

    /// Canonical spelling, for comparing and labelling: `host/path` of a remote, the path of a local repository. Spellings of
    /// one repository are equal: transport, user, port, case of the host and `.git` are left out.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.host {
            Some(host) if self.path.is_empty() => format!("{host}{}", self.query),
            // Some servers select the repository by the query.
            Some(host) => format!("{host}/{}{}", self.path, self.query),
            None => self.path.clone(),
        }
    }

    /// Whether the address holds a password, or a token as its user name.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.has_password || self.user.as_deref().is_some_and(is_token)
    }

    /// Whether only this machine can reach the repository: a path, `file://` or a loopback host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let Some(host) = &self.host else {
            return true;
        };
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The address to clone from, without password and token. Only SSH keeps its user.
    #[must_use]
    pub fn clone_url(&self) -> String {
        format!("{}{}", self.without_query(), self.query)
    }

    /// The address for display and logs: like [`clone_url`](Self::clone_url), with the query elided, which may hold a token.
    #[must_use]
    pub fn display(&self) -> String {
        let elided = if self.query.is_empty() {
            ""
        } else {
            "?\u{2026}"
        };
        format!("{}{elided}", self.without_query())
    }

    fn without_query(&self) -> String {
        let Some(_) = &self.host else {
            return match self.transport {
                Transport::File => format!("file://{}", self.written_path),
                _ => self.written_path.clone(),
            };
        };
        let user = match &self.user {
            Some(user) if self.transport == Transport::Ssh && !is_token(user) => {
                format!("{user}@")
            }
            _ => String::new(),
        };
        let authority = self.authority();
        if self.scheme.is_empty() {
            format!("{user}{authority}:{}", self.written_path)
        } else {
            format!("{}://{user}{authority}{}", self.scheme, self.written_path)
        }
    }
}

impl std::fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RemoteUrl").field(&self.display()).finish()
    }
}

impl std::fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.display())
    }
}

/// Returns [`RemoteUrl::identity`] of an address. An address that cannot be parsed is equal only to itself.
#[must_use]
pub fn identity(address: &str) -> String {
    let address = address.trim();
    RemoteUrl::parse(address).map_or_else(|_| redact(address), |url| url.identity())
}

/// Returns [`RemoteUrl::name`] of an address, or its last component if it cannot be parsed.
#[must_use]
pub fn name(address: &str) -> String {
    RemoteUrl::parse(address).map_or_else(
        |_| {
            project_path(address)
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned()
        },
        |url| url.name().to_owned(),
    )
}

/// Returns [`RemoteUrl::short_name`] of an address, or the redacted address if it cannot be parsed.
#[must_use]
pub fn short_name(address: &str) -> String {
    RemoteUrl::parse(address).map_or_else(|_| redact(address), |url| url.short_name())
}

/// Whether only this machine can reach a repository: see [`RemoteUrl::is_local`].
#[must_use]
pub fn is_local(address: &str) -> bool {
    RemoteUrl::parse(address).is_ok_and(|url| url.is_local())
}

/// Whether two HTTP addresses have the same scheme, host and port, so that a credential for one may be sent to the other.
#[must_use]
pub fn same_http_origin(one: &str, other: &str) -> bool {
    http_origin(one).is_some_and(|origin| http_origin(other) == Some(origin))
}

fn http_origin(address: &str) -> Option<String> {
    let url = RemoteUrl::parse(address).ok()?;
    url.origin().filter(|_| url.transport.is_http())
}

/// Returns an address without password and token, for display. Accepts any text.
#[must_use]
pub fn redact(address: &str) -> String {
    if let Ok(url) = RemoteUrl::parse(address) {
        return url.display();
    }
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    // Cut generously: anything before the last `@` may belong to a password.
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let rest = rest.split('?').next().unwrap_or(rest);
    format!("{scheme}://{rest}")
}

fn is_token(user: &str) -> bool {
    let prefixes = ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-"];
    prefixes.iter().any(|prefix| user.starts_with(prefix))
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

fn project_path(path: &str) -> &str {
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

#[cfg(test)]
mod tests;
