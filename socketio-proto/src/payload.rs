//! The arguments of a packet: raw until somebody reads them, and anything serialisable on the way out.

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
use crate::values::{Transcoded, Values};

/// The payload of a packet that was received: its text, checked to be JSON, and its attachments. Nothing is parsed that is not read.
///
/// An argument is one element of an event's or ack's array, the event's name apart; the payload of CONNECT or CONNECT_ERROR is one
/// argument. Where an attachment belongs, the raw text has a placeholder, `{"_placeholder":true,"num":0}`; [`Payload::get`] and
/// [`Payload::read`] give the bytes in its place to types that take bytes (`bytes::Bytes` with its feature `serde`, `Vec<u8>`,
/// `&[u8]` through `serde_bytes`), at any depth. `serde_json::Value` does not take bytes; in an untagged enum the variant that takes
/// bytes comes before one that takes a string, since serde reads bytes as a string when they are UTF-8.
///
/// Cloning shares everything. A payload keeps the memory of the whole message alive that it came in.
#[derive(Clone)]
pub struct Payload {
    source: Source,
    layout: Layout,
}

/// The message that a payload came in, header included, so that nothing had to be cut.
#[derive(Clone)]
enum Source {
    Json {
        text: Text,
        attached: Option<Arc<Attached>>,
    },
    /// Here binary lies among the arguments.
    #[cfg(feature = "msgpack")]
    MsgPack(Bytes),
}

/// How many arguments have their ends remembered; those further behind are found again when they are asked for.
const REMEMBERED: usize = 4;

/// Positions in the message.
#[derive(Clone, Copy, Default, Debug)]
struct Layout {
    /// The event's name, without quotes.
    name: Option<(u32, u32)>,
    /// Where the first argument starts.
    start: u32,
    /// Where the last argument ends.
    end: u32,
    /// How many arguments there are.
    count: u32,
    ends: [u32; REMEMBERED],
}

/// How the event's name is written.
#[derive(Clone, Copy)]
enum Name {
    /// As it is read, or there is none.
    Plain,
    /// With escapes: it has not been compared with the reserved ones yet.
    Escaped,
}

impl Layout {
    /// Fills in an array: arguments, with a name before them or not. `None` when it is not JSON, or the name is reserved.
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
            // An argument takes a byte at least, so that there are no more of them than positions.
            count += 1;
            at = scan::whitespace(text, end);
            more = text.get(at) == Some(&b',');
            at += usize::from(more);
        }
        self.count = position(count);
        (text.get(at) == Some(&b']') && scan::whitespace(text, at + 1) == text.len()).then_some(written)
    }

    /// Fills in one value that is the whole payload.
    fn value(&mut self, text: &[u8], at: usize, max_depth: u32) -> Option<Name> {
        let end = scan::value(text, at, max_depth)?;
        let position_of_end = position(end);
        *self =
            Self { start: position(at), end: position_of_end, count: 1, ends: [position_of_end; REMEMBERED], ..*self };
        (scan::whitespace(text, end) == text.len()).then_some(Name::Plain)
    }

    /// Appends what a name with escapes says to the text, and takes it for the name from now on. `None` when it is reserved.
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

