//! Decimal digits eight at a time: how many there are and what they say, without a branch a digit.
//!
//! How long a number is varies from record to record, so a loop over its digits is mispredicted at
//! its end more often than not; these have no loop.

const ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// Takes a byte over 9 to 0x80 and above.
const OVER_NINE: u64 = 0x7676_7676_7676_7676;

/// The first eight bytes, the first of them lowest; zeros stand for what is missing.
#[inline]
fn word(text: &[u8]) -> u64 {
    if let Some(eight) = text.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    let mut eight = [0; 8];
    eight[..text.len()].copy_from_slice(text);
    u64::from_le_bytes(eight)
}

/// Marks the bytes that, less `'0'`, are no digits.
#[inline]
fn others(values: u64) -> u64 {
    // The lower seven bits alone, lest a carry reach the next byte.
    (((values & !HIGH) + OVER_NINE) | values) & HIGH
}

/// How many digits a text starts with, up to eight.
#[inline]
pub(crate) fn count(text: &[u8]) -> usize {
    (others(word(text) ^ ZEROS).trailing_zeros() / 8) as usize
}

/// The number that the first `count` bytes of a text spell, 1 to 8 digits.
#[inline]
pub(crate) fn value(text: &[u8], count: usize) -> Option<u64> {
    if !(1..=8).contains(&count) {
        return None;
    }
    // What follows the digits is shifted out, and zeros are shifted in before them.
    let values = (word(text) ^ ZEROS) << (64 - 8 * count);
    if others(values) != 0 {
        return None;
    }
    // Neighbours are joined to pairs, pairs to fours, fours to all eight.
    let pairs = values * 10 + (values >> 8);
    let odd = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let even = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(odd.wrapping_add(even) >> 32)
}
