//! A small HTTP server for what a process tells of itself: metrics and health.
//!
//! It answers GET and HEAD by one function of the path, which must be quick, and reads no bodies. It is plain HTTP without
//! authentication: it says nothing of records, and listens on the loopback interface unless told otherwise.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

/// Connections served at a time; more wait.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may last.
const CONNECTION_MAX: Duration = Duration::from_mins(10);

/// How long to wait after a connection that could not be taken, as when file descriptors run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content's type.
    pub content_type: &'static str,
    /// The content.
    pub body: String,
}

/// Answers a path; `None` where there is nothing.
pub type Answers = dyn Fn(&str) -> Option<Answer> + Send + Sync;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens at `address`, an IP address and a port (0: any free one), and answers until it is dropped. Needs a Tokio runtime.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub async fn start(address: SocketAddr, answers: Arc<Answers>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            task: tokio::spawn(serve(listener, answers)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads where to listen: a port alone is one of the loopback interface.
///
/// # Errors
/// What it should be, for people.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let named = text.strip_prefix("localhost:").map(str::parse::<u16>);
    if let Some(Ok(port)) = named {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| {
        "an IP address and a port, such as 0.0.0.0:9464, or a port of the loopback interface, such as 9464".to_owned()
    })
}

async fn serve(listener: TcpListener, answers: Arc<Answers>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let answers = Arc::clone(&answers);
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(move |request| {
                let answer = answer(answers.as_ref(), &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever went away needs no answer.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

fn answer(answers: &Answers, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let found = match *request.method() {
        Method::GET | Method::HEAD => answers(request.uri().path()),
        _ => Some(plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered\n",
        )),
    };
    let found = found.unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is no such page\n"));
    let body = Full::new(Bytes::from(found.body));
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(found.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(found.content_type),
    );
    response
}

fn plain(status: StatusCode, text: &str) -> Answer {
    Answer {
        status: status.as_u16(),
        content_type: "text/plain; charset=utf-8",
        body: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let text = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_answers_paths_and_refuses_all_else() {
        let answers = |path: &str| (path == "/health/live").then(|| plain(StatusCode::OK, "yes\n"));
        let address = parse_listen("0").unwrap();
        let server = Server::start(address, Arc::new(answers)).await.unwrap();
        let found = ask(server.address(), "GET /health/live?x=1").await;
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n"), "{found}");
        assert!(found.ends_with("\r\n\r\nyes\n"), "{found}");
        let missing = ask(server.address(), "GET /").await;
        assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
        let posted = ask(server.address(), "POST /health/live").await;
        assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    }

    #[test]
    fn a_port_alone_is_one_of_the_loopback_interface() {
        let listens = |text: &str| parse_listen(text).map(|address| address.to_string());
        assert_eq!(listens("9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(listens("localhost:9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(listens("0.0.0.0:80").unwrap(), "0.0.0.0:80");
        assert_eq!(listens("[::]:80").unwrap(), "[::]:80");
        assert!(listens("everywhere").is_err() && listens("99999").is_err());
    }
}
