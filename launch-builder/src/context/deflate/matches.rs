//! What both searches share: bytes compared eight at a time.

/// The longest match DEFLATE can say.
pub(super) const LONGEST: usize = 258;

/// How far back a match may lie.
pub(super) const WINDOW: usize = 32 * 1024;

/// How hard to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// So many places of a chain are compared.
    pub(super) depth: usize,
    /// A match this long is not improved on.
    pub(super) content: usize,
    /// A match this long ends the search for it.
    pub(super) nice: usize,
}

impl Effort {
    pub(super) const fn new(depth: usize, content: usize, nice: usize) -> Self {
        Self {
            depth,
            content,
            nice,
        }
    }
}

/// A match, of no length if there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) distance: usize,
}

impl Match {
    /// What it saves, roughly: a byte is about as much as eight times the distance.
    pub(super) fn worth(self) -> u32 {
        // Never below zero, as the shortest match is of three bytes.
        16 + 4 * self.length as u32 - self.distance.max(1).ilog2()
    }
}

/// Four bytes at a place that has them.
#[inline(always)]
pub(super) fn four(data: &[u8], at: usize) -> u32 {
    match data[at..].first_chunk() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}

/// Eight bytes at a place that has them.
#[inline(always)]
pub(super) fn eight(data: &[u8], at: usize) -> u64 {
    match data[at..].first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => 0,
    }
}

/// How many bytes at `before` and at `at` are the same, up to `most`. The first `length` are
/// known to be.
#[inline(always)]
pub(super) fn extend(data: &[u8], before: usize, at: usize, length: usize, most: usize) -> usize {
    let (one, other) = (&data[before..before + most], &data[at..at + most]);
    let mut length = length;
    while let (Some(a), Some(b)) = (
        one.get(length..).and_then(<[u8]>::first_chunk),
        other.get(length..).and_then(<[u8]>::first_chunk),
    ) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return length + (differ.trailing_zeros() >> 3) as usize;
        }
        length += 8;
    }
    while length < most && one[length] == other[length] {
        length += 1;
    }
    length
}
