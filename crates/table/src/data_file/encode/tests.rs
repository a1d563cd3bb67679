//! The pieces of the encoding that have rules of their own.

use super::{
    dictionary::Slots,
    extent::{Extent, Value},
    hybrid,
};

/// Reads the hybrid encoding back.
fn decode(bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
    let mut values = Vec::new();
    let mut at = 0;
    while values.len() < count {
        let (mut header, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[at];
            at += 1;
            header |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        if header & 1 == 1 {
            let groups = (header >> 1) as usize;
            let packed = &bytes[at..at + groups * width as usize];
            at += packed.len();
            for index in 0..groups * 8 {
                let bit = |bit: usize| u32::from(packed[bit / 8] >> (bit % 8) & 1);
                let start = index * width as usize;
                values.push(
                    (0..width as usize)
                        .map(|offset| bit(start + offset) << offset)
                        .sum(),
                );
            }
        } else {
            let length = width.div_ceil(8) as usize;
            let mut value = [0; 4];
            value[..length].copy_from_slice(&bytes[at..at + length]);
            at += length;
            values.extend(std::iter::repeat_n(
                u32::from_le_bytes(value),
                (header >> 1) as usize,
            ));
        }
    }
    assert_eq!(at, bytes.len(), "nothing is left over");
    values.truncate(count);
    values
}

#[test]
fn hybrid_runs_come_back_for_each_width() {
    for width in 0..=31 {
        let max = ((1u64 << width) - 1) as u32;
        let mut values = Vec::new();
        for (index, run) in [1usize, 7, 8, 9, 15, 16, 17, 3, 100, 1, 1, 24, 5]
            .into_iter()
            .enumerate()
        {
            let value = (index as u32).wrapping_mul(2_654_435_761) & max;
            values.extend(std::iter::repeat_n(value, run));
        }
        for length in [0, 1, 7, 8, 9, 16, 17, 64, values.len()] {
            let mut out = Vec::new();
            hybrid::encode(&values[..length], width, &mut out);
            assert_eq!(
                decode(&out, width, length),
                values[..length],
                "width {width}, length {length}"
            );
        }
    }
}

#[test]
fn equal_values_take_a_run() {
    let mut out = Vec::new();
    hybrid::encode(&[5; 800], 3, &mut out);
    assert_eq!(out, [0xC0, 0x0C, 5]);
}

#[test]
fn slots_find_each_value_again() {
    let mut slots = Slots::default();
    let mut values: Vec<u64> = Vec::new();
    // Hashes that meet often, so that probing and growing are tried.
    let hash = |value: u64| (value % 97) as u32;
    for round in 0..2 {
        for value in 0..3_000u64 {
            let same = |index: u32| values[index as usize] == value;
            let (index, new) = slots.find_or_insert(hash(value), values.len() as u32, same);
            assert_eq!((u64::from(index), new), (value, round == 0));
            if new {
                values.push(value);
            }
        }
    }
}

#[test]
fn extents_merge_to_what_holds_both() {
    let bytes = |min: &[u8], max: &[u8]| {
        Extent::new(Value::Bytes(min.to_vec()), Value::Bytes(max.to_vec()))
    };
    let mut extent = Extent::default();
    extent.merge(&Extent::default());
    assert_eq!(extent.ends(), None);
    extent.merge(&bytes(b"m", b"n"));
    extent.merge(&Extent::default());
    extent.merge(&bytes(b"ma", b"nn"));
    assert_eq!(extent, bytes(b"m", b"nn"));
    extent.merge(&bytes(b"", b"\xFF"));
    assert_eq!(extent, bytes(b"", b"\xFF"));
}
