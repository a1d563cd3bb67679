//! What proves that a file still holds what was read of it: its first and its last 4 KiB before the position.

use frazil_table::state::FileIdentity;
use xxhash_rust::xxh3::xxh3_128;

/// How much of a file's beginning, and of what stands before a position, is hashed. Part of the table's format:
/// with less, files that share a header would be taken for one; with more, small files would be slower to find.
pub const PROOF_BYTES: usize = 4096;

/// The first and the last bytes of the content before a position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proof {
    head: Vec<u8>,
    tail: Vec<u8>,
    position: u64,
}

impl Proof {
    /// That of content of which these are all bytes.
    pub(super) fn of(content: &[u8]) -> Self {
        let mut proof = Self::default();
        proof.extend(content);
        proof
    }

    /// That of the content before `position`, from its first bytes and those just before `position`.
    pub(super) fn at(position: u64, head: Vec<u8>, tail: Vec<u8>) -> Self {
        debug_assert_eq!(tail.len() as u64, position.min(PROOF_BYTES as u64));
        debug_assert_eq!(head.len() as u64, position.min(PROOF_BYTES as u64));
        Self {
            head,
            tail,
            position,
        }
    }

    /// Moves the position over `bytes`.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if self.head.len() < PROOF_BYTES {
            let missing = (PROOF_BYTES - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..missing]);
        }
        if bytes.len() >= PROOF_BYTES {
            self.tail.clear();
            self.tail
                .extend_from_slice(&bytes[bytes.len() - PROOF_BYTES..]);
        } else {
            let surplus = (self.tail.len() + bytes.len()).saturating_sub(PROOF_BYTES);
            self.tail.drain(..surplus);
            self.tail.extend_from_slice(bytes);
        }
        self.position += bytes.len() as u64;
    }

    /// The content's first bytes, [`PROOF_BYTES`] or all.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The bytes before the position, [`PROOF_BYTES`] or all.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// How many bytes the proof is about.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether the last byte before the position ends a line (or there is none).
    pub(super) fn ends_line(&self) -> bool {
        self.tail.last().is_none_or(|&byte| byte == b'\n')
    }

    /// The tail's hash, as the table's state keeps it.
    pub(super) fn tail_hash(&self) -> String {
        hash(&self.tail)
    }

    /// What the table's state keeps of a file that was read up to the position.
    pub(super) fn identity(&self, path: &str, at_end: bool) -> FileIdentity {
        FileIdentity {
            path: path.to_owned(),
            head_length: self.head.len() as u64,
            head_hash: hash(&self.head),
            tail_hash: self.tail_hash(),
            at_end,
        }
    }
}

/// The 128-bit XXH3 as 32 hex digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}
