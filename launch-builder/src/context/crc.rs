//! CRC-32 of parts put together: what gzip wants at the end of a member.

use flate2::Crc;

/// The polynomial of gzip (RFC 1952, section 8), reflected.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// The sum of bytes.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The sum of two parts, one after the other, from their sums and the length of the second:
/// the first is moved on by that many zero bytes.
pub(super) fn combine(first: u32, second: u32, length: u64) -> u32 {
    multiply(power(length), first) ^ second
}

/// `x` to the power of eight times `bytes`, modulo the polynomial.
fn power(bytes: u64) -> u32 {
    // The most significant bit is the coefficient of 1; x^8 is eight places to the right.
    let (mut square, mut product, mut left) = (1 << 23, 1 << 31, bytes);
    while left > 0 {
        if left & 1 == 1 {
            product = multiply(square, product);
        }
        square = multiply(square, square);
        left >>= 1;
    }
    product
}

fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut b) = (0, b);
    for bit in (0..32).rev() {
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = if b & 1 == 1 {
            b >> 1 ^ POLYNOMIAL
        } else {
            b >> 1
        };
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_sum_of_the_whole() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        for cut in [0, 1, 7, 255, 4096, 69_999, 70_000] {
            let (one, other) = bytes.split_at(cut);
            let combined = combine(crc32(one), crc32(other), other.len() as u64);
            assert_eq!(combined, crc32(&bytes), "{cut}");
        }
    }
}
