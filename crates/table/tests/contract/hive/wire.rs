//! A second reading of Thrift, to look at what is said to a metastore, and to say what other clients do.

use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A value of any type; a list or set has its elements' type, a map those of keys and values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum V {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    Double(u64),
    Bytes(Vec<u8>),
    Struct(Fields),
    Map(u8, u8, Vec<(V, V)>),
    Set(u8, Vec<V>),
    List(u8, Vec<V>),
}

pub(crate) type Fields = BTreeMap<i16, V>;

pub(crate) fn text(text: &str) -> V {
    V::Bytes(text.as_bytes().to_vec())
}

pub(crate) fn texts(pairs: &[(&str, &str)]) -> V {
    let pairs = pairs.iter().map(|(k, v)| (text(k), text(v))).collect();
    V::Map(11, 11, pairs)
}

pub(crate) fn fields<const N: usize>(fields: [(i16, V); N]) -> Fields {
    fields.into()
}

impl V {
    fn kind(&self) -> u8 {
        match self {
            V::Bool(_) => 2,
            V::I8(_) => 3,
            V::Double(_) => 4,
            V::I16(_) => 6,
            V::I32(_) => 8,
            V::I64(_) => 10,
            V::Bytes(_) => 11,
            V::Struct(_) => 12,
            V::Map(..) => 13,
            V::Set(..) => 14,
            V::List(..) => 15,
        }
    }

    /// The field of a struct.
    pub(crate) fn at(&self, id: i16) -> &V {
        match self {
            V::Struct(fields) => fields
                .get(&id)
                .unwrap_or_else(|| panic!("no field {id} in {fields:?}")),
            other => panic!("{other:?} is no struct"),
        }
    }

    pub(crate) fn set(&mut self, id: i16, value: V) {
        match self {
            V::Struct(fields) => drop(fields.insert(id, value)),
            other => panic!("{other:?} is no struct"),
        }
    }

    pub(crate) fn str(&self) -> &str {
        match self {
            V::Bytes(bytes) => std::str::from_utf8(bytes).unwrap(),
            other => panic!("{other:?} is no text"),
        }
    }

    pub(crate) fn list(&self) -> &[V] {
        match self {
            V::List(_, all) => all,
            other => panic!("{other:?} is no list"),
        }
    }

    /// A map of strings.
    pub(crate) fn map(&self) -> BTreeMap<String, String> {
        match self {
            V::Map(_, _, pairs) => pairs
                .iter()
                .map(|(k, v)| (k.str().to_owned(), v.str().to_owned()))
                .collect(),
            other => panic!("{other:?} is no map"),
        }
    }
}

fn put(value: &V, to: &mut Vec<u8>) {
    let length = |n: usize, to: &mut Vec<u8>| to.extend((n as u32).to_be_bytes());
    match value {
        V::Bool(v) => to.push(u8::from(*v)),
        V::I8(v) => to.extend(v.to_be_bytes()),
        V::I16(v) => to.extend(v.to_be_bytes()),
        V::I32(v) => to.extend(v.to_be_bytes()),
        V::I64(v) => to.extend(v.to_be_bytes()),
        V::Double(v) => to.extend(v.to_be_bytes()),
        V::Bytes(v) => {
            length(v.len(), to);
            to.extend(v);
        }
        V::Struct(fields) => put_fields(fields, to),
        V::Map(keys, values, pairs) => {
            to.extend([*keys, *values]);
            length(pairs.len(), to);
            for (key, value) in pairs {
                put(key, to);
                put(value, to);
            }
        }
        V::Set(kind, all) | V::List(kind, all) => {
            to.push(*kind);
            length(all.len(), to);
            for value in all {
                put(value, to);
            }
        }
    }
}

fn put_fields(fields: &Fields, to: &mut Vec<u8>) {
    for (id, value) in fields {
        to.push(value.kind());
        to.extend(id.to_be_bytes());
        put(value, to);
    }
    to.push(0);
}

/// A message: 1 is a call, 2 a reply, 3 Thrift's own exception.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) method: String,
    pub(crate) sequence: u32,
    pub(crate) fields: Fields,
}

impl Message {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut to = vec![0x80, 1, 0, self.kind];
        to.extend((self.method.len() as u32).to_be_bytes());
        to.extend(self.method.as_bytes());
        to.extend(self.sequence.to_be_bytes());
        put_fields(&self.fields, &mut to);
        to
    }

    /// The message that the bytes begin with, and its length; None: more is to come.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut rest = bytes;
        let word = get::<4>(&mut rest)?;
        assert_eq!(word[..3], [0x80, 1, 0], "strict binary messages");
        let method = String::from_utf8(get_bytes(&mut rest)?).unwrap();
        let sequence = u32::from_be_bytes(get(&mut rest)?);
        let fields = get_fields(&mut rest)?;
        let message = Self {
            kind: word[3],
            method,
            sequence,
            fields,
        };
        Some((message, bytes.len() - rest.len()))
    }

    /// The next message of a connection; None at its end.
    pub(crate) async fn next(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Self> {
        loop {
            if let Some((message, length)) = Self::read(buffer) {
                buffer.drain(..length);
                return Some(message);
            }
            if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
                return None;
            }
        }
    }
}

