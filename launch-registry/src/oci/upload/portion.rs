//! How much of a blob goes into one request.
//!
//! All of it, at first: every registry takes that, and some (Google's) take nothing else.
//! Smaller requests ("Pushing a blob in chunks") are a way out: where a proxy limits the size
//! of a body, and where a broken connection lost everything, since what a finished request
//! brought is kept.

/// Tried one after the other where requests are too large. nginx takes 1 MiB if nobody says
/// otherwise.
const STEPS: [u64; 4] = [64 << 20, 16 << 20, 4 << 20, 1 << 20];
/// Who loses as much in one go sends less at a time.
const LOSS: u64 = 32 << 20;

/// The size of requests with a blob's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portion {
    /// The rest of the blob, whatever it is.
    Whole,
    /// This many bytes at most.
    Chunk(u64),
    /// As [`Portion::Whole`], since the registry does not know chunks.
    OnlyWhole,
}

impl Portion {
    pub(super) fn new(limit: Option<u64>) -> Self {
        limit.map_or(Self::Whole, Self::Chunk)
    }

    /// Where a request that begins at `start` ends, in a blob of this size.
    pub(super) fn end(self, start: u64, size: u64) -> u64 {
        match self {
            Self::Whole | Self::OnlyWhole => size,
            Self::Chunk(chunk) => size.min(start + chunk),
        }
    }

    /// After a request of `length` bytes was too large: a smaller one, if there is one.
    pub(super) fn smaller(self, length: u64) -> Option<Self> {
        if self == Self::OnlyWhole {
            return None;
        }
        STEPS
            .into_iter()
            .find(|step| *step < length)
            .map(Self::Chunk)
    }

    /// After `lost` bytes were sent in vain.
    pub(super) fn after_loss(self, lost: u64) -> Self {
        match self {
            Self::Whole if lost >= LOSS => Self::Chunk(LOSS),
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_smaller_until_they_cannot() {
        let mut portion = Portion::new(None);
        let (size, mut ends) = (200 << 20, Vec::new());
        loop {
            let end = portion.end(0, size);
            ends.push(end >> 20);
            match portion.smaller(end) {
                Some(smaller) => portion = smaller,
                None => break,
            }
        }
        assert_eq!(ends, [200, 64, 16, 4, 1]);
        assert_eq!(Portion::Chunk(4).end(9, 10), 10);
        assert_eq!(Portion::OnlyWhole.smaller(size), None);
    }

    #[test]
    fn only_large_losses_matter_and_only_where_chunks_are_known() {
        assert_eq!(Portion::Whole.after_loss(LOSS - 1), Portion::Whole);
        assert_eq!(Portion::Whole.after_loss(LOSS), Portion::Chunk(LOSS));
        assert_eq!(Portion::OnlyWhole.after_loss(LOSS), Portion::OnlyWhole);
    }
}
