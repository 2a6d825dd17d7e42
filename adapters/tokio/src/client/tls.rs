//! TLS of clients, by rustls.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use socketio_driver::client::{ConnectError, TlsFault};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::io::{ClientIo, Kind};

/// Which servers a client trusts, and how it identifies itself to them. Cheap to clone; clones share the memory of sessions, which makes
/// later handshakes shorter.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

/// Builds a [`ClientTls`].
#[derive(Default)]
pub struct ClientTlsBuilder {
    system_roots: bool,
    roots: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    pins: Vec<Pin>,
    accept_any: bool,
}

/// Settings of TLS that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTls {
    /// A certificate or a key is not valid PEM, or there is none in the text.
    #[error("a certificate or a key is not valid PEM: it begins with `-----BEGIN`")]
    Pem(#[source] pem::Error),
    /// rustls refuses a certificate or a key.
    #[error("a certificate or a key cannot be used: {0}")]
    Refused(#[source] Error),
    /// Nothing is trusted.
    #[error("no server would be trusted: add a root, the roots of the system, or a pin")]
    NothingTrusted,
}

/// A fingerprint is not one of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the fingerprint is not one of SHA-256: it has 64 hexadecimal digits, with or without colons")]
pub struct InvalidPin;

/// The SHA-256 of a certificate, or of its public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    of_key: bool,
    sha256: [u8; 32],
}

impl Pin {
    /// The fingerprint of a certificate, as `openssl x509 -noout -fingerprint -sha256` prints it after the equals sign.
    ///
    /// # Errors
    /// Fails unless it has 64 hexadecimal digits. Colons are ignored.
    pub fn certificate(fingerprint: &str) -> Result<Self, InvalidPin> {
        Ok(Self { of_key: false, sha256: hexadecimal(fingerprint)? })
    }

    /// The fingerprint of a public key (`SubjectPublicKeyInfo`), which stays the same when the certificate is renewed with the same key.
    /// `openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | sha256sum` prints it.
    ///
    /// # Errors
    /// Fails unless it has 64 hexadecimal digits. Colons are ignored.
    pub fn public_key(fingerprint: &str) -> Result<Self, InvalidPin> {
        Ok(Self { of_key: true, sha256: hexadecimal(fingerprint)? })
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> Result<bool, Error> {
        let found = if self.of_key {
            digest(&SHA256, &ParsedCertificate::try_from(certificate)?.subject_public_key_info())
        } else {
            digest(&SHA256, certificate)
        };
        Ok(found.as_ref() == self.sha256)
    }
}

fn hexadecimal(text: &str) -> Result<[u8; 32], InvalidPin> {
    let mut digits = text.chars().filter(|character| *character != ':').map(|digit| digit.to_digit(16));
    let mut bytes = [0; 32];
    for byte in &mut bytes {
        let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else { return Err(InvalidPin) };
        *byte = u8::try_from(high << 4 | low).map_err(|_| InvalidPin)?;
    }
    if digits.next().is_some() { Err(InvalidPin) } else { Ok(bytes) }
}

impl ClientTls {
    /// Begins with nothing that is trusted.
    #[must_use]
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Takes any configuration of rustls. Its ALPN protocols are replaced by `http/1.1`, which WebSockets need.
    #[must_use]
    pub fn new(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config) }
    }

    #[cfg(feature = "webtransport")]
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(super) async fn connect(&self, io: ClientIo, host: &str, time: Duration) -> Result<Kind, ConnectError> {
        let failed = |fault, source| ConnectError::Tls { host: host.to_owned(), fault, source };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| failed(TlsFault::InvalidName, Some(error.into())))?;
        match timeout(time, TlsConnector::from(Arc::clone(&self.config)).connect(name, io)).await {
            Ok(Ok(stream)) => Ok(Kind::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(failed(fault(&error), Some(error.into()))),
            Err(_) => Err(failed(TlsFault::TimedOut, None)),
        }
    }
}

impl ClientTlsBuilder {
    /// Trusts the roots of the operating system, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. They are read when this is built, which
    /// takes some milliseconds.
    #[must_use]
    pub fn system_roots(mut self) -> Self {
        self.system_roots = true;
        self
    }

    /// Trusts the servers whose certificates were issued by this one (DER). A self-signed certificate is its own root.
    #[must_use]
    pub fn root(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.roots.push(CertificateDer::from(certificate.into()));
        self
    }

    /// Like [`root`](Self::root), for all certificates in a PEM file.
    ///
    /// # Errors
    /// Fails if this is not PEM, or has no certificate.
    pub fn root_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, InvalidTls> {
        self.roots.extend(certificates(pem.as_ref())?);
        Ok(self)
    }

    /// Identifies this client by a certificate and its key, in PEM. The certificate of the client comes first, then those up to its root.
    ///
    /// # Errors
    /// Fails if one of them is not PEM, or has no certificate or key.
    pub fn client_certificate_pem(
        mut self,
        certificates_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidTls> {
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_ref()).map_err(InvalidTls::Pem)?;
        self.client = Some((certificates(certificates_pem.as_ref())?, key));
        Ok(self)
    }

