//! The official clients over TLS: HTTPS polling, `wss`, and the upgrade between them. The server has a certificate of a CA that exists only
//! for this run, and the clients trust that CA. With compressed polls, which the Python client asks for.

use crate::group::{self, Group, Opposite, Runner};
use crate::server::{Example, Launch};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The PEM files.
#[derive(Debug)]
pub(crate) struct Files {
    /// The certificate of the CA.
    pub(crate) authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// The files, made once for this run.
pub(crate) fn files() -> Result<&'static Files, String> {
    static FILES: OnceLock<Result<Files, String>> = OnceLock::new();
    FILES.get_or_init(|| make().map_err(|error| format!("no certificate: {error}"))).as_ref().map_err(Clone::clone)
}

fn make() -> Result<Files, Box<dyn Error>> {
    let mut authority = CertificateParams::default();
    // OpenSSL takes a certificate whose issuer has its own name for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "the authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let write = |name: &str, content: String| {
        let path = directory.join(name);
        std::fs::write(&path, content).map(|()| path)
    };
    Ok(Files {
        authority: write("authority.pem", authority.pem())?,
        certificate: write("certificate.pem", certificate.pem())?,
        key: write("key.pem", key.serialize_pem())?,
    })
}

impl Files {
    /// The flags of the server.
    pub(crate) fn flags(&self) -> [(&'static str, &Path); 2] {
        [("--tls-cert", &self.certificate), ("--tls-key", &self.key)]
    }
}

const ALL: [&str; 3] = ["polling", "websocket", "upgrade"];

pub(crate) fn groups() -> Vec<Group> {
    let clients = [
        ("javascript", Runner::Node, "javascript.mjs", include_str!("scripts/javascript.mjs"), &ALL[..]),
        ("python::async", Runner::Python, "python_async.py", include_str!("scripts/python_async.py"), &ALL[..]),
        // Not on WebSockets: it reads and writes from two threads, which the TLS of Python 3.11 does not support. Now and then a message or
        // the connection is lost, with the reference's server too.
        ("python::sync", Runner::Python, "python_sync.py", include_str!("scripts/python_sync.py"), &ALL[..1]),
    ];
    let mut groups = Vec::new();
    // Another program has other flags.
    if Example::EchoTls.is_replaced() {
        return groups;
    }
    for (name, runner, script, source, modes) in clients {
        for &mode in modes {
            let mut checks = group::checks(source);
            checks.retain(|check| !crate::javascript::is_slow_or_large(check));
            let flags = vec!["--max-payload", "4000000", "--ping-interval", "1000", "--compression"];
            let opposite = Opposite::Example(Launch { example: Example::EchoTls, flags });
            groups.push(Group { name: format!("tls::{name}::{mode}"), runner, script, mode, checks, opposite });
        }
    }
    groups
}
