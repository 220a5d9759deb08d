//! What a block says of its codes before it uses them: RFC 1951, section 3.2.7.

use super::super::bits::BitWriter;
use super::super::code::Code;
use super::symbols::{DISTANCES, LITERALS};

/// In this order, so that the rare ones are last and can be left away.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The lengths of both codes, ready to be written.
pub(super) struct Header {
    literals: usize,
    distances: usize,
    /// Symbols of the code for lengths, with the bits behind them.
    runs: Vec<(u8, u8)>,
    code: Code<19>,
    lengths: usize,
    cost: u64,
}

impl Header {
    pub(super) fn new(literals: &[u8; LITERALS], distances: &[u8; DISTANCES]) -> Self {
        let used = |lengths: &[u8], least: usize| {
            let last = lengths.iter().rposition(|length| *length > 0);
            last.map_or(least, |last| (last + 1).max(least))
        };
        let (l, d) = (used(literals, 257), used(distances, 1));
        let runs = runs(&[&literals[..l], &distances[..d]].concat());
        let mut frequencies = [0; 19];
        for (symbol, _) in &runs {
            frequencies[usize::from(*symbol)] += 1;
        }
        let code = Code::new(&frequencies, 7);
        let lengths = ORDER.iter().rposition(|symbol| code.lengths[*symbol] > 0);
        let lengths = lengths.map_or(4, |last| (last + 1).max(4));
        let extra: u64 = runs
            .iter()
            .map(|(symbol, _)| u64::from(extra(*symbol)))
            .sum();
        let cost = 3 + 5 + 5 + 4 + 3 * lengths as u64 + code.cost(&frequencies) + extra;
        Self {
            literals: l,
            distances: d,
            runs,
            code,
            lengths,
            cost,
        }
    }

    /// In bits.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    pub(super) fn write(&self, out: &mut BitWriter<'_>) {
        // Not the last block, kind 10.
        out.put(0b100, 3);
        out.put(self.literals as u32 - 257, 5);
        out.put(self.distances as u32 - 1, 5);
        out.put(self.lengths as u32 - 4, 4);
        for symbol in &ORDER[..self.lengths] {
            out.flush();
            out.put(u32::from(self.code.lengths[*symbol]), 3);
        }
        for (symbol, rest) in &self.runs {
            let at = usize::from(*symbol);
            out.flush();
            out.put(
                u32::from(self.code.bits[at]),
                u32::from(self.code.lengths[at]),
            );
            out.put(u32::from(*rest), extra(*symbol));
        }
        out.flush();
    }
}

/// The bits behind a symbol.
fn extra(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Lengths with their repetitions: 16 the last one 3 to 6 times more, 17 zero 3 to 10 times,
/// 18 zero 11 to 138 times.
fn runs(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(length) = lengths.get(at) {
        let same = lengths[at..]
            .iter()
            .take_while(|other| *other == length)
            .count();
        let (symbol, least, most) = match *length {
            0 if same < 11 => (17, 3, 10),
            0 => (18, 11, 138),
            _ => (16, 3, 6),
        };
        // The first of a run of others than zero stands for itself.
        let repeats_last = at > 0 && lengths[at - 1] == *length;
        if same >= least && (*length == 0 || repeats_last) {
            let count = same.min(most);
            runs.push((symbol, (count - least) as u8));
            at += count;
        } else {
            runs.push((*length, 0));
            at += 1;
        }
    }
    runs
}
