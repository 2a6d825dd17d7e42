//! JSON as the default parser needs it: checked once by a scanner of our own, read and written through serde, bytes as attachments.

pub(crate) mod de;
mod float;
pub(crate) mod places;
pub(crate) mod scan;
pub(crate) mod ser;
mod text;

pub(crate) use self::text::unescape;

/// The name under which `serde_json` hands over, and asks for, text that is JSON already (`RawValue`).
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";
