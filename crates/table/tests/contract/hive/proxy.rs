//! A man in the middle between frazil and a metastore, who does with each call what a test says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use frazil_table::catalog::hive::HiveAddress;
use futures::future::BoxFuture;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

use super::wire::{Fields, Message};

/// What becomes of a call.
pub(crate) enum Act {
    /// The server answers it.
    Pass,
    /// Something else happens first.
    After(BoxFuture<'static, ()>),
    /// The server never hears of it; this is the answer.
    Answer(Vec<u8>),
    /// The server never hears of it; this is the answer's body.
    Result(Fields),
    /// The server answers it, and the connection breaks after so many bytes of the answer.
    Cut(usize),
    /// The connection breaks, and the server never hears of it.
    HangUp,
    /// The connection breaks, and the server hears of it once the test says so.
    Later(Arc<Gate>),
    /// The server hears of it, and answers, once the test says so.
    Hold(Arc<Gate>),
}

/// Where a call waits.
#[derive(Default)]
pub(crate) struct Gate {
    /// It is there.
    pub(crate) reached: Notify,
    /// It may go on.
    pub(crate) open: Notify,
    /// The server has answered it.
    pub(crate) answered: Notify,
}

/// What a test waits for comes, or the test fails rather than hang.
pub(crate) async fn come(notified: &Notify) {
    let patience = std::time::Duration::from_mins(2);
    let came = tokio::time::timeout(patience, notified.notified()).await;
    assert!(came.is_ok(), "what was waited for did not come");
}

/// A call: its method, the how manieth of that method it is, and what it says.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) number: usize,
    pub(crate) arguments: &'a Fields,
}

type Rule = dyn Fn(&Call<'_>) -> Act + Send + Sync;

struct Shared {
    port: u64,
    rule: Box<Rule>,
    counts: Mutex<HashMap<String, usize>>,
    /// The methods called, one list a connection.
    calls: Mutex<Vec<Vec<(String, Fields)>>>,
}

pub(crate) struct Proxy {
    pub(crate) address: HiveAddress,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server on that port.
    pub(crate) async fn start(
        port: u64,
        rule: impl Fn(&Call<'_>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = HiveAddress {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let shared = Arc::new(Shared {
            port,
            rule: Box::new(rule),
            counts: Mutex::default(),
            calls: Mutex::default(),
        });
        let for_accept = Arc::clone(&shared);
        let accept = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&for_accept), client));
            }
        });
        Self {
            address,
            shared,
            accept,
        }
    }

    /// How often a method was called.
    pub(crate) fn count(&self, method: &str) -> usize {
        let counts = self.shared.counts.lock().unwrap();
        counts.get(method).copied().unwrap_or_default()
    }

    /// The calls of each connection.
    pub(crate) fn connections(&self) -> Vec<Vec<(String, Fields)>> {
        self.shared.calls.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(shared: Arc<Shared>, mut client: TcpStream) {
    let index = {
        let mut calls = shared.calls.lock().unwrap();
        calls.push(Vec::new());
        calls.len() - 1
    };
    let mut upstream = None;
    let mut buffer = Vec::new();
    while let Some(call) = Message::next(&mut client, &mut buffer).await {
        let number = {
            let mut counts = shared.counts.lock().unwrap();
            let count = counts.entry(call.method.clone()).or_default();
            *count += 1;
            *count
        };
        let seen = (call.method.clone(), call.fields.clone());
        shared.calls.lock().unwrap()[index].push(seen);
        let act = (shared.rule)(&Call {
            method: &call.method,
            number,
            arguments: &call.fields,
        });
        if done(&shared, act, &call, &mut client, &mut upstream)
            .await
            .is_none()
        {
            return;
        }
    }
}

/// None: the connection is at its end.
async fn done(
    shared: &Shared,
    act: Act,
    call: &Message,
    client: &mut TcpStream,
    upstream: &mut Option<TcpStream>,
) -> Option<()> {
    match act {
        Act::Pass => {}
        Act::After(first) => first.await,
        Act::Answer(bytes) => return client.write_all(&bytes).await.ok(),
        Act::Result(fields) => {
            let answer = Message {
                kind: 2,
                fields,
                ..call.clone()
            };
            return client.write_all(&answer.bytes()).await.ok();
        }
        Act::Cut(length) => {
            let answer = ask(shared, call, upstream).await?;
            client.write_all(&answer[..length]).await.ok()?;
            return None;
        }
        Act::HangUp => return None,
        Act::Later(gate) => {
            client.shutdown().await.ok()?;
            gate.reached.notify_one();
            gate.open.notified().await;
            ask(shared, call, upstream).await;
            gate.answered.notify_one();
            return None;
        }
        Act::Hold(gate) => {
            gate.reached.notify_one();
            gate.open.notified().await;
            let answer = ask(shared, call, upstream).await?;
            gate.answered.notify_one();
            return client.write_all(&answer).await.ok();
        }
    }
    let answer = ask(shared, call, upstream).await?;
    client.write_all(&answer).await.ok()
}

async fn ask(shared: &Shared, call: &Message, upstream: &mut Option<TcpStream>) -> Option<Vec<u8>> {
    if upstream.is_none() {
        let address = ("127.0.0.1", shared.port as u16);
        *upstream = Some(TcpStream::connect(address).await.ok()?);
    }
    let upstream = upstream.as_mut().unwrap();
    upstream.write_all(&call.bytes()).await.ok()?;
    let answer = Message::next(upstream, &mut Vec::new()).await?;
    Some(answer.bytes())
}
