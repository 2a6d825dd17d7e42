//! A self-signed certificate for development.

use std::fmt;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use wtransport::Identity;

/// A name is neither a DNS name nor an IP address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a name of the certificate is neither a DNS name nor an IP address")]
pub struct InvalidName;

/// A self-signed certificate, made on the spot and valid for 14 days. Browsers accept it if the page names its hash:
///
/// ```js
/// io({
///   transports: ["webtransport"],
///   transportOptions: { webtransport: { serverCertificateHashes: [{ algorithm: "sha-256", value: hash }] } },
/// });
/// ```
///
/// In production, take a certificate of an authority, and its key: see [`WebTransport`](super::WebTransport).
pub struct DevelopmentCertificate {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    sha256: [u8; 32],
}

impl DevelopmentCertificate {
    /// Makes a certificate for these DNS names and IP addresses, such as `localhost`.
    ///
    /// # Errors
    /// If one of them is not valid.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidName> {
        let identity = Identity::self_signed(names).map_err(|_| InvalidName)?;
        let certificate = identity.certificate_chain().as_slice().first().ok_or(InvalidName)?;
        Ok(Self {
            sha256: *certificate.hash().as_ref(),
            certificate: CertificateDer::from(certificate.der().to_vec()),
            key: PrivatePkcs8KeyDer::from(identity.private_key().secret_der().to_vec()),
        })
    }

    /// The SHA-256 of the certificate: the `value` of `serverCertificateHashes` in browsers.
    #[must_use]
    pub const fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The same in hexadecimal digits, for [`Pin::certificate`](crate::client::Pin::certificate).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The certificate, in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// The settings for a listener: of [`WebTransport`](super::WebTransport), and of [`Tls`](crate::Tls).
    ///
    /// # Errors
    /// Those of rustls, which are not expected.
    pub fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let key = PrivateKeyDer::Pkcs8(self.key.clone_key());
        let provider = rustls::crypto::CryptoProvider::get_default()
            .map_or_else(|| rustls::crypto::ring::default_provider().into(), std::sync::Arc::clone);
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
    }
}

impl fmt::Debug for DevelopmentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("DevelopmentCertificate").field("sha256", &self.fingerprint()).finish_non_exhaustive()
    }
}
