//! Writes heads and chunks.

use bytes::{BufMut as _, BytesMut};

use crate::SendError;

/// Appends headers. Fails before anything is appended that could end the head or frame the body.
pub(crate) fn put_headers<'n, 'v>(
    head: &mut BytesMut,
    headers: impl IntoIterator<Item = (&'n str, &'v str)>,
) -> Result<(), SendError> {
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(SendError::Framing);
        }
        if !is_token(name) || !is_value(value) {
            return Err(SendError::InvalidHead);
        }
        put_header(head, name, value);
    }
    Ok(())
}

pub(crate) fn put_header(head: &mut BytesMut, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        head.put_slice(part.as_bytes());
    }
}

pub(crate) fn put_length(head: &mut BytesMut, length: usize) {
    put_header(head, "content-length", itoa::Buffer::new().format(length));
}

/// Appends a chunk, which must not be empty, because that is the last one.
pub(crate) fn put_chunk(output: &mut BytesMut, data: &[u8]) {
    let mut digits = [0; 16];
    let mut size = data.len();
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef".get(size % 16).copied().unwrap_or_default();
        (size, used) = (size / 16, used + 1);
        if size == 0 {
            break;
        }
    }
    output.put_slice(digits.get(16 - used..).unwrap_or_default());
    output.put_slice(b"\r\n");
    output.put_slice(data);
    output.put_slice(b"\r\n");
}

/// Whether this is a token (RFC 9110 section 5.6.2), as methods and names of headers are.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a header may have this value.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// Whether this can be the target of a request.
pub(crate) fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!'..=b'~'))
}
