//! Between a list of arguments and one Rust value, for all formats: a tuple or array is the list, `()` is an empty one, any other
//! value is one argument.
//!
//! A format says how it writes and reads one value, and where its lists of them begin and end ([`write::ArgsWriter`], [`read::ArgsReader`]). Which of
//! serde's many questions is about the list, and which about its only argument, is decided here once.

pub(crate) mod read;
pub(crate) mod write;

/// Whether a newtype struct of this name is one value to a format, whatever lies in it: JSON text as `serde_json` has it
/// (`$serde_json::private::RawValue`), an extension as `rmp-serde` has it (`_ExtStruct`). No type has such a name by itself.
fn is_one_value(newtype_struct: &str) -> bool {
    newtype_struct.starts_with(['$', '_'])
}
