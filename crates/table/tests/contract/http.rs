//! An HTTP server that answers what it is told to, and remembers what it was asked.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its parameters.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.target.split('?').next() == Some(path)
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// An answer: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is closed without a word.
    Lost,
    /// A success whose body ends in its middle.
    Half(Vec<u8>),
    /// A success whose head comes, and of its body never more than this.
    Stuck(Vec<u8>),
    /// Nothing, and the connection stays open.
    Never,
}

impl Reply {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::Answer(200, Vec::new(), value.to_string().into_bytes())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), b"<html>told so</html>".to_vec())
    }

    /// An error in Iceberg's form.
    pub(crate) fn error(status: u16, kind: &str) -> Self {
        let model =
            serde_json::json!({"error": {"message": "told so", "type": kind, "code": status}});
        Self::Answer(status, Vec::new(), model.to_string().into_bytes())
    }
}

type Answers = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server. It stops when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    listener: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Server {
    pub(crate) async fn start(answers: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(answers)).await
    }

    pub(crate) async fn start_tls(
        config: ServerConfig,
        answers: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(answers)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, answers: Arc<Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let listener = tokio::spawn(async move {
            // Held here, so that they end with the server.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                match tls.clone() {
                    Some(tls) => connections.spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, answers, seen).await;
                        }
                    }),
                    None => connections.spawn(serve(stream, answers, seen)),
                };
            }
        });
        Self {
            address,
            requests,
            listener,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How often it was asked that.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.is(method, path))
            .count()
    }

    /// Stops listening and closes all connections.
    pub(crate) async fn stop(mut self) {
        self.listener.abort();
        let _ = (&mut self.listener).await;
    }
}

async fn serve<S>(mut stream: S, answers: Arc<Answers>, seen: Arc<Mutex<Vec<Request>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(request) = request(&mut stream).await {
        let reply = answers(&request);
        seen.lock().unwrap().push(request);
        let head = |status: u16, length: usize| {
            format!("HTTP/1.1 {status} Told\r\ncontent-length: {length}\r\n")
        };
        let mut close = true;
        let bytes = match reply {
            Reply::Answer(status, headers, body) => {
                close = headers.iter().any(|(name, _)| *name == "connection");
                let mut text = head(status, body.len());
                for (name, value) in headers {
                    write!(text, "{name}: {value}\r\n").unwrap();
                }
                [text.as_bytes(), b"\r\n", &body].concat()
            }
            Reply::Lost => Vec::new(),
            Reply::Half(body) => {
                let text = format!("{}\r\n", head(200, body.len()));
                [text.as_bytes(), &body[..body.len() / 2]].concat()
            }
            Reply::Stuck(body) => {
                let text = format!("{}\r\n", head(200, body.len() + 1));
                let _ = stream.write_all(&[text.as_bytes(), &body].concat()).await;
                return std::future::pending().await;
            }
            Reply::Never => return std::future::pending().await,
        };
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        if close {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// The next request; `None` where the connection ends.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut request = Request {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}
