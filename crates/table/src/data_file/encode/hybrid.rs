//! Parquet's hybrid of run lengths and bit packing, for levels and dictionary indexes.

/// The bits that values from 0 to `max` take.
pub(super) fn bit_width(max: u32) -> u32 {
    u32::BITS - max.leading_zeros()
}

/// Appends `values`, of `width` bits each, to `out`.
///
/// Groups of eight are packed, unless two or more in a row are all of one value.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let (groups, rest) = values.as_chunks::<8>();
    let mut packed = 0;
    let mut index = 0;
    while index < groups.len() {
        let group = &groups[index];
        let equal = if is_run(group, group[0]) {
            1 + groups[index + 1..]
                .iter()
                .take_while(|next| is_run(*next, group[0]))
                .count()
        } else {
            0
        };
        if equal < 2 {
            index += 1;
            continue;
        }
        pack(&groups[packed..index], width, out);
        run(8 * equal, group[0], width, out);
        index += equal;
        packed = index;
    }
    // What fills up the last group is padding, which readers leave out by the count of values.
    let mut last = [0u32; 8];
    last[..rest.len()].copy_from_slice(rest);
    let tail = &groups[packed..];
    match (tail.is_empty(), rest.is_empty()) {
        (_, true) => pack(tail, width, out),
        (true, false) if is_run(rest, rest[0]) => run(rest.len(), rest[0], width, out),
        (_, false) => {
            header(tail.len() + 1, out);
            pack_groups(tail, width, out);
            pack_groups(&[last], width, out);
        }
    }
}

/// Appends a bitmap of `length` bits, from the least significant bit of its first byte, as values of
/// one bit.
pub(super) fn encode_bitmap(bits: &[u8], length: usize, out: &mut Vec<u8>) {
    let bytes = length.div_ceil(8);
    header(bytes, out);
    out.extend_from_slice(&bits[..bytes]);
}

/// Appends `count` times one value.
pub(super) fn run(count: usize, value: u32, width: u32, out: &mut Vec<u8>) {
    if count == 0 {
        return;
    }
    varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn is_run(values: &[u32], value: u32) -> bool {
    values
        .iter()
        .fold(0, |differs, next| differs | (next ^ value))
        == 0
}

fn pack(groups: &[[u32; 8]], width: u32, out: &mut Vec<u8>) {
    if !groups.is_empty() {
        header(groups.len(), out);
        pack_groups(groups, width, out);
    }
}

fn header(groups: usize, out: &mut Vec<u8>) {
    varint((groups as u64) << 1 | 1, out);
}

fn pack_groups(groups: &[[u32; 8]], width: u32, out: &mut Vec<u8>) {
    out.reserve(groups.len() * width as usize);
    for group in groups {
        let mut bits = 0u64;
        let mut filled = 0;
        for value in group {
            bits |= u64::from(*value) << filled;
            filled += width;
            if filled >= 32 {
                out.extend_from_slice(&(bits as u32).to_le_bytes());
                bits >>= 32;
                filled -= 32;
            }
        }
        // Eight values of `width` bits are `width` bytes: what is left is whole bytes.
        out.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
    }
}

/// Appends an unsigned LEB128 number.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
