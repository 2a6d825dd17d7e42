//! The arguments of a packet: a received payload is kept raw until it is read, and any serialisable value can be sent.

pub(crate) mod attached;
#[cfg(feature = "msgpack")]
pub(crate) mod packed;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use engineio_proto::{Arc, Text};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Error as JsonError;
use serde_json::de::StrRead;

use self::attached::Attached;
use crate::arguments::read::{ArgsReader, missing, read};
use crate::config::Limits;
use crate::error::{DecodeError, ReadError};
use crate::few::Few;
use crate::json::de::Cursor;
use crate::json::places::{self, Place, Plain, ScanArgument};
use crate::json::{scan, unescape};
use crate::packet::PacketType;
pub(crate) use crate::rules::Rules;
use crate::values::{Transcoded, Value, Values};

/// The payload of a received packet: its text, which is validated, and its attachments. Arguments are not deserialised until
/// they are read.
///
/// The arguments of an event or an ack are the elements of its array, without the event's name. The payload of CONNECT or
/// CONNECT_ERROR is one argument. In the raw text, an attachment is represented by a placeholder,
/// `{"_placeholder":true,"num":0}`. [`Payload::get`] and [`Payload::read`] replace it by the bytes, at any depth, for types
/// that accept bytes: `bytes::Bytes` with its feature `serde`, `Vec<u8>`, or `&[u8]` through `serde_bytes`. `serde_json::Value`
/// does not accept bytes. In an untagged enum, put the variant that accepts bytes before a variant with a string, because serde
/// reads bytes as a string if they are UTF-8.
///
/// A clone shares all memory. A payload keeps the whole message that contains it in memory.
#[derive(Clone)]
pub struct Payload {
    source: Source,
    layout: Layout,
}

/// The message that contains the payload, with its header, so that it did not have to be split.
#[derive(Clone)]
enum Source {
    Json {
        text: Text,
        attached: Option<Arc<Attached>>,
    },
    /// MessagePack has binary data among the arguments.
    #[cfg(feature = "msgpack")]
    MsgPack(Bytes),
}

/// Number of arguments whose ends are stored. The ends of further arguments are found by scanning when they are needed.
const REMEMBERED: usize = 4;

/// Positions in the message.
#[derive(Clone, Copy, Default, Debug)]
struct Layout {
    /// The event's name, without quotes.
    name: Option<(u32, u32)>,
    /// Start of the first argument.
    start: u32,
    /// End of the last argument.
    end: u32,
    /// Number of arguments.
    count: u32,
    ends: [u32; REMEMBERED],
}

/// How the event's name is written.
#[derive(Clone, Copy)]
enum Name {
    /// Without escapes, or there is no name.
    Plain,
    /// With escapes. It was not compared with the reserved names yet.
    Escaped,
}

impl Layout {
    /// Fills in an array of arguments, with the event's name first if `named`. Returns `None` if the array is not valid JSON or
    /// the name is reserved.
    fn list(
        &mut self,
        text: &[u8],
        at: usize,
        named: bool,
        max_depth: u32,
        rules: Rules,
        sought: &mut impl ScanArgument,
    ) -> Option<Name> {
        let inner_depth = max_depth.checked_sub(1)?;
        let mut written = Name::Plain;
        let mut at = scan::whitespace(text, at + 1);
        let mut more = text.get(at) != Some(&b']');
        if named {
            let end;
            if text.get(at) == Some(&b'"') {
                let escaped;
                (end, escaped) = scan::string_and_escapes(text, at + 1)?;
                self.name = Some((position(at + 1), position(end - 1)));
                if escaped {
                    written = Name::Escaped;
                } else if rules.may_not_receive(text.get(at + 1..end - 1)?) {
                    return None;
                }
            } else {
                end = scan::number(text, at)?;
                self.name = Some((position(at), position(end)));
            }
            at = scan::whitespace(text, end);
            more = text.get(at) == Some(&b',');
            if more {
                at = scan::whitespace(text, at + 1);
            }
        }
        self.start = position(at);
        self.end = self.start;
        let mut count: usize = 0;
        while more {
            let end = sought.argument(text, at, inner_depth)?;
            self.end = position(end);
            if let Some(slot) = self.ends.get_mut(count) {
                *slot = self.end;
            }
            // Each argument takes at least one byte, so their number fits as well as a position.
            count += 1;
            at = scan::whitespace(text, end);
            more = text.get(at) == Some(&b',');
            at += usize::from(more);
        }
        self.count = position(count);
        (text.get(at) == Some(&b']') && scan::whitespace(text, at + 1) == text.len()).then_some(written)
    }

