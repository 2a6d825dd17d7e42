//! MessagePack payloads: finds and reads their arguments.

use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Layout, Payload, REMEMBERED, Rules, Source, position};
use crate::arguments::read::{ArgsReader, missing};
use crate::config::Limits;
use crate::error::{DecodeError, ReadError};
use crate::msgpack::de::Reader;
use crate::msgpack::scan::{self, Extension, Head};
use crate::packet::PacketType;

/// A value that the scanner has accepted, and that may be the payload of a packet. The type of the packet is not known yet.
#[derive(Debug)]
pub(crate) struct Data {
    start: usize,
    end: usize,
    head: Head,
    /// Start of the elements, if it is an array.
    first: usize,
    /// Ends of the first elements. One of them may be the event's name.
    ends: [u32; REMEMBERED + 1],
}

impl Data {
    /// A missing value, which is equivalent to `undefined`.
    pub(crate) const UNDEFINED: Self = Self {
        start: 0,
        end: 0,
        head: Head::Extension(Extension::Undefined, 0, 0),
        first: 0,
        ends: [0; REMEMBERED + 1],
    };

    /// Scans the value at `start`, nested at most `max_depth` deep. Returns the position after it.
    // Filled in place, because moving a struct of this size would take longer than the scan.
    #[inline]
    pub(crate) fn scan(&mut self, bytes: &[u8], start: usize, max_depth: u32) -> Option<usize> {
        let (head, first) = scan::head(bytes, start)?;
        (self.start, self.head, self.first, self.ends) = (start, head, first, [0; REMEMBERED + 1]);
        self.end = match head {
            Head::Array(_) => {
                let inner_depth = max_depth.checked_sub(1)?;
                let mut end = first;
                for index in 0..scan::values(bytes, first, head)? as usize {
                    end = scan::value(bytes, end, inner_depth)?;
                    if let Some(slot) = self.ends.get_mut(index) {
                        *slot = position(end);
                    }
                }
                end
            }
            _ => scan::value(bytes, start, max_depth)?,
        };
        Some(self.end)
    }

    /// Whether the value is `undefined`, which peers send in place of a missing value.
    pub(crate) const fn is_undefined(&self) -> bool {
        matches!(self.head, Head::Extension(Extension::Undefined, ..))
    }

    pub(crate) const fn is_nil(&self) -> bool {
        matches!(self.head, Head::Nil)
    }
}

impl Layout {
    /// Fills in the arguments of an array, with the event's name first if `named`.
    #[inline]
    fn packed_list(&mut self, data: &Data, count: u32, named: bool) -> Option<()> {
        let mut ends = data.ends.iter();
        (self.start, self.end, self.count) = (position(data.first), position(data.end), count);
        if named {
            self.count = count.checked_sub(1)?;
            self.start = *ends.next()?;
        }
        for (slot, &end) in self.ends.iter_mut().zip(ends) {
            *slot = end;
        }
        Some(())
    }
}

impl Payload {
    /// Creates a payload from its MessagePack encoding, for parsers. It is an array of the name and the arguments for an event,
    /// an array of the arguments for an ack, a map for CONNECT, and a map or a string for CONNECT_ERROR.
    ///
    /// # Errors
    /// [`DecodeError::InvalidPayload`] if the bytes are not exactly one such value, contain a string that is not UTF-8, are
    /// nested deeper than [`Limits::max_depth`], have a reserved event name, or are longer than 4 GiB.
    pub fn from_msgpack(packet_type: PacketType, bytes: Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let mut data = Data::UNDEFINED;
        u32::try_from(bytes.len())
            .ok()
            .and_then(|_| data.scan(&bytes, 0, limits.max_depth.into()))
            .filter(|&end| end == bytes.len())
            .and_then(|_| Self::packed(packet_type, bytes, &data))
            .ok_or(DecodeError::InvalidPayload)
    }

    /// Creates the payload of a packet from the scanned value `data` in `bytes`. Returns `None` if it is not valid for the
    /// packet type.
    #[inline]
    pub(crate) fn packed(packet_type: PacketType, mut bytes: Bytes, data: &Data) -> Option<Self> {
        let mut layout = Layout::default();
        match (packet_type, data.head) {
            (PacketType::Event, Head::Array(count)) => {
                layout.packed_list(data, count, true)?;
                layout.packed_name(&mut bytes, data.first)?;
            }
            (PacketType::Ack, Head::Array(count)) => layout.packed_list(data, count, false)?,
            (PacketType::Connect | PacketType::ConnectError, Head::Map(_))
            | (PacketType::ConnectError, Head::Text(_)) => {
                let end = position(data.end);
                (layout.start, layout.end, layout.count) = (position(data.start), end, 1);
                layout.ends = [end; REMEMBERED];
            }
            _ => return None,
        }
        Some(Self { source: Source::MsgPack(bytes), layout })
    }

