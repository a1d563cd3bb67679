//! One connection to a metastore, and calls over it of which nothing is lost.
//!
//! Guarantees: each call ends by its deadline; an error says whether the server can have the
//! request; after an error the connection is not used again.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    HiveAddress,
    thrift::{self, Body, Fields, REPLY_LIMITS, Scanner, Value, field, kind},
};

/// What is read at once. Larger only helps tables of very many columns.
const READ_BYTES: usize = 64 * 1024;

/// The longest message of a server that is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// Thrift's own exception "no such method".
const UNKNOWN_METHOD: i32 = 1;

/// A connection on which one call at a time is made.
#[derive(Debug)]
pub(super) struct RawConnection {
    stream: TcpStream,
    address: HiveAddress,
    sequence: i32,
    broken: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// The server does not have the whole request: it will not carry it out.
    NotSent(String),
    /// The server may have it, and may carry it out yet.
    Lost(String),
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The method's result (field 0) or one of its exceptions.
    Result(Fields),
    /// The server does not have the method.
    UnknownMethod,
    /// Something that the method does not declare went wrong.
    Failed(String),
}

impl CallError {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) => reason,
        }
    }
}

impl RawConnection {
    pub(super) fn new(stream: TcpStream, address: HiveAddress) -> Self {
        Self {
            stream,
            address,
            sequence: 0,
            broken: false,
        }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Calls a method.
    pub(super) async fn call(
        &mut self,
        method: &'static str,
        arguments: &[(i16, Value)],
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        if self.broken {
            let reason = format!("the connection to {} broke before", self.address);
            return Err(CallError::NotSent(reason));
        }
        self.broken = true;
        self.sequence += 1;
        let request = thrift::call(method, self.sequence, arguments);
        let mut written = false;
        let talk = async {
            self.stream
                .write_all(&request)
                .await
                .map_err(|error| error.to_string())?;
            written = true;
            read_reply(&mut self.stream, self.sequence).await
        };
        let reason = match timeout_at(deadline, talk).await {
            Ok(Ok(answer)) => {
                self.broken = false;
                return Ok(answer);
            }
            Ok(Err(reason)) => reason,
            Err(_) => "there was no answer in time".to_string(),
        };
        let reason = format!("{} {method}: {reason}", self.address);
        Err(if written {
            CallError::Lost(reason)
        } else {
            CallError::NotSent(reason)
        })
    }
}

async fn read_reply(stream: &mut TcpStream, sequence: i32) -> Result<Answer, String> {
    let mut bytes = Vec::new();
    let mut scanner = Scanner::new(REPLY_LIMITS);
    let malformed = |reason: thrift::Malformed| format!("the answer cannot be read: {reason}");
    loop {
        if let Some(length) = scanner.advance(&bytes).map_err(malformed)? {
            if length < bytes.len() {
                return Err("something followed the answer".to_string());
            }
            break;
        }
        bytes.reserve(READ_BYTES);
        match stream.read_buf(&mut bytes).await {
            Ok(0) if bytes.is_empty() => {
                return Err(
                    "the server closed the connection without an answer (so does one that \
                            wants Kerberos, TLS or framed transport)"
                        .to_string(),
                );
            }
            Ok(0) => return Err("the connection was closed within the answer".to_string()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let message = thrift::read(&bytes, REPLY_LIMITS).map_err(malformed)?;
    if message.sequence != sequence {
        return Err("the answer is another call's".to_string());
    }
    Ok(match message.body {
        Body::Result(fields) => Answer::Result(fields),
        Body::Application(fields) => match field(&fields, 2) {
            Some(Value::I32(UNKNOWN_METHOD)) => Answer::UnknownMethod,
            _ => Answer::Failed(message_of(&fields)),
        },
    })
}

/// The message of an exception: of Thrift's own and of all of Hive's it is the first field.
pub(super) fn message_of(exception: &[(i16, Value)]) -> String {
    match field(exception, 1) {
        Some(Value::Bytes(bytes)) => shown(&String::from_utf8_lossy(bytes)),
        _ => "it gave no reason".to_string(),
    }
}

/// What a server says, on one line and not too long.
pub(super) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A list of strings, as an argument.
pub(super) fn texts(all: &[String]) -> Value {
    let all = all.iter().map(|text| Value::text(text)).collect();
    Value::List(kind::BYTES, all)
}
