//! Engine.IO frames on a WebTransport stream: a length, whose highest bit marks binary data, and that many bytes.

use std::io;

use tokio::io::AsyncRead;

use super::packets::Payload;
use super::{MAX_BODY, Source};

/// The header of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) binary: bool,
    pub(crate) length: u64,
    /// The original bytes, because the sender chooses the form of the length.
    pub(crate) bytes: Vec<u8>,
}

impl Header {
    /// Creates a header in the shortest form.
    pub(crate) fn new(binary: bool, length: u64) -> Self {
        let flag = if binary { 0x80 } else { 0 };
        let bytes = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..126), _) => vec![flag | short],
            (_, Ok(middle)) => [&[flag | 126], middle.to_be_bytes().as_slice()].concat(),
            _ => [&[flag | 127], length.to_be_bytes().as_slice()].concat(),
        };
        Self { binary, length, bytes }
    }

    /// Reads the next header. Returns `None` at the end of the stream.
    pub(crate) async fn read<R: AsyncRead + Unpin>(source: &mut Source<R>) -> io::Result<Option<Self>> {
        if source.buffered().is_empty() && !source.fill().await? {
            return Ok(None);
        }
        let mut bytes = source.read_exact(1).await?.to_vec();
        let first = bytes.first().copied().unwrap_or_default();
        let extended = match first & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        bytes.extend(source.read_exact(extended).await?);
        let length = match bytes.get(1..) {
            Some([]) | None => u64::from(first & 0x7f),
            Some(number) => number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        };
        Ok(Some(Self { binary: first & 0x80 != 0, length, bytes }))
    }
}

/// Encodes a packet with its header.
pub(crate) fn encode(packet: &Payload) -> Vec<u8> {
    let (binary, content) = match packet {
        Payload::Text(text) => (false, text.as_bytes()),
        Payload::Bytes(bytes) => (true, bytes.as_slice()),
    };
    [&Header::new(binary, content.len() as u64).bytes, content].concat()
}

/// Reads the packet after a header.
pub(crate) async fn packet<R: AsyncRead + Unpin>(source: &mut Source<R>, header: &Header) -> io::Result<Payload> {
    // A length above the address space also exceeds the limit of the suite.
    let length = usize::try_from(header.length).unwrap_or(MAX_BODY.saturating_add(1));
    let content = source.read_exact(length).await?.to_vec();
    if header.binary {
        return Ok(Payload::Bytes(content));
    }
    let text = String::from_utf8(content);
    text.map(Payload::Text).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_of_every_length_come_back() {
        for length in [1, 125, 126, 65_535, 65_536] {
            for sent in [Payload::Bytes(vec![7; length]), Payload::Text("7".repeat(length))] {
                let bytes = encode(&sent);
                let mut source = Source::new(bytes.as_slice());
                let header = Header::read(&mut source).await.unwrap().unwrap();
                assert_eq!(packet(&mut source, &header).await.unwrap(), sent);
                assert_eq!(Header::read(&mut source).await.unwrap(), None);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_reference() {
        assert_eq!(encode(&Payload::Text("4hello".to_owned())), b"\x064hello");
        assert_eq!(encode(&Payload::Bytes(vec![1, 2, 3, 4])), b"\x84\x01\x02\x03\x04");
        assert_eq!(Header::new(true, 126).bytes, b"\xfe\x00\x7e");
        assert_eq!(Header::new(true, 65_536).bytes, b"\xff\0\0\0\0\0\x01\0\0");
    }

    #[tokio::test]
    async fn a_length_may_be_longer_than_it_needs_to_be() {
        let mut source = Source::new(b"\x7e\0\x034hi".as_slice());
        let header = Header::read(&mut source).await.unwrap().unwrap();
        assert_eq!((header.length, header.bytes.as_slice()), (3, b"\x7e\0\x03".as_slice()));
        assert_eq!(packet(&mut source, &header).await.unwrap(), Payload::Text("4hi".to_owned()));
    }
}
