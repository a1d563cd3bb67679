//! Where the quotes of a stretch of JSON are, found for sixty-four bytes at a time before any of it is read.
//!
//! With these bitmaps the end of a string is one look at a word instead of a search, and whether it
//! holds escapes or bytes that need a closer look is another.

/// Bitmaps over a stretch of bytes, one bit a byte.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Where the stretch starts.
    base: usize,
    /// Quotes that no backslash escapes.
    quotes: Vec<u64>,
    backslashes: Vec<u64>,
    /// Bytes outside `0x20..0x80`: control characters, and parts of characters beyond ASCII.
    specials: Vec<u64>,
}

/// The bits of 64 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Masks {
    quotes: u64,
    backslashes: u64,
    specials: u64,
}

impl Index {
    /// Indexes `bytes[from..to]`.
    pub(super) fn build(&mut self, bytes: &[u8], from: usize, to: usize) {
        self.base = from;
        self.quotes.clear();
        self.backslashes.clear();
        self.specials.clear();
        let (blocks, rest) = bytes[from..to].as_chunks::<64>();
        let mut escape = 0;
        for block in blocks {
            self.push(masks(block), &mut escape);
        }
        if !rest.is_empty() {
            // Spaces: nothing that any bitmap marks.
            let mut block = [b' '; 64];
            block[..rest.len()].copy_from_slice(rest);
            self.push(masks(&block), &mut escape);
        }
    }

    #[inline]
    fn push(&mut self, masks: Masks, escape: &mut u64) {
        let mut quotes = masks.quotes;
        if masks.backslashes | *escape != 0 {
            quotes &= !escaped(masks.backslashes, escape);
        }
        self.quotes.push(quotes);
        self.backslashes.push(masks.backslashes);
        self.specials.push(masks.specials);
    }

    /// Where the stretch starts.
    pub(super) fn start(&self) -> usize {
        self.base
    }

    /// The first unescaped quote at or after `at`.
    #[inline]
    pub(super) fn next_quote(&self, at: usize) -> Option<usize> {
        let offset = at - self.base;
        let mut word = offset / 64;
        let mut bits = self.quotes.get(word)? & (u64::MAX << (offset % 64));
        while bits == 0 {
            word += 1;
            bits = *self.quotes.get(word)?;
        }
        Some(self.base + word * 64 + bits.trailing_zeros() as usize)
    }

    /// Whether there is a backslash in `start..end`.
    #[inline]
    pub(super) fn has_backslash(&self, start: usize, end: usize) -> bool {
        any(&self.backslashes, start - self.base, end - self.base)
    }

    /// Whether there is a control character or a byte beyond ASCII in `start..end`.
    #[inline]
    pub(super) fn has_special(&self, start: usize, end: usize) -> bool {
        any(&self.specials, start - self.base, end - self.base)
    }
}

/// Whether a bit of `start..end` is set.
#[inline]
fn any(words: &[u64], start: usize, end: usize) -> bool {
    if start >= end {
        return false;
    }
    let (first, last) = (start / 64, (end - 1) / 64);
    let head = u64::MAX << (start % 64);
    let tail = u64::MAX >> (63 - (end - 1) % 64);
    if first == last {
        return words[first] & head & tail != 0;
    }
    words[first] & head != 0
        || words[last] & tail != 0
        || words[first + 1..last].iter().any(|word| *word != 0)
}

/// The bytes that an odd number of backslashes precedes; `carry` is whether the next word's first is one.
#[inline]
fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    // A backslash that is itself escaped starts no escape.
    let starts = backslashes & !*carry;
    let follows = starts << 1 | *carry;
    let odd_starts = starts & !EVEN & !follows;
    let (ends, overflow) = odd_starts.overflowing_add(starts);
    *carry = u64::from(overflow);
    (EVEN ^ (ends << 1)) & follows
}

/// The bits of a block. Written so that the compiler turns each loop into a few vector instructions.
#[inline]
fn masks(block: &[u8; 64]) -> Masks {
    let mut masks = Masks {
        quotes: bits(block, |byte| byte == b'"'),
        ..Masks::default()
    };
    let mut rare = 0;
    for &byte in block {
        rare |= u8::from(byte == b'\\') | u8::from(is_special(byte));
    }
    if rare != 0 {
        masks.backslashes = bits(block, |byte| byte == b'\\');
        masks.specials = bits(block, is_special);
    }
    masks
}

fn is_special(byte: u8) -> bool {
    // Signed, bytes from 0x80 on are below 0x20, too.
    (byte as i8) < 0x20
}

/// One bit a byte: eight at a time are gathered into one byte by a multiplication.
#[inline]
fn bits(block: &[u8; 64], marked: impl Fn(u8) -> bool) -> u64 {
    let mut marks = [0u8; 64];
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = u8::from(marked(*byte));
    }
    let mut bits = 0;
    for (lane, eight) in marks.as_chunks::<8>().0.iter().enumerate() {
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * lane);
    }
    bits
}

#[cfg(test)]
mod tests;
