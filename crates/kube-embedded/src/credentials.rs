//! Who may call: a certificate of our own and a random token, both in a kubeconfig that only its owner can read.
//!
//! They are made at the first start and kept, so that a kubeconfig that was handed to kubectl stays good.

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

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Why access cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the certificate is of no use: {0}")]
    Tls(#[from] rustls::Error),
}

/// Certificate and token of a directory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credentials {
    /// PEM, of the authority that signed the server's certificate; its key is thrown away.
    authority: String,
    /// DER in base64.
    certificate: String,
    /// PKCS #8 DER in base64.
    key: String,
    token: String,
    /// The port of the last start, taken again where it is free.
    pub port: u16,
}

impl Credentials {
    /// Reads what an earlier start made, or makes it.
    pub fn open(directory: &Path, name: &str) -> Result<Self, CredentialsError> {
        let path = directory.join("access.json");
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
        // One that cannot be read any more is made anew: nothing depends on it but the kubeconfig, which is written with it.
        match read {
            Some(access) => Ok(access),
            None => Self::make(name),
        }
    }

    fn make(name: &str) -> Result<Self, CredentialsError> {
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

    /// Keeps it, and writes the kubeconfig of a server at `address`.
    pub fn write(
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
        let kept = serde_json::to_vec_pretty(self).map_err(|error| CredentialsError::File {
            path: "access.json".into(),
            source: error.into(),
        })?;
        put("access.json", &kept)?;
        let authority = BASE64_STANDARD.encode(&self.authority);
        let token = &self.token;
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: {address}\n    \
             certificate-authority-data: {authority}\nusers:\n- name: {name}\n  user:\n    token: {token}\ncontexts:\n- name: {name}\n  \
             context:\n    cluster: {name}\n    user: {name}\n    namespace: default\n"
        );
        put("kubeconfig.yaml", kubeconfig.as_bytes())
    }

    /// How the server shows who it is.
    pub fn tls(&self) -> Result<ServerConfig, CredentialsError> {
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

    /// Whether an `Authorization` header holds the token. Takes as long for a wrong one as for the right one.
    pub fn admits(&self, header: Option<&[u8]>) -> bool {
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
    // Two UUIDs hold 244 random bits from the system's source.
    let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.simple().to_string());
    debug_assert_eq!(random.concat().len(), TOKEN_BYTES * 2);
    random.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted() {
        let access = Credentials {
            token: "secret".into(),
            ..Credentials::make("test").unwrap()
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
                access.admits(header.map(str::as_bytes)),
                admitted,
                "{header:?}"
            );
        }
    }

    #[test]
    fn what_was_made_once_is_kept() {
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
    fn what_cannot_be_read_any_more_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("access.json"), "{\"token\": \"ab").unwrap();
        let access = Credentials::open(directory.path(), "test").unwrap();
        access.tls().unwrap();
        let address = "https://127.0.0.1:1";
        access.write(directory.path(), "test", address).unwrap();
        assert_eq!(
            Credentials::open(directory.path(), "test").unwrap().token,
            access.token
        );
    }
}
