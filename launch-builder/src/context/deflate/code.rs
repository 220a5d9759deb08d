//! Huffman codes of limited length, canonical as RFC 1951, section 3.2.2, numbers them.

/// A code: the bits of every symbol and how many they are.
#[derive(Debug)]
pub(super) struct Code<const SYMBOLS: usize> {
    pub(super) lengths: [u8; SYMBOLS],
    /// Reversed, as the first bit of a code is the most significant one.
    pub(super) bits: [u16; SYMBOLS],
}

impl<const SYMBOLS: usize> Code<SYMBOLS> {
    /// The shortest code for these frequencies in which no symbol takes more than `most` bits.
    /// At least two symbols get one, as some readers want a whole tree.
    pub(super) fn new(frequencies: &[u32; SYMBOLS], most: u8) -> Self {
        let mut used: Vec<(u32, u16)> = Vec::with_capacity(SYMBOLS);
        for (symbol, frequency) in (0_u16..).zip(frequencies) {
            if *frequency > 0 {
                used.push((*frequency, symbol));
            }
        }
        for symbol in 0.. {
            if used.len() >= 2 {
                break;
            }
            if used.iter().all(|(_, other)| *other != symbol) {
                used.push((1, symbol));
            }
        }
        used.sort_unstable();
        let mut counts = count_by_length(&used);
        limit(&mut counts, most);
        Self::numbered(assign(&used, &counts))
    }

    /// The canonical code of these lengths.
    pub(super) fn numbered(lengths: [u8; SYMBOLS]) -> Self {
        let mut bits = [0; SYMBOLS];
        let mut first = first_codes(&lengths);
        for (bits, length) in bits.iter_mut().zip(lengths) {
            if length > 0 {
                let code = &mut first[usize::from(length)];
                *bits = code.reverse_bits() >> (16 - length);
                *code += 1;
            }
        }
        Self { lengths, bits }
    }

    /// The bits all symbols take, each as often as it comes.
    pub(super) fn cost(&self, frequencies: &[u32; SYMBOLS]) -> u64 {
        let costs = frequencies.iter().zip(self.lengths);
        costs
            .map(|(frequency, length)| u64::from(*frequency) * u64::from(length))
            .sum()
    }
}

/// How many symbols have a code of each length, without a limit: Huffman's tree, built in
/// place from frequencies in rising order (A. Moffat, J. Katajainen, 1995).
fn count_by_length(used: &[(u32, u16)]) -> [u32; 33] {
    let mut nodes: Vec<u32> = used.iter().map(|(frequency, _)| *frequency).collect();
    let count = nodes.len();
    // First the weight of each inner node, and for those that have one already, their parent.
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..count - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf < count && (inner >= node || nodes[leaf] <= nodes[inner]) {
                weight += nodes[leaf];
                leaf += 1;
            } else {
                weight += nodes[inner];
                nodes[inner] = u32::try_from(node).expect("symbols are few");
                inner += 1;
            }
        }
        nodes[node] = weight;
    }
    // Then the depth of each, from the root down; what is no inner node is a leaf.
    let mut counts = [0; 33];
    nodes[count - 2] = 0;
    for node in (0..count - 2).rev() {
        nodes[node] = nodes[nodes[node] as usize] + 1;
    }
    let (mut free, mut depth, mut node) = (1, 0, count - 1);
    while free > 0 {
        let mut inner = 0;
        while node > 0 && nodes[node - 1] == depth {
            inner += 1;
            node -= 1;
        }
        counts[depth.min(32) as usize] += free - inner;
        free = 2 * inner;
        depth += 1;
    }
    counts
}

/// Shortens codes longer than `most` and lengthens others until all fit again.
fn limit(counts: &mut [u32; 33], most: u8) {
    let most = usize::from(most);
    let too_long: u32 = counts[most + 1..].iter().sum();
    counts[most] += too_long;
    counts[most + 1..].fill(0);
    let full = 1_u64 << most;
    let taken = |counts: &[u32; 33]| -> u64 {
        (1..=most)
            .map(|length| u64::from(counts[length]) << (most - length))
            .sum()
    };
    let mut over = taken(counts).saturating_sub(full);
    while over > 0 {
        // A longest code becomes the sibling of the longest one that is shorter.
        let shorter = (1..most).rev().find(|length| counts[*length] > 0);
        let shorter = shorter.expect("fewer symbols than codes of the greatest length");
        counts[most] -= 1;
        counts[shorter] -= 1;
        counts[shorter + 1] += 2;
        over -= 1;
    }
}

/// The longest codes to the rarest symbols.
fn assign<const SYMBOLS: usize>(used: &[(u32, u16)], counts: &[u32; 33]) -> [u8; SYMBOLS] {
    let mut lengths = [0; SYMBOLS];
    let mut rarest_first = used.iter();
    for length in (1..=16_u8).rev() {
        let count = counts[usize::from(length)] as usize;
        for (_, symbol) in rarest_first.by_ref().take(count) {
            lengths[usize::from(*symbol)] = length;
        }
    }
    lengths
}

fn first_codes(lengths: &[u8]) -> [u16; 17] {
    let mut counts = [0_u16; 17];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let mut first = [0_u16; 17];
    for length in 1..17 {
        first[length] = first[length - 1].wrapping_add(counts[length - 1]) << 1;
    }
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every symbol that comes has a code, the code is whole, and no code is too long.
        #[test]
        fn codes_are_whole_and_short_enough(
            frequencies in prop::array::uniform32(prop_oneof![Just(0_u32), 1..9_u32, 1..60_000_u32]),
            most in 6..=15_u8,
        ) {
            let code = Code::new(&frequencies, most);
            let mut kraft = 0_u64;
            for (frequency, length) in frequencies.iter().zip(code.lengths) {
                prop_assert!(length <= most);
                prop_assert!(*frequency == 0 || length > 0);
                if length > 0 {
                    kraft += 1 << (most - length);
                }
            }
            prop_assert_eq!(kraft, 1 << most);
        }
    }

    /// Frequencies of Fibonacci make the deepest tree there is.
    #[test]
    fn a_deep_tree_is_cut() {
        let mut frequencies = [0_u32; 32];
        let (mut one, mut other) = (1, 1);
        for frequency in &mut frequencies {
            *frequency = one;
            (one, other) = (other, one + other);
        }
        assert_eq!(Code::new(&frequencies, 9).lengths.iter().max(), Some(&9));
        assert_eq!(Code::new(&frequencies, 15).lengths.iter().max(), Some(&15));
    }

    /// The example of RFC 1951, section 3.2.2.
    #[test]
    fn codes_are_numbered_as_the_rfc_does() {
        let code = Code::numbered([3, 3, 3, 3, 3, 2, 4, 4]);
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111];
        for ((bits, length), expected) in code.bits.iter().zip(code.lengths).zip(expected) {
            assert_eq!(bits.reverse_bits() >> (16 - length), expected);
        }
    }
}