    /// Fills in a single value that is the whole payload.
    fn value(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<Name> {
        let end = scan::value(text, at, max_depth)?;
        let position_of_end = position(end);
        *self =
            Self { start: position(at), end: position_of_end, count: 1, ends: [position_of_end; REMEMBERED], ..*self };
        (scan::whitespace(text, end) == text.len()).then_some(Name::Plain)
    }

    /// Appends the unescaped name to the text, and stores its position as the name. Returns `None` if the name is reserved.
    #[cold]
    fn unescape_name(&mut self, text: &str, rules: Rules) -> Option<Text> {
        let (start, end) = self.name?;
        let name = unescape(text.get(start as usize..end as usize)?);
        let both = String::from(text) + &name;
        u32::try_from(both.len()).ok()?;
        self.name = Some((position(text.len()), position(both.len())));
        (!rules.may_not_receive(name.as_bytes())).then(|| both.into())
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "callers have checked that the text's length fits")]
const fn position(at: usize) -> u32 {
    at as u32
}

/// Evaluates an expression for the reader that matches the format of the payload.
macro_rules! with_args {
    ($payload:expr, $($args:ident)+ => $evaluate:expr) => {
        match &$payload.source {
            Source::Json { attached: None, .. } => {
                let $($args)+ = PlainArgs { args: $payload.args(), current: None };
                $evaluate
            }
            Source::Json { text, attached: Some(attached) } => {
                let $($args)+ = AttachedArgs { args: $payload.args(), text, attached, current: None };
                $evaluate
            }
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => {
                let $($args)+ = $payload.layout.packed_args(bytes);
                $evaluate
            }
        }
    };
}

impl Payload {
    /// Creates a payload from its JSON text, for parsers. The text is `["name",...]` for an event, `[...]` for an ack, an
    /// object for CONNECT, and an object or a string for CONNECT_ERROR. A placeholder in the text refers to one of the
    /// attachments. Without attachments, placeholders are ordinary objects.
    ///
    /// # Errors
    /// [`DecodeError::InvalidPayload`] if the text is not valid for the packet type, is nested deeper than
    /// [`Limits::max_depth`], has a reserved event name, or is longer than 4 GiB. [`DecodeError::IllegalPlaceholder`] if a
    /// placeholder does not refer to an attachment.
    pub fn from_json(
        packet_type: PacketType,
        text: Text,
        attachments: Vec<Bytes>,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let at = scan::whitespace(text.as_bytes(), 0);
        let mut payload = Self::within(packet_type, text, at, limits.max_depth, Rules::V5, &mut Plain)
            .ok_or(DecodeError::InvalidPayload)?;
        if !attachments.is_empty() {
            let places = payload.places(attachments.len()).ok_or(DecodeError::IllegalPlaceholder)?;
            payload.attach(Arc::new(Attached::new(attachments.into(), places)));
        }
        Ok(payload)
    }

    /// The payload of an ACK that has none.
    pub(crate) fn no_arguments(limits: &Limits) -> Option<Self> {
        Self::from_json(PacketType::Ack, Text::from_static("[]"), Vec::new(), limits).ok()
    }

    /// Creates the payload of a packet from the text between `at` and the end of `text`. Returns `None` if it is not valid.
    #[inline]
    pub(crate) fn within(
        packet_type: PacketType,
        text: Text,
        at: usize,
        max_depth: u16,
        rules: Rules,
        sought: &mut impl ScanArgument,
    ) -> Option<Self> {
        let bytes: &[u8] = text.as_bytes();
        // Positions have 32 bits.
        u32::try_from(bytes.len()).ok()?;
        let max_depth = u32::from(max_depth);
        let mut layout = Layout::default();
        let name = match (packet_type, *bytes.get(at)?) {
            (PacketType::Event, b'[') => layout.list(bytes, at, true, max_depth, rules, sought),
            (PacketType::Ack, b'[') => layout.list(bytes, at, false, max_depth, rules, sought),
            (_, first) if rules.is_value_of(packet_type, first) => layout.value(bytes, at, max_depth),
            _ => None,
        }?;
        let text = match name {
            Name::Plain => text,
            Name::Escaped => layout.unescape_name(&text, rules)?,
        };
        Some(Self { source: Source::Json { text, attached: None }, layout })
    }

