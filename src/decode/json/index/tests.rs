use proptest::prelude::{Just, any, prop_assert_eq, prop_oneof, proptest};

use super::*;

/// The bytes that a backslash escapes, found one by one.
fn escaped_slowly(bytes: &[u8]) -> Vec<bool> {
    let mut escaped = vec![false; bytes.len()];
    for at in 1..bytes.len() {
        escaped[at] = bytes[at - 1] == b'\\' && !escaped[at - 1];
    }
    escaped
}

proptest! {
    #[test]
    fn the_bitmaps_say_what_a_look_at_each_byte_says(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(b'a'), any::<u8>()], 0..300),
        from in 0usize..70,
    ) {
        let from = from.min(bytes.len());
        let mut index = Index::default();
        index.build(&bytes, from, bytes.len());
        let escaped = escaped_slowly(&bytes[from..]);
        for at in from..bytes.len() {
            let next = (at..bytes.len()).find(|at| bytes[*at] == b'"' && !escaped[at - from]);
            prop_assert_eq!(index.next_quote(at), next);
            for end in at..bytes.len() {
                let part = &bytes[at..end];
                prop_assert_eq!(index.has_backslash(at, end), part.contains(&b'\\'));
                let special = part.iter().any(|byte| !(0x20..0x80).contains(byte));
                prop_assert_eq!(index.has_special(at, end), special);
            }
        }
    }
}
