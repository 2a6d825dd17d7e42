//! Masking (RFC 6455 section 5.3): every byte that a client sends is XORed with a key that changes with each frame.
//!
//! The server removes the mask at memory speed. The client needs keys that the application cannot predict. This crate has no random
//! device, so [`MaskKeys`] derives them from a secret that the caller provides.

use sha1::{Digest, Sha1};

/// Applies the mask `key` to `bytes`, or removes it: the operation is its own inverse. `bytes` must begin where the payload of the frame
/// begins.
#[inline]
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let narrow = u32::from_ne_bytes(key);
    // The key twice, so the byte order does not matter.
    let wide = u64::from(narrow) << 32 | u64::from(narrow);
    // Blocks of a fixed size compile to two or four vector instructions. The loops below handle at most 31 bytes.
    let (blocks, rest) = bytes.as_chunks_mut::<32>();
    for block in blocks {
        for word in block.as_chunks_mut::<8>().0 {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for half in halves {
        *half = (u32::from_ne_bytes(*half) ^ narrow).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Keys for the frames of a client, derived from a secret seed.
///
/// RFC 6455 section 5.3 requires keys that the author of the payload cannot predict. They are taken from SHA-1 over the seed and a
/// counter, five per digest.
#[derive(Clone)]
pub struct MaskKeys {
    seed: [u8; 16],
    digests: u64,
    /// The unused keys of the last digest.
    ready: [[u8; 4]; 5],
    left: u8,
}

impl MaskKeys {
    /// Creates keys from `seed`: 16 bytes of secure random numbers, for one connection only.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        Self { seed, digests: 0, ready: [[0; 4]; 5], left: 0 }
    }

    /// Returns the key of the next frame.
    pub fn next_key(&mut self) -> [u8; 4] {
        if self.left == 0 {
            let digest = Sha1::new().chain_update(self.seed).chain_update(self.digests.to_le_bytes()).finalize();
            self.digests = self.digests.wrapping_add(1);
            let (keys, _) = digest.as_slice().as_chunks::<4>();
            for (ready, key) in self.ready.iter_mut().zip(keys) {
                *ready = *key;
            }
            self.left = 5;
        }
        self.left = self.left.saturating_sub(1);
        self.ready.get(usize::from(self.left)).copied().unwrap_or_default()
    }
}

impl core::fmt::Debug for MaskKeys {
    /// Hides the secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MaskKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{MaskKeys, apply_mask};
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    #[test]
    fn every_length_is_masked_byte_by_byte() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..70_u8 {
            let plain: Vec<u8> = (0..length).collect();
            let expected: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, key);
            assert_eq!(masked, expected, "{length} bytes");
            apply_mask(&mut masked, key);
            assert_eq!(masked, plain);
        }
    }

    #[test]
    fn keys_repeat_for_the_same_seed_only() {
        let keys = |seed| {
            let mut source = MaskKeys::new([seed; 16]);
            (0..1000).map(|_| source.next_key()).collect::<Vec<_>>()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
        assert!(keys(1).into_iter().collect::<BTreeSet<_>>().len() > 990);
    }
}