    /// The positions of the attachments. Returns `None` if a placeholder does not refer to one of them. Only JSON has
    /// attachments.
    #[inline]
    fn places(&self, attachments: usize) -> Option<Few<Place>> {
        let (text, _) = self.json();
        let text = text.get(..self.layout.end as usize).unwrap_or_default();
        places::find(text, self.layout.start as usize, attachments)
    }

    /// Adds the attachments, if the payload is JSON.
    fn attach(&mut self, attachments: Arc<Attached>) {
        match &mut self.source {
            Source::Json { attached, .. } => *attached = Some(attachments),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(_) => {}
        }
    }

    /// The JSON text, and the attachments if there are any. The text is empty for a payload in another format.
    #[inline]
    fn json(&self) -> (&str, Option<&Attached>) {
        match &self.source {
            Source::Json { text, attached } => (text, attached.as_deref()),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(_) => ("", None),
        }
    }

    /// Whether the payload is JSON. Otherwise its texts are empty.
    #[inline]
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self.source, Source::Json { .. })
    }

    /// The event's name; `None` if the payload is not that of an event. A numeric name is returned as it was written. An
    /// unpaired surrogate, which JavaScript strings can contain, is replaced by U+FFFD.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let (start, end) = self.layout.name?;
        match &self.source {
            Source::Json { text, .. } => text.get(start as usize..end as usize),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => str::from_utf8(bytes.get(start as usize..end as usize)?).ok(),
        }
    }

    /// Number of arguments, without the event's name.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.layout.count as usize
    }

    /// Whether there are no arguments.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.layout.count == 0
    }

    /// The JSON text of each argument, in order. Empty for a payload in another format.
    #[must_use]
    pub fn args(&self) -> RawArgs<'_> {
        let index = if self.is_json() { 0 } else { self.len() };
        RawArgs { text: self.json().0, layout: &self.layout, index, at: self.layout.start as usize }
    }

    /// The JSON text of one argument; `None` if there is no such argument, or for a payload in another format. The first four
    /// arguments are found in constant time, later ones by scanning the text before them. To visit many arguments, use
    /// [`Payload::args`].
    #[must_use]
    pub fn raw(&self, index: usize) -> Option<&str> {
        if index >= self.args().len() {
            return None;
        }
        // An argument starts where the previous one ends.
        let known = index.min(REMEMBERED);
        let Some(before) = known.checked_sub(1) else {
            return self.json().0.get(self.layout.start as usize..*self.layout.ends.first()? as usize);
        };
        let mut args = self.args();
        args.at = *self.layout.ends.get(before)? as usize;
        args.index = known;
        args.nth(index.checked_sub(known)?)
    }

    /// The JSON text of all arguments, with the commas but without the brackets. Empty for a payload in another format.
    #[must_use]
    pub fn raw_args(&self) -> &str {
        self.json().0.get(self.layout.start as usize..self.layout.end as usize).unwrap_or_default()
    }

    /// Reads one argument. It borrows from the payload where the type allows: `&str` if the string has no escapes, and
    /// `&serde_json::value::RawValue`.
    ///
    /// # Errors
    /// If there is no such argument, or if it does not have this type. Reading is limited to 128 levels of nesting, even if
    /// [`Limits::max_depth`] is greater. A string with an unpaired surrogate cannot be read as a `str` or `String`.
    pub fn get<'de, T: Deserialize<'de>>(&'de self, index: usize) -> Result<T, ReadError> {
        self.read_one(index).map_err(|error| error.of(index))
    }

    #[inline]
    fn read_one<'de, T: Deserialize<'de>>(&'de self, index: usize) -> Result<T, ReadError> {
        #[cfg(feature = "msgpack")]
        if let Source::MsgPack(bytes) = &self.source {
            return T::deserialize(&mut self.layout.packed_reader(bytes, index)?);
        }
        let raw = self.raw(index).ok_or_else(missing::<ReadError>)?;
        match self.json() {
            (_, None) => Ok(serde_json::from_str(raw)?),
            (text, Some(attached)) => Ok(T::deserialize(&mut attached.cursor(text, raw))?),
        }
    }

    /// Reads all arguments. A tuple or array reads one argument for each member. Additional arguments are ignored, and a member
    /// without an argument is `None` if its type allows. Any other type reads the first argument. `()` reads none.
    ///
    /// # Errors
    /// If the arguments do not have this type; see [`Payload::get`].
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        with_args!(self, args => read(args))
    }

    /// The arguments as a tuple that serde can write: for conversion into another format, or as a part of another value. To relay
    /// all arguments as they are, pass the payload itself.
    ///
    /// ```
    /// # use socketio_proto::{Limits, PacketType, Payload};
    /// # let limits = Limits::default();
    /// let event = Payload::from_json(PacketType::Event, r#"["sum",1,2]"#.into(), Vec::new(), &limits)?;
    /// let kept = serde_json::json!({ "name": event.name(), "args": event.values() });
    /// assert_eq!(kept.to_string(), r#"{"args":[1,2],"name":"sum"}"#);
    /// # Ok::<(), socketio_proto::DecodeError>(())
    /// ```
    #[must_use]
    pub const fn values(&self) -> Values<'_> {
        Values(self)
    }

    /// The first argument, which serde can write: for the `auth` of a client, or the answer to an ack, as a part of another value.
    /// `None` of serde if there is no argument.
    ///
    /// ```
    /// # use socketio_proto::{Limits, PacketType, Payload};
    /// # let limits = Limits::default();
    /// let auth = Payload::from_json(PacketType::Connect, r#"{"token":"t"}"#.into(), Vec::new(), &limits)?;
    /// let user = serde_json::json!({ "id": 7, "auth": auth.value() });
    /// assert_eq!(user.to_string(), r#"{"auth":{"token":"t"},"id":7}"#);
    /// # Ok::<(), socketio_proto::DecodeError>(())
    /// ```
    #[must_use]
    pub const fn value(&self) -> Value<'_> {
        Value(self)
    }

    /// Writes all arguments to a tuple.
    pub(crate) fn write_all<T: SerializeTuple>(&self, tuple: &mut T) -> Result<(), T::Error> {
        with_args!(self, mut args => {
            while let Some(value) = args.next() {
                tuple.serialize_element(&Transcoded::new(value))?;
            }
        });
        Ok(())
    }

    /// Writes the first argument. Returns `None` if there is none.
    pub(crate) fn write_first<S: Serializer>(&self, serializer: S) -> Option<Result<S::Ok, S::Error>> {
        with_args!(self, mut args => Some(Transcoded::new(args.next()?).serialize(serializer)))
    }

    /// Copies the payload into its own memory. Use this to keep a payload for a long time: a received payload keeps the memory
    /// block of its message alive, which may be several kilobytes and shared with other messages.
    #[must_use]
    pub fn detached(&self) -> Self {
        let source = match &self.source {
            Source::Json { text, attached } => Source::Json {
                text: Text::from(&**text),
                attached: attached.as_ref().map(|attached| Arc::new(attached.detached())),
            },
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => Source::MsgPack(Bytes::copy_from_slice(bytes)),
        };
        Self { source, layout: self.layout }
    }

    /// Size of the text and the attachments that the payload keeps in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.source {
            Source::Json { text, attached: None } => text.len(),
            Source::Json { text, attached: Some(attached) } => {
                attached.attachments.iter().map(Bytes::len).fold(text.len(), usize::saturating_add)
            }
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => bytes.len(),
        }
    }

    /// The attachments, in the order in which they were received. Only JSON has attachments.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        self.json().1.map_or(&[], |attached| &attached.attachments)
    }

    /// The bytes of this argument, if the argument as a whole is binary, in any format. The bytes are shared, not copied.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<Bytes> {
        match &self.source {
            Source::Json { .. } => self.attachment(index).cloned(),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => self.layout.packed_bytes(bytes, index),
        }
    }

    /// The attachment of this argument, if the argument as a whole is one.
    fn attachment(&self, index: usize) -> Option<&Bytes> {
        let (text, Some(attached)) = self.json() else { return None };
        attached.at(offset(text, self.raw(index)?))
    }

    /// All arguments as they were received, in any format.
    fn bytes_of_args(&self) -> &[u8] {
        match &self.source {
            Source::Json { .. } => self.raw_args().as_bytes(),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(_) => self.raw_args_msgpack().unwrap_or_default(),
        }
    }
}

