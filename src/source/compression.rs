//! Which compression a content has, and its decompression as a stream: nothing is ever held whole.
//!
//! The first bytes decide. The extension is a hint: it tells skippable frames of LZ4 from those of Zstandard, and a
//! file that is named as compressed, but is neither that nor text, is an error rather than a table of noise.

use std::{
    ffi::OsStr,
    fmt::{self, Display},
    io::{self, BufRead, Read},
    path::Path,
};

/// How a content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// Zstandard (RFC 8878), one or more frames.
    Zstd,
    /// bzip2, one or more streams.
    Bzip2,
    /// The LZ4 frame format, one or more frames.
    Lz4,
}

impl Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        })
    }
}

/// How many bytes [`Compression::of_bytes`] wants to see: bzip2's magic is the longest.
pub(super) const MAGIC_BYTES: usize = 10;

const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// What follows `0x50..=0x5f` at the start of a skippable frame, of Zstandard and LZ4 alike.
const SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
/// What follows `BZh` and a digit: a block's or the stream's end's magic.
const BZIP2_BLOCK: &[u8] = &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const BZIP2_END: &[u8] = &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

impl Compression {
    /// What the extension of a name says.
    pub fn of_name(path: &Path) -> Self {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Self::Gzip,
            "zst" | "zstd" => Self::Zstd,
            "bz2" | "bzip2" => Self::Bzip2,
            "lz4" => Self::Lz4,
            _ => Self::None,
        }
    }

    /// What the first bytes say (10, or all), with what the name says for frames that two formats share.
    pub fn of_bytes(bytes: &[u8], named: Self) -> Self {
        let skippable = bytes.len() >= 4 && bytes[0] & 0xf0 == 0x50 && bytes[1..4] == *SKIPPABLE;
        if bytes.starts_with(GZIP) {
            Self::Gzip
        } else if bytes.starts_with(ZSTD) || skippable && named != Self::Lz4 {
            Self::Zstd
        } else if bytes.starts_with(LZ4) || skippable {
            Self::Lz4
        } else if is_bzip2(bytes) {
            Self::Bzip2
        } else {
            Self::None
        }
    }

    /// Whether more bytes after these few can make a compressed content of them.
    pub(super) fn is_open(bytes: &[u8]) -> bool {
        let skippable = [&[0x50], SKIPPABLE].concat();
        let masked: Vec<u8> = match bytes {
            [first, rest @ ..] => [&[first & 0xf0], rest].concat(),
            [] => Vec::new(),
        };
        [GZIP, ZSTD, LZ4]
            .iter()
            .any(|magic| magic.len() > bytes.len() && magic.starts_with(bytes))
            || skippable.len() > masked.len() && skippable.starts_with(&masked)
            || bytes.len() < MAGIC_BYTES && is_bzip2_so_far(bytes)
    }
}

fn is_bzip2(bytes: &[u8]) -> bool {
    bytes.len() >= MAGIC_BYTES && is_bzip2_so_far(bytes)
}

fn is_bzip2_so_far(bytes: &[u8]) -> bool {
    let signature = bytes.iter().zip(b"BZh").all(|(left, right)| left == right);
    let level = bytes
        .get(3)
        .is_none_or(|level| (b'1'..=b'9').contains(level));
    let rest = bytes.get(4..).unwrap_or_default();
    let same = |magic: &[u8]| rest.iter().zip(magic).all(|(left, right)| left == right);
    signature && level && (same(BZIP2_BLOCK) || same(BZIP2_END))
}

/// Whether bytes could be of a text in any common encoding: no control characters but those of layout.
pub(super) fn looks_like_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x20..=0x7e | 0x80..))
}