    /// The MessagePack encoding of one argument; `None` if there is no such argument, or if the payload is in another format.
    /// The first four arguments are found in constant time, later ones by scanning the bytes before them.
    #[must_use]
    pub fn raw_msgpack(&self, index: usize) -> Option<&[u8]> {
        let Source::MsgPack(bytes) = &self.source else { return None };
        let start = self.layout.packed_start(bytes, index)?;
        bytes.get(start..self.layout.packed_end(bytes, index, start)?)
    }

    /// The MessagePack encoding of all arguments, one after the other; `None` if the payload is in another format.
    #[must_use]
    pub fn raw_args_msgpack(&self) -> Option<&[u8]> {
        let Source::MsgPack(bytes) = &self.source else { return None };
        bytes.get(self.layout.start as usize..self.layout.end as usize)
    }
}

impl Layout {
    /// Finds the event's name. A numeric name is appended to the bytes in digits. Returns `None` if the name is neither text
    /// nor an integer, or if it is reserved.
    #[inline]
    fn packed_name(&mut self, bytes: &mut Bytes, at: usize) -> Option<()> {
        let digits = match scan::head(bytes, at)? {
            (Head::Text(length), at) => {
                let (name, end) = scan::take(bytes, at, length)?;
                self.name = Some((position(at), position(end)));
                return (!Rules::V5.may_not_receive(name)).then_some(());
            }
            (Head::Unsigned(number), _) => number.to_string(),
            (Head::Negative(number), _) => number.to_string(),
            _ => return None,
        };
        let both: Vec<u8> = [bytes, digits.as_bytes()].concat();
        u32::try_from(both.len()).ok()?;
        self.name = Some((position(bytes.len()), position(both.len())));
        *bytes = both.into();
        Some(())
    }

    fn packed_start(&self, bytes: &[u8], index: usize) -> Option<usize> {
        if index >= self.count as usize {
            return None;
        }
        // An argument starts where the previous one ends.
        let known = index.min(REMEMBERED);
        let mut at = match known.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => self.start as usize,
        };
        for _ in known..index {
            at = scan::value(bytes, at, u32::MAX)?;
        }
        Some(at)
    }

    fn packed_end(&self, bytes: &[u8], index: usize, start: usize) -> Option<usize> {
        match self.ends.get(index) {
            Some(&end) => Some(end as usize),
            None => scan::value(bytes, start, u32::MAX),
        }
    }

    /// The bytes of an argument, if it is binary.
    pub(super) fn packed_bytes(&self, bytes: &Bytes, index: usize) -> Option<Bytes> {
        match scan::head(bytes, self.packed_start(bytes, index)?)? {
            (Head::Bytes(length) | Head::Extension(Extension::ArrayBuffer, _, length), at) => {
                let (found, _) = scan::take(bytes, at, length)?;
                Some(bytes.slice_ref(found))
            }
            _ => None,
        }
    }

    pub(super) fn packed_reader<'de>(&self, bytes: &'de [u8], index: usize) -> Result<Reader<'de>, ReadError> {
        self.packed_start(bytes, index).map(|at| Reader::new(bytes, at)).ok_or_else(missing)
    }

    /// All arguments.
    #[inline]
    pub(super) const fn packed_args<'de>(&self, bytes: &'de [u8]) -> PackedArgs<'de> {
        PackedArgs { reader: Reader::new(bytes, self.start as usize), left: self.count }
    }
}

/// Consecutive arguments.
pub(super) struct PackedArgs<'de> {
    reader: Reader<'de>,
    left: u32,
}

impl<'de> ArgsReader<'de> for PackedArgs<'de> {
    type Error = ReadError;
    type Value<'a>
        = &'a mut Reader<'de>
    where
        Self: 'a;

    #[inline]
    fn next(&mut self) -> Option<Self::Value<'_>> {
        self.left = self.left.checked_sub(1)?;
        Some(&mut self.reader)
    }
}
