//! Thrift's strict binary protocol, for values of which nothing but their types is known.
//!
//! What is read as a [`Value`] is written again as the same bytes' meaning, fields that nobody here
//! has heard of included: a table goes from the metastore through a commit and back without losing
//! what another client, of a newer Hive, keeps in it.
//!
//! Guarantees: no bytes panic; what is built is bounded by [`Limits`], whatever lengths a message
//! claims to have; a message that arrives in pieces is looked at once.

use std::fmt;

/// Thrift's codes of types.
pub(super) mod kind {
    pub(crate) const STOP: u8 = 0;
    pub(crate) const BOOL: u8 = 2;
    pub(crate) const I8: u8 = 3;
    pub(crate) const DOUBLE: u8 = 4;
    pub(crate) const I16: u8 = 6;
    pub(crate) const I32: u8 = 8;
    pub(crate) const I64: u8 = 10;
    pub(crate) const BYTES: u8 = 11;
    pub(crate) const STRUCT: u8 = 12;
    pub(crate) const MAP: u8 = 13;
    pub(crate) const SET: u8 = 14;
    pub(crate) const LIST: u8 = 15;
}

/// The upper half of a strict message's first word; the lower holds the message's type.
const VERSION: u32 = 0x8001_0000;
const CALL: u32 = 1;
const REPLY: u32 = 2;
const EXCEPTION: u32 = 3;

/// The fields of a struct, in their order, by their ids.
pub(super) type Fields = Vec<(i16, Value)>;

/// A value of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    /// A double's bits, so that all of them come back.
    Double(u64),
    /// A string is bytes, too: not all are in UTF-8.
    Bytes(Vec<u8>),
    Struct(Fields),
    List(u8, Vec<Value>),
    Set(u8, Vec<Value>),
    Map(u8, u8, Vec<(Value, Value)>),
}

/// What a message that is read may hold at most.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "a limit's name ends in max")]
pub(super) struct Limits {
    /// A longer one is none of ours.
    pub(super) bytes_max: usize,
    /// Values of all kinds. Each takes some 40 bytes of memory, though one on the wire may do.
    pub(super) values_max: usize,
    /// Values within values.
    pub(super) depth_max: usize,
}

/// For replies of a metastore: a table of 10,000 columns has some 40,000 values.
pub(super) const REPLY_LIMITS: Limits = Limits {
    bytes_max: 32 * 1024 * 1024,
    values_max: 1_000_000,
    depth_max: 32,
};

/// Bytes that are no message, or one beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) name: Vec<u8>,
    pub(super) sequence: i32,
    pub(super) body: Body,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// The method's result (field 0) or one of its exceptions.
    Result(Fields),
    /// Thrift's own exception: no such method, or one that the method does not declare.
    Application(Fields),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    /// A map of strings.
    pub(super) fn texts<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (Self::text(key), Self::text(value)))
            .collect();
        Self::Map(kind::BYTES, kind::BYTES, pairs)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(_) => kind::BOOL,
            Self::I8(_) => kind::I8,
            Self::I16(_) => kind::I16,
            Self::I32(_) => kind::I32,
            Self::I64(_) => kind::I64,
            Self::Double(_) => kind::DOUBLE,
            Self::Bytes(_) => kind::BYTES,
            Self::Struct(_) => kind::STRUCT,
            Self::List(..) => kind::LIST,
            Self::Set(..) => kind::SET,
            Self::Map(..) => kind::MAP,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => to.push(u8::from(*value)),
            Self::I8(value) => to.extend(value.to_be_bytes()),
            Self::I16(value) => to.extend(value.to_be_bytes()),
            Self::I32(value) => to.extend(value.to_be_bytes()),
            Self::I64(value) => to.extend(value.to_be_bytes()),
            Self::Double(bits) => to.extend(bits.to_be_bytes()),
            Self::Bytes(bytes) => {
                write_length(bytes.len(), to);
                to.extend(bytes);
            }
            Self::Struct(fields) => write_fields(fields, to),
            Self::List(kind, values) | Self::Set(kind, values) => {
                to.push(*kind);
                write_length(values.len(), to);
                for value in values {
                    value.write(to);
                }
            }
            Self::Map(key_kind, value_kind, pairs) => {
                to.extend([*key_kind, *value_kind]);
                write_length(pairs.len(), to);
                for (key, value) in pairs {
                    key.write(to);
                    value.write(to);
                }
            }
        }
    }
}