/// The name of a format that content is in, where its lines would be noise, and what to do about it.
pub(super) fn foreign_format(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const UNPACK: &str = "unpack it, or pipe what it holds in with `--from -`";
    const FORMATS: [(&[u8], &str); 5] = [
        (b"\xfd7zXZ\0", "xz"),
        (b"PK\x03\x04", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x1f\x9d", "compress (.Z)"),
        (b"\x02\x21\x4c\x18", "lz4 of the legacy format"),
    ];
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    let found = FORMATS.iter().find(|(magic, _)| head.starts_with(magic));
    found.map(|(_, name)| (*name, UNPACK))
}

/// Compressed bytes, to be read in pieces.
pub(super) type Packed = Box<dyn BufRead + Send>;

/// The content of compressed bytes, to the end of the last member, frame or stream.
///
/// Bytes that are no further member, and an end within a member, are errors after all that came before.
pub(super) struct Decompressor {
    decoder: Decoder,
}

enum Decoder {
    Plain(Packed),
    Gzip(Box<flate2::bufread::GzDecoder<Packed>>),
    Zstd(zstd::stream::read::Decoder<'static, Packed>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Packed>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<EndNoted>>),
    Done,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    /// No content.
    pub(super) fn empty() -> Self {
        Self {
            decoder: Decoder::Done,
        }
    }

    /// The content of `packed`.
    pub(super) fn new(compression: Compression, packed: Packed) -> io::Result<Self> {
        let decoder = match compression {
            Compression::None => Decoder::Plain(packed),
            Compression::Gzip => Decoder::Gzip(Box::new(flate2::bufread::GzDecoder::new(packed))),
            Compression::Zstd => Decoder::Zstd(zstd::stream::read::Decoder::with_buffer(packed)?),
            Compression::Bzip2 => Decoder::Bzip2(bzip2::bufread::MultiBzDecoder::new(packed)),
            Compression::Lz4 => {
                let mut packed = EndNoted {
                    packed,
                    ended: false,
                };
                packed.skip_frames()?;
                Decoder::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(packed)))
            }
        };
        Ok(Self { decoder })
    }

    /// After a member's end: goes on to the next, if there is one.
    fn next_gzip_member(&mut self) -> io::Result<()> {
        if let Decoder::Gzip(decoder) = std::mem::replace(&mut self.decoder, Decoder::Done) {
            let mut packed = decoder.into_inner();
            // Tapes and block devices pad with zeros, which gzip itself passes over in silence.
            if skip_zeros(&mut packed)? {
                let next = flate2::bufread::GzDecoder::new(packed);
                self.decoder = Decoder::Gzip(Box::new(next));
            }
        }
        Ok(())
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.decoder {
                Decoder::Plain(content) => return content.read(buffer),
                Decoder::Zstd(decoder) => return decoder.read(buffer),
                Decoder::Bzip2(decoder) => return decoder.read(buffer),
                Decoder::Gzip(decoder) => match decoder.read(buffer)? {
                    0 => self.next_gzip_member()?,
                    read => return Ok(read),
                },
                Decoder::Lz4(decoder) => match decoder.read(buffer)? {
                    0 if decoder.get_ref().ended => {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    0 if decoder.get_mut().skip_frames()? => self.decoder = Decoder::Done,
                    0 => {}
                    read => return Ok(read),
                },
                Decoder::Done => return Ok(0),
            }
        }
    }
}

/// Passes over zeros; false at the end.
fn skip_zeros(packed: &mut Packed) -> io::Result<bool> {
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let more = zeros == bytes.len();
        packed.consume(zeros);
        if !more {
            return Ok(true);
        }
    }
}

/// Compressed bytes that note when they were asked for more than there is. The LZ4 decoder takes an end between two
/// blocks of a frame for the frame's end: without this, a truncated file would pass for a whole one.
struct EndNoted {
    packed: Packed,
    ended: bool,
}

impl EndNoted {
    /// Between frames: passes over skippable ones. True at the end.
    fn skip_frames(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.packed.fill_buf()?;
            if bytes.is_empty() {
                return Ok(true);
            }
            // A magic that is split between two buffers is left to the decoder, which then names it.
            if bytes.len() < 8 || bytes[0] & 0xf0 != 0x50 || bytes[1..4] != *SKIPPABLE {
                return Ok(false);
            }
            let length = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let length = u64::from(length) + 8;
            if io::copy(&mut (&mut self.packed).take(length), &mut io::sink())? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Read for EndNoted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.packed.read(buffer)?;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}
