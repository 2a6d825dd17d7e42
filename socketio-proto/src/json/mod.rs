//! JSON for the default parser: a scanner validates the text once, serde reads and writes it, and bytes become attachments.

pub(crate) mod de;
mod float;
pub(crate) mod places;
pub(crate) mod scan;
pub(crate) mod ser;
mod text;

pub(crate) use self::text::unescape;

/// The name of the struct that `serde_json` uses for text that is already JSON (`RawValue`).
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";