fn get<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn get_bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(get(rest)?) as usize;
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken.to_vec())
}

fn get_fields(rest: &mut &[u8]) -> Option<Fields> {
    let mut fields = Fields::new();
    loop {
        let [kind] = get(rest)?;
        if kind == 0 {
            return Some(fields);
        }
        let id = i16::from_be_bytes(get(rest)?);
        fields.insert(id, get_value(kind, rest)?);
    }
}

fn get_value(kind: u8, rest: &mut &[u8]) -> Option<V> {
    Some(match kind {
        2 => V::Bool(get::<1>(rest)? != [0]),
        3 => V::I8(i8::from_be_bytes(get(rest)?)),
        4 => V::Double(u64::from_be_bytes(get(rest)?)),
        6 => V::I16(i16::from_be_bytes(get(rest)?)),
        8 => V::I32(i32::from_be_bytes(get(rest)?)),
        10 => V::I64(i64::from_be_bytes(get(rest)?)),
        11 => V::Bytes(get_bytes(rest)?),
        12 => V::Struct(get_fields(rest)?),
        13 => {
            let [keys, values] = get(rest)?;
            let count = u32::from_be_bytes(get(rest)?);
            let pairs = (0..count)
                .map(|_| Some((get_value(keys, rest)?, get_value(values, rest)?)))
                .collect::<Option<_>>()?;
            V::Map(keys, values, pairs)
        }
        14 | 15 => {
            let [of] = get(rest)?;
            let count = u32::from_be_bytes(get(rest)?);
            let all = (0..count)
                .map(|_| get_value(of, rest))
                .collect::<Option<_>>()?;
            if kind == 14 {
                V::Set(of, all)
            } else {
                V::List(of, all)
            }
        }
        other => panic!("no type {other}"),
    })
}

/// A client that says what it is told to, and asks nobody.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(port: u64) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port as u16))
            .await
            .unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Calls a method; the fields of its answer: 0 the result, others exceptions.
    pub(crate) async fn call(&mut self, method: &str, arguments: Fields) -> Fields {
        let call = Message {
            kind: 1,
            method: method.to_owned(),
            sequence: 1,
            fields: arguments,
        };
        self.stream.write_all(&call.bytes()).await.unwrap();
        let answer = Message::next(&mut self.stream, &mut self.buffer)
            .await
            .unwrap();
        assert_eq!(answer.kind, 2, "{answer:?}");
        answer.fields
    }

    /// Calls a method that must succeed; its result, where it has one.
    pub(crate) async fn ok(&mut self, method: &str, arguments: Fields) -> Option<V> {
        let mut answer = self.call(method, arguments).await;
        let result = answer.remove(&0);
        assert!(answer.is_empty(), "{method}: {answer:?}");
        result
    }

    pub(crate) async fn table(&mut self, database: &str, table: &str) -> V {
        let request = V::Struct(fields([(1, text(database)), (2, text(table))]));
        let result = self.ok("get_table_req", fields([(1, request)])).await;
        result.unwrap().at(1).clone()
    }

    pub(crate) async fn alter(&mut self, table: V) {
        let arguments = fields([
            (1, table.at(2).clone()),
            (2, table.at(1).clone()),
            (3, table),
            (
                4,
                V::Struct(fields([(1, texts(&[("DO_NOT_UPDATE_STATS", "true")]))])),
            ),
        ]);
        let method = "alter_table_with_environment_context";
        assert_eq!(self.ok(method, arguments).await, None);
    }

    /// Takes the table's lock as another writer does; its id.
    pub(crate) async fn lock(&mut self, database: &str, table: &str, user: &str) -> i64 {
        let component = V::Struct(fields([
            (1, V::I32(3)),
            (2, V::I32(2)),
            (3, text(database)),
            (4, text(table)),
        ]));
        let request = V::Struct(fields([
            (1, V::List(12, vec![component])),
            (3, text(user)),
            (4, text("host-of-the-test")),
            (5, text("Iceberg-of-the-test")),
        ]));
        let given = self.ok("lock", fields([(1, request)])).await.unwrap();
        assert_eq!(given.at(2), &V::I32(1), "acquired");
        match given.at(1) {
            V::I64(id) => *id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn unlock(&mut self, id: i64) {
        let request = V::Struct(fields([(1, V::I64(id))]));
        self.ok("unlock", fields([(1, request)])).await;
    }

    /// All locks on the table: their ids.
    pub(crate) async fn locks(&mut self, database: &str, table: &str) -> Vec<i64> {
        let request = V::Struct(fields([(1, text(database)), (2, text(table))]));
        let all = self.ok("show_locks", fields([(1, request)])).await.unwrap();
        let ids = all.at(1).list().iter().map(|lock| match lock.at(1) {
            V::I64(id) => *id,
            other => panic!("{other:?}"),
        });
        ids.collect()
    }

    pub(crate) async fn drop_table(&mut self, database: &str, table: &str) {
        let arguments = fields([(1, text(database)), (2, text(table)), (3, V::Bool(false))]);
        self.ok("drop_table", arguments).await;
    }
}