/// The position of `part` in `text`. `part` must be a slice of `text`.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// Payloads are equal if their names, arguments and attachments are equal byte for byte.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.len() == other.len()
            && self.is_json() == other.is_json()
            && self.bytes_of_args() == other.bytes_of_args()
            && self.attachments() == other.attachments()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("name", &self.name())
            .field("args", &String::from_utf8_lossy(self.bytes_of_args()))
            .field("attachments", &self.attachments().len())
            .finish()
    }
}

/// The JSON text of each argument. Returned by [`Payload::args`].
#[derive(Clone, Debug)]
pub struct RawArgs<'a> {
    text: &'a str,
    layout: &'a Layout,
    index: usize,
    at: usize,
}

impl<'a> Iterator for RawArgs<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        if self.index >= self.layout.count as usize {
            return None;
        }
        let bytes = self.text.as_bytes();
        let mut start = scan::whitespace(bytes, self.at);
        if self.index > 0 {
            start = scan::whitespace(bytes, start.saturating_add(1));
        }
        let end = match self.layout.ends.get(self.index) {
            Some(&end) => end as usize,
            None => scan::value(bytes, start, u32::MAX)?,
        };
        self.index = self.index.saturating_add(1);
        self.at = end;
        self.text.get(start..end)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.layout.count as usize).saturating_sub(self.index);
        (left, Some(left))
    }
}

