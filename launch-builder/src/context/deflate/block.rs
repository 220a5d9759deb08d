//! Sequences gathered, and written as whichever kind of block is the smallest.

use super::bits::BitWriter;
use super::code::Code;
use super::matches::LONGEST;

mod header;
mod symbols;

use self::header::Header;
use self::symbols::{DISTANCES, LITERALS, distance_symbol, length_symbol};

/// A block ends after so many sequences. The fewer, the better it suits its bytes, and the
/// more is spent on saying how.
const SEQUENCES: usize = 12_000;

/// A block ends after so many bytes, however few sequences they are.
const BYTES: usize = 512 * 1024;

/// No code is longer. Four literals then fit between two flushes.
const LONGEST_CODE: u8 = 14;

/// The symbol that ends a block.
const END: usize = 256;

/// A stored block holds no more.
const STORED: usize = 0xFFFF;

/// Literals, then a match.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    literals: u32,
    length: u16,
    distance: u16,
}

/// A block in the making.
pub(super) struct Block {
    sequences: Vec<Sequence>,
    from: usize,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            sequences: Vec::with_capacity(SEQUENCES + BYTES / LONGEST),
            from: 0,
        }
    }

    /// Begins a block with the byte at `from`.
    pub(super) fn begin(&mut self, from: usize) {
        self.sequences.clear();
        self.from = from;
    }

    /// Whether a block that goes to `at` is large enough.
    #[inline(always)]
    pub(super) fn is_full(&self, at: usize) -> bool {
        self.sequences.len() >= SEQUENCES || at - self.from >= BYTES
    }

    /// Takes literals and a match of any length from 3 on, which is cut where DEFLATE cannot
    /// say it.
    #[inline(always)]
    pub(super) fn add(&mut self, literals: usize, length: usize, distance: usize) {
        let (mut literals, mut length) = (literals as u32, length);
        let distance = distance as u16;
        while length > LONGEST {
            // What is left over is a match, too.
            let part = if length < LONGEST + 3 {
                length - 3
            } else {
                LONGEST
            };
            self.sequences.push(Sequence {
                literals,
                length: part as u16,
                distance,
            });
            literals = 0;
            length -= part;
        }
        self.sequences.push(Sequence {
            literals,
            length: length as u16,
            distance,
        });
    }

    /// Writes the block, which goes to `to`; what is behind the last match are literals.
    pub(super) fn write(&self, data: &[u8], to: usize, out: &mut BitWriter<'_>) {
        let bytes = &data[self.from..to];
        if bytes.is_empty() {
            return;
        }
        let frequencies = self.count(bytes);
        let literals = Code::new(&frequencies.literals, LONGEST_CODE);
        let distances = Code::new(&frequencies.distances, LONGEST_CODE);
        let header = Header::new(&literals.lengths, &distances.lengths);
        let cost = header.cost() + frequencies.cost(&literals, &distances);
        let stored = 8 * (bytes.len() + 5 * bytes.len().div_ceil(STORED) + 1) as u64;
        if cost < stored {
            out.reserve(cost);
            header.write(out);
            self.encode(bytes, &literals, &distances, out);
        } else {
            bytes.chunks(STORED).for_each(|bytes| out.stored(bytes));
        }
    }

    fn count(&self, bytes: &[u8]) -> Frequencies {
        let mut frequencies = Frequencies {
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
            extra: 0,
        };
        let mut at = 0;
        for sequence in &self.sequences {
            let literals = sequence.literals as usize;
            frequencies.literals(&bytes[at..at + literals]);
            let (symbol, extra, _) = length_symbol(sequence.length);
            frequencies.literals[usize::from(symbol)] += 1;
            frequencies.extra += u64::from(extra);
            let (symbol, extra, _) = distance_symbol(sequence.distance);
            frequencies.distances[usize::from(symbol)] += 1;
            frequencies.extra += u64::from(extra);
            at += literals + usize::from(sequence.length);
        }
        frequencies.literals(&bytes[at..]);
        frequencies.literals[END] = 1;
        frequencies
    }

    fn encode(
        &self,
        bytes: &[u8],
        literals: &Code<LITERALS>,
        distances: &Code<DISTANCES>,
        out: &mut BitWriter<'_>,
    ) {
        let lengths = ready_lengths(literals);
        let bits: [(u16, u8); 256] =
            std::array::from_fn(|byte| (literals.bits[byte], literals.lengths[byte]));
        let mut at = 0;
        for sequence in &self.sequences {
            let run = sequence.literals as usize;
            write_literals(&bytes[at..at + run], &bits, out);
            let (code, count) = lengths[usize::from(sequence.length) & 0x1FF];
            out.put(code, u32::from(count));
            let (symbol, extra, rest) = distance_symbol(sequence.distance);
            let symbol = usize::from(symbol) % DISTANCES;
            let length = u32::from(distances.lengths[symbol]);
            let code = u32::from(distances.bits[symbol]) | u32::from(rest) << length;
            out.put(code, length + u32::from(extra));
            out.flush();
            at += run + usize::from(sequence.length);
        }
        write_literals(&bytes[at..], &bits, out);
        out.put(
            u32::from(literals.bits[END]),
            u32::from(literals.lengths[END]),
        );
        out.flush();
    }
}

/// Appends bytes as stored blocks, beginning and ending on a byte.
pub(super) fn store(bytes: &[u8], out: &mut Vec<u8>) {
    for bytes in bytes.chunks(STORED) {
        let length = u16::try_from(bytes.len()).expect("a stored block is short");
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(bytes);
    }
}

#[inline(always)]
fn write_literals(bytes: &[u8], bits: &[(u16, u8); 256], out: &mut BitWriter<'_>) {
    let put = |byte: u8, out: &mut BitWriter<'_>| {
        let (code, count) = bits[usize::from(byte)];
        out.put(u32::from(code), u32::from(count));
    };
    let mut fours = bytes.chunks_exact(4);
    for four in &mut fours {
        for byte in four {
            put(*byte, out);
        }
        out.flush();
    }
    for byte in fours.remainder() {
        put(*byte, out);
    }
    out.flush();
}

/// Code and extra bits of every length at once.
fn ready_lengths(literals: &Code<LITERALS>) -> [(u32, u8); 512] {
    let mut ready = [(0, 0); 512];
    for (length, ready) in ready.iter_mut().enumerate().take(LONGEST + 1).skip(3) {
        let (symbol, extra, rest) = length_symbol(length as u16);
        let symbol = usize::from(symbol);
        let count = literals.lengths[symbol];
        let bits = u32::from(literals.bits[symbol]) | u32::from(rest) << count;
        *ready = (bits, count + extra);
    }
    ready
}

struct Frequencies {
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
    /// Bits behind the codes.
    extra: u64,
}

impl Frequencies {
    #[inline(always)]
    fn literals(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.literals[usize::from(*byte)] += 1;
        }
    }

    fn cost(&self, literals: &Code<LITERALS>, distances: &Code<DISTANCES>) -> u64 {
        literals.cost(&self.literals) + distances.cost(&self.distances) + self.extra
    }
}
