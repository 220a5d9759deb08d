//! As much of protobuf's wire format as the few messages here need.
//!
//! Format: protobuf's "Encoding" page. Unknown fields are passed over; what is malformed
//! ends a message early, as these are for people to read.

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(super) fn is_true(self) -> bool {
        matches!(self, Self::Number(number) if number != 0)
    }
}

/// The fields of a message, by number.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.varint()?;
            let value = match key & 7 {
                0 => Value::Number(self.varint()?),
                2 => {
                    let length = usize::try_from(self.varint()?).ok()?;
                    Value::Bytes(self.split(length)?)
                }
                // Numbers of a fixed width, which none of these messages has.
                1 => {
                    self.split(8)?;
                    continue;
                }
                5 => {
                    self.split(4)?;
                    continue;
                }
                _ => return None,
            };
            return Some((key >> 3, value));
        }
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.split(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn split(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }
}

/// Appends a field of bytes or text.
pub(super) fn put(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length > 0x7f {
        message.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).expect("seven bits"));
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_and_unknown_ones_passed_over() {
        // 1: 150, 2: fixed64, 3: "hi", 4: fixed32, 5: true
        let message = b"\x08\x96\x01\x11\0\0\0\0\0\0\0\0\x1a\x02hi\x25\0\0\0\0\x28\x01";
        let fields: Vec<_> = Fields(message).collect();
        let expected = [
            (1, Value::Number(150)),
            (3, Value::Bytes(b"hi")),
            (5, Value::Number(1)),
        ];
        assert_eq!(fields, expected);
        assert!(fields[2].1.is_true());
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut message = Vec::new();
            put(&mut message, 3, &bytes);
            prop_assert_eq!(Fields(&message).next(), Some((3, Value::Bytes(&bytes))));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields(&bytes).count() <= bytes.len());
        }
    }
}