impl ExactSizeIterator for RawArgs<'_> {}

/// Arguments without attachments, each read by `serde_json`.
struct PlainArgs<'de> {
    args: RawArgs<'de>,
    current: Option<serde_json::Deserializer<StrRead<'de>>>,
}

impl<'de> ArgsReader<'de> for PlainArgs<'de> {
    type Error = JsonError;
    type Value<'a>
        = &'a mut serde_json::Deserializer<StrRead<'de>>
    where
        Self: 'a;

    #[inline]
    fn next(&mut self) -> Option<Self::Value<'_>> {
        let raw = self.args.next()?;
        Some(self.current.insert(serde_json::Deserializer::from_str(raw)))
    }
}

/// Arguments with attachments.
struct AttachedArgs<'de> {
    args: RawArgs<'de>,
    text: &'de str,
    attached: &'de Attached,
    current: Option<Cursor<'de>>,
}

impl<'de> ArgsReader<'de> for AttachedArgs<'de> {
    type Error = JsonError;
    type Value<'a>
        = &'a mut Cursor<'de>
    where
        Self: 'a;

    fn next(&mut self) -> Option<Self::Value<'_>> {
        let raw = self.args.next()?;
        Some(self.current.insert(self.attached.cursor(self.text, raw)))
    }
}

/// Values that can be sent as arguments: a tuple or array is the list of arguments, `()` is an empty list, and any other
/// serialisable value is one argument. A received [`Payload`] is relayed unchanged, without being deserialised.
pub trait Args {
    /// Passes the value to the sink that writes it.
    ///
    /// # Errors
    /// Returns the errors of the sink.
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error>;
}

/// Writes arguments in one format; implemented by parsers.
pub trait ArgsSink: Sized {
    /// The result of writing.
    type Ok;
    /// The error of writing.
    type Error;

    /// Writes a value with serde.
    ///
    /// # Errors
    /// If the value cannot be represented in this format.
    fn typed<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error>;

    /// Writes the arguments (without the event's name) of a received payload.
    ///
    /// # Errors
    /// If the payload is in another format and cannot be converted.
    fn payload(self, payload: &Payload) -> Result<Self::Ok, Self::Error>;
}

impl<T: Serialize + ?Sized> Args for T {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.typed(self)
    }
}

impl Args for Payload {
    #[inline]
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.payload(self)
    }
}

impl Args for &Payload {
    #[inline]
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.payload(self)
    }
}
