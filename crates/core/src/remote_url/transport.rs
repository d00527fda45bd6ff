//! The protocols that git uses to reach a repository.

use super::RemoteUrl;

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

    pub(super) fn from_scheme(scheme: &str) -> Option<Self> {
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

    pub(super) const fn default_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::Git => Some(9418),
            Self::File | Self::Path => None,
        }
    }
}
