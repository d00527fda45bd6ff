//! Credentials of the server: its certificate and a bearer token, handed out in a kubeconfig that only its owner can
//! read.
//!
//! They are created at the first start and reused, so that existing kubeconfigs stay valid.

use std::{fs, io, net::Ipv4Addr, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde::{Deserialize, Serialize};

use super::endpoint::write_private;

/// Length of the token, in random bytes.
const TOKEN_BYTES: usize = 32;

/// Reasons why the credentials cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("cannot create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot use the certificate: {0}")]
    Tls(#[from] rustls::Error),
}

/// Certificate and token of a state directory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credentials {
    /// Certificate of the signing authority, as PEM. Its key is not kept.
    authority: String,
    /// Server certificate, as base64 DER.
    certificate: String,
    /// Private key, as base64 PKCS #8 DER.
    key: String,
    token: String,
    /// Port of the last start, reused if it is free.
    pub port: u16,
}

impl Credentials {
    /// Reads the credentials in `directory`, or creates new ones.
    pub(crate) fn open(directory: &Path, name: &str) -> Result<Self, CredentialsError> {
        let path = directory.join("credentials.json");
        let read = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(CredentialsError::File {
                    path: path.display().to_string(),
                    source,
                });
            }
        };
        // Replace an unreadable file: only the kubeconfig depends on it, and that is written with it.
        match read {
            Some(credentials) => Ok(credentials),
            None => Self::create(name),
        }
    }

    fn create(name: &str) -> Result<Self, CredentialsError> {
        let subject = |common_name: String| {
            let mut subject = DistinguishedName::new();
            subject.push(DnType::CommonName, common_name);
            subject
        };
        let mut authority = CertificateParams::new(Vec::<String>::new())?;
        authority.distinguished_name = subject(format!("{name} embedded authority"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let mut server = CertificateParams::new(vec![
            "localhost".to_owned(),
            Ipv4Addr::LOCALHOST.to_string(),
        ])?;
        server.distinguished_name = subject(format!("{name} embedded"));
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: authority_pem,
            certificate: BASE64_STANDARD.encode(certificate.der()),
            key: BASE64_STANDARD.encode(key.serialize_der()),
            token: random_hex(),
            port: 0,
        })
    }

    /// Writes the credentials and the kubeconfig of a server at `address`.
    pub(crate) fn write(
        &self,
        directory: &Path,
        name: &str,
        address: &str,
    ) -> Result<std::path::PathBuf, CredentialsError> {
        let put = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            write_private(&path, bytes).map_err(|source| CredentialsError::File {
                path: path.display().to_string(),
                source,
            })?;
            Ok(path)
        };
        let json = serde_json::to_vec_pretty(self).map_err(|error| CredentialsError::File {
            path: "credentials.json".into(),
            source: error.into(),
        })?;
        put("credentials.json", &json)?;
        let authority = BASE64_STANDARD.encode(&self.authority);
        let token = &self.token;
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: {address}\n    \
             certificate-authority-data: {authority}\nusers:\n- name: {name}\n  user:\n    token: {token}\ncontexts:\n- name: {name}\n  \
             context:\n    cluster: {name}\n    user: {name}\n    namespace: default\n"
        );
        put("kubeconfig.yaml", kubeconfig.as_bytes())
    }

    /// Returns the TLS configuration of the server.
    pub(crate) fn tls(&self) -> Result<ServerConfig, CredentialsError> {
        let decode = |text: &str| {
            BASE64_STANDARD
                .decode(text)
                .map_err(|_| rustls::Error::General("not base64".into()))
        };
        let certificate = CertificateDer::from(decode(&self.certificate)?);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(decode(&self.key)?));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Returns whether an `Authorization` header holds the token. Compares in constant time.
    pub(crate) fn admits(&self, header: Option<&[u8]>) -> bool {
        let Some(given) = header.and_then(|header| header.strip_prefix(b"Bearer ")) else {
            return false;
        };
        let token = self.token.as_bytes();
        given.len() == token.len()
            && given
                .iter()
                .zip(token)
                .fold(0, |differ, (a, b)| differ | (a ^ b))
                == 0
    }
}

fn random_hex() -> String {
    // Two v4 UUIDs hold 244 random bits from the operating system.
    let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.simple().to_string());
    debug_assert_eq!(random.concat().len(), TOKEN_BYTES * 2);
    random.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_exact_token_only() {
        let credentials = Credentials {
            token: "secret".into(),
            ..Credentials::create("test").unwrap()
        };
        for (header, admitted) in [
            (Some("Bearer secret"), true),
            (Some("Bearer secreT"), false),
            (Some("Bearer secret2"), false),
            (Some("Bearer "), false),
            (Some("bearer secret"), false),
            (Some("Basic secret"), false),
            (None, false),
        ] {
            assert_eq!(
                credentials.admits(header.map(str::as_bytes)),
                admitted,
                "{header:?}"
            );
        }
    }

    #[test]
    fn reuses_stored_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let first = Credentials::open(directory.path(), "test").unwrap();
        first
            .write(directory.path(), "test", "https://127.0.0.1:1")
            .unwrap();
        assert_eq!(
            Credentials::open(directory.path(), "test").unwrap().token,
            first.token
        );
        first.tls().unwrap();
    }

    #[test]
    fn replaces_unreadable_credentials() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("credentials.json"),
            "{\"token\": \"ab",
        )
        .unwrap();
        let credentials = Credentials::open(directory.path(), "test").unwrap();
        credentials.tls().unwrap();
        let address = "https://127.0.0.1:1";
        credentials
            .write(directory.path(), "test", address)
            .unwrap();
        assert_eq!(
            Credentials::open(directory.path(), "test").unwrap().token,
            credentials.token
        );
    }
}
