//! SOCKS 5 (RFC 1928) with users and passwords (RFC 1929). Names are sent to the proxy, which resolves them.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Poll, ready};

use hyper::rt::{Read, ReadBuf, Write};
use socketio_driver::client::ProxyFault;

const VERSION: u8 = 5;
/// The version of the exchange of a user and a password.
const USER_VERSION: u8 = 1;
const CONNECT: u8 = 1;

const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Why the proxy does not connect.
pub(super) enum Refused {
    Fault(ProxyFault),
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ProxyFault> for Refused {
    fn from(fault: ProxyFault) -> Self {
        Self::Fault(fault)
    }
}

/// Has the proxy connect to a host (a name, or an IP address without brackets) and port. After that, the stream is one to the server: no byte
/// beyond the proxy's answer is read.
pub(super) async fn connect<I: Read + Write + Unpin>(
    io: &mut I,
    user: Option<(&str, &str)>,
    host: &str,
    port: u16,
) -> Result<(), Refused> {
    match user {
        None => write(io, &[VERSION, 1, NO_AUTHENTICATION]).await?,
        Some(_) => write(io, &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]).await?,
    }
    let [version, method] = read(io).await?;
    if version != VERSION {
        return Err(ProxyFault::InvalidAnswer.into());
    }
    match (method, user) {
        (NO_AUTHENTICATION, _) => {}
        (USER_AND_PASSWORD, Some((user, password))) => authenticate(io, user, password).await?,
        (NO_METHOD, _) => return Err(ProxyFault::AuthenticationRequired.into()),
        _ => return Err(ProxyFault::InvalidAnswer.into()),
    }
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_) => {
            request.push(NAME);
            push(&mut request, host, "the host name is longer than 255 bytes")?;
        }
    }
    request.extend(port.to_be_bytes());
    write(io, &request).await?;
    let [version, reply, _, kind] = read(io).await?;
    if version != VERSION {
        return Err(ProxyFault::InvalidAnswer.into());
    }
    if reply != 0 {
        return Err(ProxyFault::Refused(reason(reply)).into());
    }
    // The address from which the proxy has connected, and the port.
    match kind {
        IPV4 => _ = read::<6, _>(io).await?,
        IPV6 => _ = read::<18, _>(io).await?,
        NAME => {
            let [length] = read(io).await?;
            for _ in 0..length {
                read::<1, _>(io).await?;
            }
            read::<2, _>(io).await?;
        }
        _ => return Err(ProxyFault::InvalidAnswer.into()),
    }
    Ok(())
}

async fn authenticate<I: Read + Write + Unpin>(io: &mut I, user: &str, password: &str) -> Result<(), Refused> {
    let mut request = vec![USER_VERSION];
    push(&mut request, user, "the user is longer than 255 bytes")?;
    push(&mut request, password, "the password is longer than 255 bytes")?;
    write(io, &request).await?;
    match read(io).await? {
        [_, 0] => Ok(()),
        [_, _] => Err(ProxyFault::AuthenticationRequired.into()),
    }
}

/// Appends a text and, before it, its length.
fn push(request: &mut Vec<u8>, text: &str, too_long: &'static str) -> Result<(), ProxyFault> {
    request.push(u8::try_from(text.len()).map_err(|_| ProxyFault::Refused(too_long))?);
    request.extend(text.bytes());
    Ok(())
}

/// The meaning of a reply (RFC 1928 section 6).
fn reason(reply: u8) -> &'static str {
    match reply {
        2 => "its rules forbid it",
        3 => "the network is unreachable",
        4 => "the host is unreachable, or its name cannot be resolved",
        5 => "the server refused the connection",
        6 => "the server did not answer in time",
        7 => "it does not support this command",
        8 => "it does not support this type of address",
        _ => "it failed",
    }
}

async fn write<I: Write + Unpin>(io: &mut I, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Pin::new(&mut *io).poll_flush(cx)
    })
    .await
}

/// Reads exactly `N` bytes.
async fn read<const N: usize, I: Read + Unpin>(io: &mut I) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut buffer = ReadBuf::new(&mut bytes);
    poll_fn(|cx| {
        while buffer.filled().len() < N {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut *io).poll_read(cx, buffer.unfilled()))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    Ok(bytes)
}
