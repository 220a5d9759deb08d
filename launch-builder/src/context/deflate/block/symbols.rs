//! The symbols of lengths and distances: RFC 1951, section 3.2.5.

/// Literals, the end of a block, lengths.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;

/// A symbol, how many bits come behind its code, and what they are.
pub(super) type Symbol = (u16, u8, u16);

/// For a length from 3 to 258.
#[inline(always)]
pub(super) fn length_symbol(length: u16) -> Symbol {
    LENGTH_SYMBOLS[usize::from(length) & 0x1FF]
}

/// For a distance from 1 to 32768.
#[inline(always)]
pub(super) fn distance_symbol(distance: u16) -> Symbol {
    let from_zero = distance.wrapping_sub(1);
    if from_zero < 4 {
        return (from_zero, 0, 0);
    }
    // Each power of two is halved: two symbols, told apart by the bit behind the first.
    let power = 15 - from_zero.leading_zeros() as u16;
    let extra = power - 1;
    let symbol = 2 * power + (from_zero >> extra & 1);
    (symbol, extra as u8, from_zero & ((1 << extra) - 1))
}

static LENGTH_SYMBOLS: [Symbol; 512] = length_symbols();

const fn length_symbols() -> [Symbol; 512] {
    let mut symbols = [(0, 0, 0); 512];
    let (mut length, mut symbol, mut extra) = (3, 257, 0);
    while symbol < 285 {
        let mut rest = 0;
        while rest < 1 << extra {
            symbols[length] = (symbol, extra, rest);
            length += 1;
            rest += 1;
        }
        // After the first eight, four of each width.
        if symbol >= 264 && symbol % 4 == 0 {
            extra += 1;
        }
        symbol += 1;
    }
    symbols[258] = (285, 0, 0);
    symbols
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_rfc() {
        for (length, symbol) in [
            (3, (257, 0, 0)),
            (10, (264, 0, 0)),
            (11, (265, 1, 0)),
            (12, (265, 1, 1)),
            (13, (266, 1, 0)),
            (18, (268, 1, 1)),
            (19, (269, 2, 0)),
            (66, (276, 3, 7)),
            (67, (277, 4, 0)),
            (131, (281, 5, 0)),
            (257, (284, 5, 30)),
            (258, (285, 0, 0)),
        ] {
            assert_eq!(length_symbol(length), symbol, "{length}");
        }
    }

    #[test]
    fn distances_are_those_of_the_rfc() {
        for (distance, symbol) in [
            (1, (0, 0, 0)),
            (4, (3, 0, 0)),
            (5, (4, 1, 0)),
            (6, (4, 1, 1)),
            (7, (5, 1, 0)),
            (9, (6, 2, 0)),
            (13, (7, 2, 0)),
            (257, (16, 7, 0)),
            (24577, (29, 13, 0)),
            (32768, (29, 13, 8191)),
        ] {
            assert_eq!(distance_symbol(distance), symbol, "{distance}");
        }
    }
}