/// The field of that id.
pub(super) fn field(fields: &[(i16, Value)], id: i16) -> Option<&Value> {
    fields
        .iter()
        .find_map(|(found, value)| (*found == id).then_some(value))
}

/// A call of a method.
pub(super) fn call(method: &str, sequence: i32, arguments: &[(i16, Value)]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1024);
    message.extend((VERSION | CALL).to_be_bytes());
    write_length(method.len(), &mut message);
    message.extend(method.as_bytes());
    message.extend(sequence.to_be_bytes());
    write_fields(arguments, &mut message);
    message
}

fn write_length(length: usize, to: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("what was read, or made here, is far shorter");
    to.extend(length.to_be_bytes());
}

fn write_fields(fields: &[(i16, Value)], to: &mut Vec<u8>) {
    for (id, value) in fields {
        to.push(value.kind());
        to.extend(id.to_be_bytes());
        value.write(to);
    }
    to.push(kind::STOP);
}

/// Finds the end of a reply that arrives in pieces, without building anything of it.
#[derive(Debug)]
pub(super) struct Scanner {
    limits: Limits,
    /// Up to where the bytes were looked at.
    at: usize,
    values: usize,
    open: Vec<Open>,
}

/// What the scanner is in the middle of, the innermost last.
#[derive(Debug, Clone, Copy)]
enum Open {
    Header,
    Value(u8),
    Fields,
    /// Elements of a list or set (one kind twice), or keys and values of a map by turns.
    Elements {
        kinds: [u8; 2],
        left: u64,
    },
}

