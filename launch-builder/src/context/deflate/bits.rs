//! Bits, the least significant first.

/// Appends bits to a vector.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the next whole byte goes; what is behind it is room.
    at: usize,
    bits: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Begins on a byte.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let at = out.len();
        Self {
            out,
            at,
            bits: 0,
            count: 0,
        }
    }

    /// Makes room for so many bits more. What goes beyond is lost.
    pub(super) fn reserve(&mut self, bits: u64) {
        let bytes = usize::try_from(bits / 8).expect("a block fits memory");
        self.out.resize(self.at + bytes + 16, 0);
    }

    /// Takes up to 56 bits between two calls of [`BitWriter::flush`].
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.bits |= u64::from(bits) << self.count;
        self.count += count;
    }

    /// Moves whole bytes out; fewer than 8 bits stay.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        if let Some(room) = self.out.get_mut(self.at..self.at + 8) {
            room.copy_from_slice(&self.bits.to_le_bytes());
        }
        self.at += (self.count >> 3) as usize;
        self.bits >>= self.count & !7;
        self.count &= 7;
    }

    /// Ends on a byte: an empty stored block, unless it ends on one as it is.
    pub(super) fn align(mut self) {
        self.reserve(64);
        self.flush();
        if self.count > 0 {
            self.stored_header(0);
        }
        self.out.truncate(self.at);
    }

    /// A stored block of fewer than 64 KiB.
    pub(super) fn stored(&mut self, bytes: &[u8]) {
        self.reserve(64);
        self.stored_header(u16::try_from(bytes.len()).expect("a stored block is short"));
        self.out.truncate(self.at);
        self.out.extend_from_slice(bytes);
        self.at = self.out.len();
    }

    fn stored_header(&mut self, length: u16) {
        // Not the last one, kind 00; then to the next byte.
        self.put(0, 3);
        self.count = self.count.next_multiple_of(8);
        self.flush();
        self.put(u32::from(length), 16);
        self.put(u32::from(!length), 16);
        self.flush();
    }
}
