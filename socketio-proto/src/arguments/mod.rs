//! Converts between a list of arguments and one Rust value, for all formats: a tuple or array is the list, `()` is an empty
//! list, and any other value is one argument.
//!
//! A format implements how it reads and writes one value and a list ([`write::ArgsWriter`], [`read::ArgsReader`]). This module
//! decides which methods of serde's data model apply to the list, and which to its only argument.

pub(crate) mod read;
pub(crate) mod write;

/// Whether a format treats a newtype struct of this name as one value, whatever it contains: `$serde_json::private::RawValue`
/// is JSON text of `serde_json`, and `_ExtStruct` is an extension of `rmp-serde`. Ordinary types do not have such names.
fn is_one_value(newtype_struct: &str) -> bool {
    newtype_struct.starts_with(['$', '_'])
}
