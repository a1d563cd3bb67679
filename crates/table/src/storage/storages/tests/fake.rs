//! A server of HTTP that answers as a test tells it to, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Lines of the head, in lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// What is answered: status, head lines, body. None: nothing ever.
pub(super) type Answer = Option<(u16, &'static str, String)>;

/// The server. It ends with the test's runtime.
pub(super) struct Fake {
    pub(super) endpoint: String,
    pub(super) asked: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    pub(super) async fn start(
        answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let answer = Arc::new(answer);
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    // A client that goes away is no failure of the server.
                    let _ = serve(stream, answer.as_ref(), &seen).await;
                });
            }
        });
        Self { endpoint, asked }
    }

    pub(super) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    answer: &(impl Fn(&Request, usize) -> Answer + ?Sized),
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = Request::default();
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split(' ').map(str::to_owned);
    request.method = words.next().unwrap_or_default();
    request.target = words.next().unwrap_or_default();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        request.head.push_str(&line.to_lowercase());
    }
    let length = request
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len()
    };
    let Some((status, head, body)) = answer(&request, number) else {
        return std::future::pending().await;
    };
    let length = if head.contains("content-length") {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{length}{head}\r\n{body}");
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}
