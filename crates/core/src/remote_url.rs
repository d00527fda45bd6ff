//! Addresses of git repositories, parsed as git and curl parse them.
//!
//! This is the only parser of such addresses. Allow lists, credential scopes, labels and screens all use it, so that they agree
//! on which host an address leads to. An address that git, ssh and curl could read differently is an error.

mod parse;
mod transport;

use std::net::IpAddr;

use self::parse::project_path;
pub use self::transport::Transport;

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

#[cfg(test)]
mod tests;
