//! A way to a server that breaks after a given byte.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// Where the way breaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) direction: Direction,
    /// Bytes that still pass in that direction, over all connections. The cut comes with the last of
    /// them; where there are none, with the first byte that does not pass.
    pub(super) after: u64,
    /// Marked requests that begin before the bytes count.
    pub(super) marks: usize,
    /// New connections that are closed at once before the way is whole again.
    pub(super) refused: u32,
}

/// What was under way when it broke.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    pub(super) direction: Direction,
    /// Whether the last request on that connection, as far as it had passed, has the mark.
    pub(super) marked: bool,
}

/// What passed one way before something passed the other way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) direction: Direction,
    pub(super) bytes: u64,
    /// Whether the mark is in it.
    pub(super) marked: bool,
}

#[derive(Default)]
struct Line {
    cut: Option<Cut>,
    refused: u32,
    broken: Option<Broken>,
    tape: Vec<Message>,
}

/// In front of a server on a port of this machine, until this is dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    line: Arc<Mutex<Line>>,
    accept: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Proxy {
    /// Requests with `mark` in them are marked.
    pub(super) async fn start(server: u16, mark: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Arc::new(Mutex::new(Line::default()));
        let of_all = Arc::clone(&line);
        let accept = tokio::spawn(async move {
            // Each break ends the connections of its time.
            let (breaks, _) = watch::channel(());
            let breaks = Arc::new(breaks);
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if refused(&of_all) {
                    continue;
                }
                let way = Way {
                    line: Arc::clone(&of_all),
                    breaks: Arc::clone(&breaks),
                    request: Arc::default(),
                    mark,
                };
                let broken = breaks.subscribe();
                tokio::spawn(way.connect(client, server, broken));
            }
        });
        Self { port, line, accept }
    }

    /// Counts from here on.
    pub(super) fn record(&self) {
        *self.line.lock().unwrap() = Line::default();
    }

    /// What passed since.
    pub(super) fn recorded(&self) -> Vec<Message> {
        self.line.lock().unwrap().tape.clone()
    }

    /// Counts from here on, and breaks there.
    pub(super) fn arm(&self, cut: Cut) {
        *self.line.lock().unwrap() = Line {
            cut: Some(cut),
            ..Line::default()
        };
    }

    /// Whether it broke since it was armed, and over what.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.line.lock().unwrap().broken
    }
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|part| part == mark)
}

fn refused(line: &Mutex<Line>) -> bool {
    let mut line = line.lock().unwrap();
    let refused = line.refused > 0;
    line.refused = line.refused.saturating_sub(1);
    refused
}

/// One connection's.
#[derive(Clone)]
struct Way {
    line: Arc<Mutex<Line>>,
    breaks: Arc<watch::Sender<()>>,
    request: Arc<Mutex<Request>>,
    mark: &'static [u8],
}

#[derive(Default)]
struct Request {
    bytes: Vec<u8>,
    answered: bool,
}

impl Way {
    async fn connect(self, client: TcpStream, server: u16, mut broken: watch::Receiver<()>) {
        let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let there = self
            .clone()
            .pass(from_client, to_server, Direction::ToServer);
        let back = self.pass(from_server, to_client, Direction::ToClient);
        // Whatever ends first closes both sides.
        tokio::select! {
            () = there => {}
            () = back => {}
            _ = broken.changed() => {}
        }
    }

    async fn pass(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction) {
        let mut bytes = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            let (passes, breaks) = self.count(direction, &bytes[..length]);
            if to.write_all(&bytes[..passes]).await.is_err() {
                return;
            }
            if breaks {
                self.breaks.send_replace(());
                return;
            }
        }
    }

    /// How many of the bytes pass, and whether that is the end.
    fn count(&self, direction: Direction, bytes: &[u8]) -> (usize, bool) {
        let mut line = self.line.lock().unwrap();
        let mut request = self.request.lock().unwrap();
        let marked = direction == Direction::ToServer && contains(bytes, self.mark);
        let mut passes = bytes.len();
        let mut breaks = false;
        if let Some(cut) = &mut line.cut {
            cut.marks = cut.marks.saturating_sub(usize::from(marked));
            if cut.direction == direction && cut.marks == 0 {
                breaks = bytes.len() as u64 >= cut.after;
                passes = passes.min(cut.after as usize);
                cut.after -= passes as u64;
            }
        }
        match direction {
            Direction::ToServer => {
                if std::mem::take(&mut request.answered) {
                    request.bytes.clear();
                }
                request.bytes.extend_from_slice(&bytes[..passes]);
            }
            Direction::ToClient => request.answered = true,
        }
        match line.tape.last_mut() {
            Some(last) if last.direction == direction => {
                last.bytes += passes as u64;
                last.marked |= marked;
            }
            _ => line.tape.push(Message {
                direction,
                bytes: passes as u64,
                marked,
            }),
        }
        if breaks {
            line.refused = line.cut.take().map_or(0, |cut| cut.refused);
            line.broken = Some(Broken {
                direction,
                marked: contains(&request.bytes, self.mark),
            });
        }
        (passes, breaks)
    }
}