impl Scanner {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: 0,
            values: 0,
            open: vec![Open::Header],
        }
    }

    /// Looks at what was not looked at yet of `bytes`, which hold all that arrived so far. Some: the
    /// reply is complete, and that long.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while let Some(open) = self.open.last().copied() {
            let rest = &bytes[self.at..];
            let progress = match open {
                Open::Header => self.header(rest)?,
                Open::Value(kind) => self.value(kind, rest)?,
                Open::Fields => self.field(rest)?,
                Open::Elements { kinds, left } => self.element(kinds, left)?,
            };
            if !progress {
                return Ok(None);
            }
        }
        Ok(Some(self.at))
    }

    fn header(&mut self, rest: &[u8]) -> Result<bool, Malformed> {
        if !self.has(rest, 4)? {
            return Ok(false);
        }
        let version = u32_at(rest, 0);
        if version & 0xffff_0000 != VERSION || !matches!(version & 0xff, REPLY | EXCEPTION) {
            return Err(Malformed(
                "what answered does not speak Thrift's binary protocol",
            ));
        }
        let Some(name) = self.length(rest, 4)? else {
            return Ok(false);
        };
        if !self.has(rest, 12 + name)? {
            return Ok(false);
        }
        self.at += 12 + name;
        self.open.pop();
        self.open(kind::STRUCT)?;
        Ok(true)
    }

    fn value(&mut self, kind: u8, rest: &[u8]) -> Result<bool, Malformed> {
        let used = match kind {
            kind::BOOL | kind::I8 => 1,
            kind::I16 => 2,
            kind::I32 => 4,
            kind::I64 | kind::DOUBLE => 8,
            kind::BYTES => match self.length(rest, 0)? {
                Some(length) => 4 + length,
                None => return Ok(false),
            },
            kind::STRUCT => 0,
            kind::LIST | kind::SET => 5,
            kind::MAP => 6,
            _ => return Err(Malformed("a value has a type that Thrift does not have")),
        };
        if !self.has(rest, used)? {
            return Ok(false);
        }
        self.at += used;
        self.open.pop();
        match kind {
            kind::STRUCT => self.open.push(Open::Fields),
            kind::LIST | kind::SET => self.elements([rest[0], rest[0]], u32_at(rest, 1), 1)?,
            kind::MAP => self.elements([rest[0], rest[1]], u32_at(rest, 2), 2)?,
            _ => {}
        }
        Ok(true)
    }

    fn field(&mut self, rest: &[u8]) -> Result<bool, Malformed> {
        if !self.has(rest, 1)? {
            return Ok(false);
        }
        if rest[0] == kind::STOP {
            self.at += 1;
            self.open.pop();
            return Ok(true);
        }
        if !self.has(rest, 3)? {
            return Ok(false);
        }
        self.at += 3;
        self.open(rest[0])?;
        Ok(true)
    }

    fn elements(&mut self, kinds: [u8; 2], count: u32, each: u64) -> Result<(), Malformed> {
        let left = u64::from(count) * each;
        if left > (self.limits.values_max - self.values) as u64 {
            return Err(Malformed("it holds too many values"));
        }
        self.open.push(Open::Elements { kinds, left });
        Ok(())
    }

    fn element(&mut self, kinds: [u8; 2], left: u64) -> Result<bool, Malformed> {
        self.open.pop();
        if left > 0 {
            let left = left - 1;
            self.open.push(Open::Elements { kinds, left });
            // A map's count is even, so that a key comes first.
            self.open(kinds[usize::from(left.is_multiple_of(2))])?;
        }
        Ok(true)
    }

    fn open(&mut self, kind: u8) -> Result<(), Malformed> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(Malformed("it holds too many values"));
        }
        if self.open.len() >= self.limits.depth_max {
            return Err(Malformed("its values are nested too deeply"));
        }
        self.open.push(Open::Value(kind));
        Ok(())
    }

    /// Whether that many bytes are there; an error where they may not be.
    fn has(&self, rest: &[u8], bytes: usize) -> Result<bool, Malformed> {
        if self.at.saturating_add(bytes) > self.limits.bytes_max {
            return Err(Malformed("it is too long"));
        }
        Ok(rest.len() >= bytes)
    }

    fn length(&self, rest: &[u8], at: usize) -> Result<Option<usize>, Malformed> {
        if !self.has(rest, at + 4)? {
            return Ok(None);
        }
        let length = u32_at(rest, at) as usize;
        if length > self.limits.bytes_max {
            return Err(Malformed("it is too long"));
        }
        Ok(Some(length))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a whole reply, within the limits.
pub(super) fn read(bytes: &[u8], limits: Limits) -> Result<Message, Malformed> {
    if Scanner::new(limits).advance(bytes)? != Some(bytes.len()) {
        return Err(Malformed("it is not one whole reply"));
    }
    let mut reader = Reader { rest: bytes };
    let version = reader.u32()?;
    let name = reader.bytes()?;
    let sequence = reader.u32()?.cast_signed();
    let fields = reader.fields()?;
    let body = if version & 0xff == REPLY {
        Body::Result(fields)
    } else {
        Body::Application(fields)
    };
    Ok(Message {
        name,
        sequence,
        body,
    })
}

/// Builds values of bytes that a [`Scanner`] has passed: they are complete, and within the limits.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn kind(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[kind]| kind)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = self.u32()? as usize;
        Ok(self.take(length)?.to_vec())
    }

    fn fields(&mut self) -> Result<Fields, Malformed> {
        let mut fields = Vec::new();
        loop {
            let kind = self.kind()?;
            if kind == kind::STOP {
                return Ok(fields);
            }
            let id = i16::from_be_bytes(self.array()?);
            fields.push((id, self.value(kind)?));
        }
    }

    fn value(&mut self, kind: u8) -> Result<Value, Malformed> {
        Ok(match kind {
            kind::BOOL => Value::Bool(self.kind()? != 0),
            kind::I8 => Value::I8(i8::from_be_bytes(self.array()?)),
            kind::I16 => Value::I16(i16::from_be_bytes(self.array()?)),
            kind::I32 => Value::I32(i32::from_be_bytes(self.array()?)),
            kind::I64 => Value::I64(i64::from_be_bytes(self.array()?)),
            kind::DOUBLE => Value::Double(u64::from_be_bytes(self.array()?)),
            kind::BYTES => Value::Bytes(self.bytes()?),
            kind::STRUCT => Value::Struct(self.fields()?),
            kind::LIST => self.elements().map(|(kind, all)| Value::List(kind, all))?,
            kind::SET => self.elements().map(|(kind, all)| Value::Set(kind, all))?,
            kind::MAP => {
                let [keys, values] = self.array()?;
                let count = self.u32()?;
                let pairs = (0..count)
                    .map(|_| Ok((self.value(keys)?, self.value(values)?)))
                    .collect::<Result<_, Malformed>>()?;
                Value::Map(keys, values, pairs)
            }
            _ => return Err(Malformed("a value has a type that Thrift does not have")),
        })
    }

    fn elements(&mut self) -> Result<(u8, Vec<Value>), Malformed> {
        let kind = self.kind()?;
        let count = self.u32()?;
        let values = (0..count)
            .map(|_| self.value(kind))
            .collect::<Result<_, Malformed>>()?;
        Ok((kind, values))
    }
}

#[cfg(test)]
mod tests;