/// Evaluates the same with whatever reads the arguments of a payload.
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
    /// A payload from its JSON text, for parsers: `["name",...]` for an event, `[...]` for an ack, an object for CONNECT, an object or
    /// a string for CONNECT_ERROR. A placeholder in the text stands for one of the attachments; without attachments it is an object
    /// like any other.
    ///
    /// # Errors
    /// [`DecodeError::InvalidPayload`] when the text is not such JSON, is nested deeper than [`Limits::max_depth`], names a reserved
    /// event or is longer than 4 GiB; [`DecodeError::IllegalPlaceholder`] when a placeholder names no attachment.
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

    /// The payload of such a packet, that starts at `at` in the text and ends with it. `None` when it is none.
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
        // Positions take 32 bits.
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

    /// Where so many attachments belong; `None` when a placeholder stands for another. Only JSON has any.
    #[inline]
    fn places(&self, attachments: usize) -> Option<Few<Place>> {
        let (text, _) = self.json();
        let text = text.get(..self.layout.end as usize).unwrap_or_default();
        places::find(text, self.layout.start as usize, attachments)
    }

    /// Gives the payload its attachments, when it has come as JSON.
    fn attach(&mut self, attachments: Arc<Attached>) {
        match &mut self.source {
            Source::Json { attached, .. } => *attached = Some(attachments),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(_) => {}
        }
    }

    /// The JSON text, which is empty for a payload in another format, and what belongs to it.
    #[inline]
    fn json(&self) -> (&str, Option<&Attached>) {
        match &self.source {
            Source::Json { text, attached } => (text, attached.as_deref()),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(_) => ("", None),
        }
    }

    /// Whether the payload came as JSON. Else its texts are empty.
    #[inline]
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self.source, Source::Json { .. })
    }

    /// The event's name; `None` for a payload that is not an event's. A name that is a number is given as it was written. Half a
    /// surrogate pair, which JavaScript allows in a string, is given as U+FFFD.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let (start, end) = self.layout.name?;
        match &self.source {
            Source::Json { text, .. } => text.get(start as usize..end as usize),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => str::from_utf8(bytes.get(start as usize..end as usize)?).ok(),
        }
    }

    /// How many arguments there are; the name does not count.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.layout.count as usize
    }

    /// Whether there is no argument.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.layout.count == 0
    }

    /// The JSON text of each argument, in order. Nothing for a payload in another format.
    #[must_use]
    pub fn args(&self) -> RawArgs<'_> {
        let index = if self.is_json() { 0 } else { self.len() };
        RawArgs { text: self.json().0, layout: &self.layout, index, at: self.layout.start as usize }
    }

    /// The JSON text of one argument; `None` also for a payload in another format. The first four are found at once, others by reading the text up to them: use
    /// [`Payload::args`] for many.
    #[must_use]
    pub fn raw(&self, index: usize) -> Option<&str> {
        if index >= self.args().len() {
            return None;
        }
        // An argument starts where the one before it ends.
        let known = index.min(REMEMBERED);
        let Some(before) = known.checked_sub(1) else {
            return self.json().0.get(self.layout.start as usize..*self.layout.ends.first()? as usize);
        };
        let mut args = self.args();
        args.at = *self.layout.ends.get(before)? as usize;
        args.index = known;
        args.nth(index.checked_sub(known)?)
    }

    /// The JSON text of all arguments, with the commas between them and without brackets. Empty for a payload in another format.
    #[must_use]
    pub fn raw_args(&self) -> &str {
        self.json().0.get(self.layout.start as usize..self.layout.end as usize).unwrap_or_default()
    }

    /// Reads one argument, borrowing from the payload where the type allows (`&str` when the string has no escapes,
    /// `&serde_json::value::RawValue`).
    ///
    /// # Errors
    /// When there is no such argument, or it is not of this type. Reading gives up at 128 levels of nesting, also where
    /// [`Limits::max_depth`] allows more; and no string can hold half a surrogate pair.
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

    /// Reads all arguments: a tuple or array takes as many as it has members (further ones are ignored; members for which there is no
    /// argument are `None` where they can be), any other type takes the first, `()` takes none.
    ///
    /// # Errors
    /// When the arguments are not of this type; see [`Payload::get`].
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        with_args!(self, args => read(args))
    }

    /// The arguments as a tuple that serde writes, whatever format they came in: for writing them in another one.
    #[must_use]
    pub const fn values(&self) -> Values<'_> {
        Values(self)
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

    /// Writes the first argument; `None` when there is none.
    pub(crate) fn write_first<S: Serializer>(&self, serializer: S) -> Option<Result<S::Ok, S::Error>> {
        with_args!(self, mut args => Some(Transcoded::new(args.next()?).serialize(serializer)))
    }

    /// The same payload with memory of its own: for keeping. As it was received it keeps the block of memory alive that its message came
    /// in, which may be some kilobytes and shared with neighbours.
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

    /// Bytes that the payload keeps in memory: those of its text and of its attachments.
    #[must_use]
    pub fn size(&self) -> usize {
        let message = match &self.source {
            Source::Json { text, .. } => text.len(),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => bytes.len(),
        };
        self.attachments().iter().map(Bytes::len).fold(message, usize::saturating_add)
    }

    /// The attachments, in the order in which they came. Only JSON has any.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        self.json().1.map_or(&[], |attached| &attached.attachments)
    }

    /// The bytes that this argument is, when the argument as a whole is some, in any format. They are shared, not copied.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<Bytes> {
        match &self.source {
            Source::Json { .. } => self.attachment(index).cloned(),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(bytes) => self.layout.packed_bytes(bytes, index),
        }
    }

    /// The attachment that is this argument, when the argument as a whole is one.
    fn attachment(&self, index: usize) -> Option<&Bytes> {
        let (text, Some(attached)) = self.json() else { return None };
        attached.at(offset(text, self.raw(index)?))
    }

    /// All arguments as they came, in whatever format.
    fn bytes_of_args(&self) -> &[u8] {
        match &self.source {
            Source::Json { .. } => self.raw_args().as_bytes(),
            #[cfg(feature = "msgpack")]
            Source::MsgPack(_) => self.raw_args_msgpack().unwrap_or_default(),
        }
    }
}

/// Where a part of the text starts in it.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The same name, arguments and attachments, byte for byte.
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

/// The JSON text of each argument. Made by [`Payload::args`].
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

/// Arguments without attachments, each read by `serde_json` itself.
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

/// What can be sent as arguments: a tuple (or array) is the list of them, `()` is none, any other serialisable value is one; a
/// received [`Payload`] is relayed as it is, without being parsed.
pub trait Args {
    /// Hands the value to who writes it.
    ///
    /// # Errors
    /// Those of the sink.
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error>;
}

/// Who writes arguments: a parser.
pub trait ArgsSink: Sized {
    /// What comes of it.
    type Ok;
    /// What can go wrong.
    type Error;

    /// Writes a value by serde.
    ///
    /// # Errors
    /// When it has no form in this format.
    fn typed<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error>;

    /// Writes the arguments (not the name) of a payload that was received.
    ///
    /// # Errors
    /// When it came in another format.
    fn payload(self, payload: &Payload) -> Result<Self::Ok, Self::Error>;
}

impl<T: Serialize + ?Sized> Args for T {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.typed(self)
    }
}

impl Args for Payload {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.payload(self)
    }
}

impl Args for &Payload {
    fn feed<S: ArgsSink>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.payload(self)
    }
}
