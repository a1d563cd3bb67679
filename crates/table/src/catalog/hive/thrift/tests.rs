use proptest::{collection::vec, prelude::*};

use super::*;

const SMALL: Limits = Limits {
    bytes_max: 64 * 1024,
    values_max: 1_000,
    depth_max: 12,
};

/// A reply of that sequence number.
fn reply(kind: u32, sequence: i32, fields: &[(i16, Value)]) -> Vec<u8> {
    let mut message = (VERSION | kind).to_be_bytes().to_vec();
    write_length(1, &mut message);
    message.push(b'm');
    message.extend(sequence.to_be_bytes());
    write_fields(fields, &mut message);
    message
}

const KINDS: [u8; 11] = [
    kind::BOOL,
    kind::I8,
    kind::DOUBLE,
    kind::I16,
    kind::I32,
    kind::I64,
    kind::BYTES,
    kind::STRUCT,
    kind::MAP,
    kind::SET,
    kind::LIST,
];

fn any_kind() -> impl Strategy<Value = u8> {
    prop::sample::select(KINDS.to_vec())
}

/// Values of one kind, so that they can be elements of one list.
fn of_kind(kind: u8, depth: u32) -> BoxedStrategy<Value> {
    let below = depth.saturating_sub(1);
    let size = if depth == 0 { 0..1usize } else { 0..4usize };
    match kind {
        kind::BOOL => any::<bool>().prop_map(Value::Bool).boxed(),
        kind::I8 => any::<i8>().prop_map(Value::I8).boxed(),
        kind::DOUBLE => any::<u64>().prop_map(Value::Double).boxed(),
        kind::I16 => any::<i16>().prop_map(Value::I16).boxed(),
        kind::I32 => any::<i32>().prop_map(Value::I32).boxed(),
        kind::I64 => any::<i64>().prop_map(Value::I64).boxed(),
        kind::BYTES => vec(any::<u8>(), 0..20).prop_map(Value::Bytes).boxed(),
        kind::STRUCT => fields(below, size).prop_map(Value::Struct).boxed(),
        kind::LIST | kind::SET => (any_kind(), Just(size))
            .prop_flat_map(move |(kind, size)| (Just(kind), vec(of_kind(kind, below), size)))
            .prop_map(move |(of, values)| match kind {
                kind::LIST => Value::List(of, values),
                _ => Value::Set(of, values),
            })
            .boxed(),
        _ => (any_kind(), any_kind(), Just(size))
            .prop_flat_map(move |(keys, values, size)| {
                let pair = (of_kind(keys, below), of_kind(values, below));
                (Just(keys), Just(values), vec(pair, size))
            })
            .prop_map(|(keys, values, pairs)| Value::Map(keys, values, pairs))
            .boxed(),
    }
}

fn fields(depth: u32, size: std::ops::Range<usize>) -> BoxedStrategy<Fields> {
    if size.end <= 1 {
        return Just(Vec::new()).boxed();
    }
    let value = any_kind().prop_flat_map(move |kind| of_kind(kind, depth));
    vec((any::<i16>(), value), size).boxed()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(fields in fields(3, 0..5), sequence: i32) {
        let bytes = reply(REPLY, sequence, &fields);
        let read = read(&bytes, SMALL).unwrap();
        prop_assert_eq!(read.sequence, sequence);
        prop_assert_eq!(read.name, b"m");
        prop_assert_eq!(read.body, Body::Result(fields));
    }

    #[test]
    fn pieces_end_where_the_whole_does(fields in fields(3, 0..5), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let bytes = reply(EXCEPTION, 1, &fields);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut scanner = Scanner::new(SMALL);
        for cut in cuts {
            prop_assert_eq!(scanner.advance(&bytes[..cut]), Ok(None));
        }
        prop_assert_eq!(scanner.advance(&bytes), Ok(Some(bytes.len())));
        prop_assert_eq!(read(&bytes, SMALL).unwrap().body, Body::Application(fields));
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, SMALL);
    }

    /// The same, beyond the header: its bytes are rarely met by chance.
    #[test]
    fn no_body_panics(body in vec(any::<u8>(), 0..200)) {
        let mut bytes = reply(REPLY, 0, &[]);
        bytes.pop();
        bytes.extend(body);
        let _ = read(&bytes, SMALL);
        let _ = Scanner::new(SMALL).advance(&bytes);
    }

    #[test]
    fn one_wrong_byte_does_not_panic(fields in fields(3, 1..5), at: prop::sample::Index, byte: u8) {
        let mut bytes = reply(REPLY, 1, &fields);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(message) = read(&bytes, SMALL) {
            let (Body::Result(fields) | Body::Application(fields)) = message.body;
            let mut again = Vec::new();
            write_fields(&fields, &mut again);
            prop_assert_eq!(again.len() + 12 + message.name.len(), bytes.len());
        }
    }
}