    /// Trusts the server that has exactly this certificate or key, and no other. Nothing else is checked then: neither issuer, nor name,
    /// nor time. Several pins are alternatives.
    #[must_use]
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pins.push(pin);
        self
    }

    /// Accepts any certificate. Whoever can intercept the connection then reads and changes everything. For tests.
    #[must_use]
    pub fn dangerously_accept_any_certificate(mut self) -> Self {
        self.accept_any = true;
        self
    }

    /// Builds the settings.
    ///
    /// # Errors
    /// Fails if a certificate or a key is not valid, or nothing is trusted.
    pub fn build(self) -> Result<ClientTls, InvalidTls> {
        // The application's provider, if it has installed one.
        let provider = CryptoProvider::get_default()
            .map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone);
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(InvalidTls::Refused)?;
        let builder = if self.accept_any || !self.pins.is_empty() {
            let pins = (!self.accept_any).then_some(self.pins);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { pins, algorithms }))
        } else {
            let mut roots = RootCertStore::empty();
            for root in self.roots {
                roots.add(root).map_err(InvalidTls::Refused)?;
            }
            if self.system_roots {
                // Some systems have roots that rustls does not read; the others are still good.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            if roots.is_empty() {
                return Err(InvalidTls::NothingTrusted);
            }
            builder.with_root_certificates(roots)
        };
        let config = match self.client {
            Some((certificates, key)) => {
                builder.with_client_auth_cert(certificates, key).map_err(InvalidTls::Refused)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(ClientTls::new(config))
    }
}

/// The certificates in a PEM file, which has at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(InvalidTls::Pem)?;
    if certificates.is_empty() { Err(InvalidTls::Pem(pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

/// The settings of clients that have none of their own: the roots of the system, read once for the process.
pub(super) fn system(host: &str) -> Result<&'static ClientTls, ConnectError> {
    static SYSTEM: OnceLock<Option<ClientTls>> = OnceLock::new();
    SYSTEM.get_or_init(|| ClientTls::builder().system_roots().build().ok()).as_ref().ok_or_else(|| ConnectError::Tls {
        host: host.to_owned(),
        fault: TlsFault::NoRoots,
        source: None,
    })
}

/// The error of a read. A server that refuses a client's certificate in TLS 1.3 says so after the handshake.
pub(super) fn outcome(read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    match read {
        // The peer ended the connection without a `close_notify`. Lengths and close frames tell whether a message is complete.
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) if matches!(inner(&error), Some(Error::AlertReceived(_))) => {
            Poll::Ready(Err(io::Error::new(error.kind(), TlsFault::Refused)))
        }
        read => read,
    }
}

/// The error of rustls in an error of a stream.
fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|error| error.downcast_ref())
}

/// What is wrong, if a handshake fails with this error.
fn fault(error: &io::Error) -> TlsFault {
    use CertificateError as Certificate;
    match inner(error) {
        Some(Error::InvalidCertificate(certificate)) => match certificate {
            Certificate::UnknownIssuer => TlsFault::UnknownIssuer,
            Certificate::Expired | Certificate::ExpiredContext { .. } => TlsFault::Expired,
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => TlsFault::NotYetValid,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => TlsFault::WrongHost,
            Certificate::Revoked => TlsFault::Revoked,
            Certificate::Other(other) if other.0.is::<WrongPin>() => TlsFault::WrongPin,
            _ => TlsFault::InvalidCertificate,
        },
        Some(Error::AlertReceived(_)) => TlsFault::Refused,
        Some(Error::InvalidMessage(_)) => TlsFault::NotTls,
        Some(_) => TlsFault::Other,
        None => TlsFault::Lost,
    }
}

/// The certificate is not a pinned one.
#[derive(Debug)]
struct WrongPin;

impl fmt::Display for WrongPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is not pinned")
    }
}

impl StdError for WrongPin {}

/// Accepts pinned certificates, or all without pins. The server still has to prove that it has the key of its certificate.
#[derive(Debug)]
struct Pinned {
    pins: Option<Vec<Pin>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        for pin in self.pins.iter().flatten() {
            if pin.matches(certificate)? {
                return Ok(ServerCertVerified::assertion());
            }
        }
        match self.pins {
            None => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(CertificateError::Other(rustls::OtherError(Arc::new(WrongPin))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("ClientTlsBuilder").field("pins", &self.pins).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_64_digits_with_or_without_colons() {
        let plain = "00ff".repeat(16);
        let with_colons: Vec<String> =
            (0..32).map(|index| if index % 2 == 0 { "00" } else { "FF" }.to_owned()).collect();
        let pin = Pin::certificate(&plain).unwrap();
        assert_eq!(pin, Pin::certificate(&with_colons.join(":")).unwrap());
        assert_ne!(pin, Pin::public_key(&plain).unwrap());
        for wrong in ["", "00", &plain[1..], &format!("{plain}0"), &plain.replace('f', "g")] {
            assert_eq!(Pin::certificate(wrong), Err(InvalidPin), "{wrong}");
        }
    }

    #[test]
    fn settings_that_trust_nobody_or_have_no_certificate_are_refused() {
        assert!(matches!(ClientTls::builder().build(), Err(InvalidTls::NothingTrusted)));
        assert!(matches!(ClientTls::builder().root([1, 2, 3]).build(), Err(InvalidTls::Refused(_))));
        assert!(matches!(ClientTls::builder().root_pem("nothing"), Err(InvalidTls::Pem(_))));
        assert!(matches!(ClientTls::builder().client_certificate_pem("", ""), Err(InvalidTls::Pem(_))));
        assert!(ClientTls::builder().dangerously_accept_any_certificate().build().is_ok());
    }
}
