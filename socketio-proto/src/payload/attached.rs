//! The attachments of a payload in JSON: how they are gathered, and where they belong.

use bytes::Bytes;
use engineio_proto::Arc;

use super::offset;
use crate::error::DecodeError;
use crate::few::Few;
use crate::json::de::Cursor;
use crate::json::places::{Place, Sought};
use crate::packet::Packet;

/// The attachments and where they belong.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(super) attachments: Few<Bytes>,
    pub(super) places: Few<Place>,
    /// The packet as long as some are missing. It waits in the memory that the attachments need anyway.
    waiting: Option<Waiting>,
}

/// A packet whose attachments have not all come.
#[derive(Debug)]
struct Waiting {
    packet: Packet,
    awaited: usize,
    bytes: usize,
    /// Whether its placeholders are known already.
    placed: bool,
}

impl Attached {
    pub(super) const fn new(attachments: Few<Bytes>, places: Few<Place>) -> Self {
        Self { attachments, places, waiting: None }
    }

    /// What keeps a packet until so many attachments have come, and what was sought in it.
    #[inline]
    pub(crate) fn awaited_by(packet: Packet, awaited: usize, sought: Sought) -> Arc<Self> {
        let places = sought.found();
        let waiting = Some(Waiting { packet, awaited, bytes: 0, placed: places.is_some() });
        // The limit on attachments is one on what is announced.
        let attachments = Few::with_capacity(awaited);
        Arc::new(Self { attachments, places: places.unwrap_or(Few::new()), waiting })
    }

    /// Takes an attachment. Gives the packet when it was the last one, else goes on waiting there.
    ///
    /// # Errors
    /// When there are more bytes now than these, or the packet has a placeholder for something else.
    #[inline]
    pub(crate) fn add(
        mut gathering: Arc<Self>,
        bytes: Bytes,
        max_bytes: usize,
        waits: &mut Option<Arc<Self>>,
    ) -> Result<Option<Packet>, DecodeError> {
        // As long as the packet waits in it, nobody else can have it.
        let Some(Self { attachments, places, waiting: slot }) = Arc::get_mut(&mut gathering) else {
            return Err(DecodeError::UnexpectedBinary);
        };
        let Some(waiting) = slot else { return Err(DecodeError::UnexpectedBinary) };
        waiting.bytes = waiting.bytes.saturating_add(bytes.len());
        if waiting.bytes > max_bytes {
            return Err(DecodeError::AttachmentsTooLarge);
        }
        attachments.push(bytes);
        if attachments.len() >= waiting.awaited
            && let Some(Waiting { mut packet, placed, .. }) = slot.take()
        {
            // An ACK may come without a payload; its attachments are then for nothing, as in the reference.
            if let Some(payload) = &mut packet.payload {
                if !placed {
                    *places = payload.places(attachments.len()).ok_or(DecodeError::IllegalPlaceholder)?;
                }
                payload.attach(gathering);
            }
            return Ok(Some(packet));
        }
        *waits = Some(gathering);
        Ok(None)
    }

    /// A copy with memory of its own.
    pub(super) fn detached(&self) -> Self {
        let mut attachments = Few::new();
        self.attachments.iter().for_each(|bytes| attachments.push(Bytes::copy_from_slice(bytes)));
        Self { attachments, places: self.places.clone(), waiting: None }
    }

    /// The attachment whose placeholder starts at this position.
    pub(super) fn at(&self, start: usize) -> Option<&Bytes> {
        let place = self.places.binary_search_by(|place| (place.start as usize).cmp(&start)).ok()?;
        self.attachments.get(self.places.get(place)?.index as usize)
    }

    pub(super) fn cursor<'de>(&'de self, text: &'de str, arg: &'de str) -> Cursor<'de> {
        Cursor::new(text, offset(text, arg), &self.places, &self.attachments)
    }
}