fn refused(fields: &[u8]) -> &'static str {
    let mut bytes = reply(REPLY, 0, &[]);
    bytes.pop();
    bytes.extend(fields);
    let mut scanner = Scanner::new(SMALL);
    scanner.advance(&bytes).unwrap_err().0
}

/// A length that is claimed is refused before its bytes arrive, and nothing is allocated for it.
#[test]
fn lengths_beyond_the_limits_are_refused() {
    let field = |kind: u8, rest: &[u8]| [&[kind, 0, 1][..], rest].concat();
    let long = 0x7fff_ffffu32.to_be_bytes();
    for length in [long, u32::MAX.to_be_bytes(), 65_536u32.to_be_bytes()] {
        assert_eq!(refused(&field(kind::BYTES, &length)), "it is too long");
    }
    let list = [&[kind::BOOL][..], &long].concat();
    assert_eq!(
        refused(&field(kind::LIST, &list)),
        "it holds too many values"
    );
    let map = [&[kind::BOOL, kind::BOOL][..], &501u32.to_be_bytes()].concat();
    assert_eq!(refused(&field(kind::MAP, &map)), "it holds too many values");
    let nested: Vec<u8> = [kind::STRUCT, 0, 1].repeat(20);
    assert_eq!(refused(&nested), "its values are nested too deeply");
    let nested: Vec<u8> = [kind::LIST, 0, 0, 0, 1].repeat(20);
    assert_eq!(
        refused(&field(kind::LIST, &nested)),
        "its values are nested too deeply"
    );
    assert_eq!(
        refused(&field(1, &[])),
        "a value has a type that Thrift does not have"
    );
    // Lists of lists with no bytes of their own.
    let many = [&[kind::STRUCT][..], &900u32.to_be_bytes(), &[0; 900]].concat();
    let twice = [field(kind::LIST, &many), field(kind::LIST, &many)].concat();
    assert_eq!(refused(&twice), "it holds too many values");
}

#[test]
fn the_memory_of_a_message_is_bounded() {
    assert!(size_of::<Value>() <= 40, "{}", size_of::<Value>());
    assert!(size_of::<(i16, Value)>() <= 48);
}

#[test]
fn what_is_no_reply_is_refused() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request"[..],
        // A call instead of a reply.
        &(VERSION | CALL).to_be_bytes(),
        // The protocol of old, without a version.
        &[0, 0, 0, 1, b'm', 2, 0, 0, 0, 1, 0],
        // A frame's length before the message.
        &[0, 0, 0, 20, 0x80, 1, 0, 2],
    ] {
        let error = Scanner::new(SMALL).advance(bytes).unwrap_err();
        assert!(error.to_string().contains("does not speak"), "{error}");
    }
    // Something after it.
    let mut bytes = reply(REPLY, 0, &[]);
    bytes.push(0);
    assert!(read(&bytes, SMALL).is_err());
}
