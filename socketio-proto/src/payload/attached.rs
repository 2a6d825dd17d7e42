//! The attachments of a JSON payload: collects them, and finds their placeholders.

use bytes::Bytes;
use engineio_proto::Arc;

use super::offset;
use crate::error::DecodeError;
use crate::few::Few;
use crate::json::de::Cursor;
use crate::json::places::{Place, Sought};
use crate::packet::Packet;

/// Attachments and the positions of their placeholders.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(super) attachments: Few<Bytes>,
    pub(super) places: Few<Place>,
    /// The packet, while attachments are missing. It is stored here because this allocation is needed for the attachments
    /// anyway.
    waiting: Option<Waiting>,
}

/// A packet with missing attachments.
#[derive(Debug)]
struct Waiting {
    packet: Packet,
    awaited: usize,
    bytes: usize,
    /// Whether the placeholders were already found.
    placed: bool,
}

impl Attached {
    pub(super) const fn new(attachments: Few<Bytes>, places: Few<Place>) -> Self {
        Self { attachments, places, waiting: None }
    }

    /// Creates the store for a packet with `awaited` missing attachments. `sought` contains the placeholders that were found so
    /// far.
    #[inline]
    pub(crate) fn awaited_by(packet: Packet, awaited: usize, sought: Sought) -> Arc<Self> {
        let places = sought.found();
        let waiting = Some(Waiting { packet, awaited, bytes: 0, placed: places.is_some() });
        // `awaited` was checked against the limit on attachments.
        let attachments = Few::with_capacity(awaited);
        Arc::new(Self { attachments, places: places.unwrap_or(Few::new()), waiting })
    }

    /// Adds an attachment. If it was the last one, returns the packet. Otherwise stores the incomplete packet in `waits`.
    ///
    /// # Errors
    /// If the attachments exceed `max_bytes` in total, or if a placeholder of the packet does not refer to an attachment.
    #[inline]
    pub(crate) fn add(
        mut gathering: Arc<Self>,
        bytes: Bytes,
        max_bytes: usize,
        waits: &mut Option<Arc<Self>>,
    ) -> Result<Option<Packet>, DecodeError> {
        // Nothing else references the `Arc` while it holds the incomplete packet.
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
            // An ACK may have no payload. Its attachments are then dropped, as in the reference.
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

    /// Copies the attachments into their own memory.
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
