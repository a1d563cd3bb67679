//! One HTTP request to a REST catalog, and what is known of it afterwards.
//!
//! A request is made once. reqwest is told to repeat nothing; beneath it hyper-util takes a request to
//! another connection only when it got it back whole from a pooled connection that was closed before
//! any byte of it was written. HTTP/2, where a server may ask for a repetition, is not spoken. No
//! redirect is followed: a commit must not be repeated elsewhere, and secrets must not be shown there.

use std::{error::Error, path::Path, sync::Mutex, sync::PoisonError, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Certificate, Client, Identity, Method, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use tokio::time::timeout;

use super::options::{HeaderText, RestOptions};
use crate::catalog::tls::TlsOptions;

/// Answers that are no success are read up to here: enough for what they say.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Connections are not used again after so long: less than servers and balancers keep them, so that
/// few requests are written to a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// The longest wait that an answer may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// Headers that are not for options to set.
const OWN_HEADERS: [HeaderName; 5] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
];

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) answer_bytes_max: u64,
    pub(super) timeout: Duration,
}

/// An answer, whole if it is a success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// How long to wait before asking again, if the server says.
    pub(super) retry_after: Option<Duration>,
    /// Where the server sends us, if it does.
    pub(super) location: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nothing was sent, and nothing will be before a person changes something.
    Unusable(String),
    /// Nothing was sent; the next time may be better.
    NotSent(String),
    /// It may have arrived.
    Lost(String),
    /// It arrived and succeeded; the answer was too long to be taken.
    TooLong(String),
}

/// The client, made anew when certificates change.
#[derive(Debug)]
pub(super) struct Http {
    tls: TlsOptions,
    connect_timeout: Duration,
    headers: Vec<(HeaderName, HeaderText)>,
    made: Mutex<Option<(Certificates, Client)>>,
}

/// The contents of the files that TLS is told to use. Shown by nobody.
#[derive(Clone, PartialEq, Eq, Default)]
struct Certificates {
    authorities: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates(…)")
    }
}

impl Http {
    /// Checks what can be checked without the server.
    pub(super) fn new(options: &RestOptions) -> Result<Self, String> {
        let mut headers = Vec::new();
        for (name, text) in &options.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| format!("`{name}` cannot be a header's name"))?;
            if OWN_HEADERS.contains(&name) {
                return Err(format!("the header {name} cannot be set"));
            }
            headers.push((name, text.clone()));
        }
        if options.tls.certificate_file.is_some() != options.tls.key.is_some() {
            return Err("a client's certificate and its key must be given together".to_owned());
        }
        Ok(Self {
            tls: options.tls.clone(),
            connect_timeout: options.connect_timeout,
            headers,
            made: Mutex::new(None),
        })
    }

    /// The headers that the options add to each request to the catalog.
    pub(super) fn own_headers(&self) -> Result<HeaderMap, NoAnswer> {
        let mut headers = HeaderMap::new();
        for (name, text) in &self.headers {
            let value = match text {
                HeaderText::Plain(text) => secret_header(text),
                HeaderText::Secret(secret) => {
                    let text = secret.read().map_err(|e| unusable(&e))?;
                    secret_header(text.expose())
                }
            };
            let value = value.ok_or_else(|| {
                NoAnswer::Unusable(format!("the text of the header {name} cannot be sent"))
            })?;
            headers.append(name.clone(), value);
        }
        Ok(headers)
    }

    /// Makes the request, once.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, NoAnswer> {
        let client = self.client()?;
        let request = client
            .request(call.method, call.url)
            .headers(call.headers)
            .body(call.body);
        let exchange = async {
            let response = request.send().await.map_err(no_answer)?;
            answer(response, call.answer_bytes_max).await
        };
        timeout(call.timeout, exchange).await.unwrap_or_else(|_| {
            let limit = call.timeout;
            Err(NoAnswer::Lost(format!(
                "there was no whole answer within {limit:?}"
            )))
        })
    }

    fn client(&self) -> Result<Client, NoAnswer> {
        let certificates = self.certificates().map_err(NoAnswer::Unusable)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match made.as_ref() {
            Some((of, client)) if *of == certificates => Ok(client.clone()),
            _ => {
                let client = self.make(&certificates).map_err(NoAnswer::Unusable)?;
                *made = Some((certificates, client.clone()));
                Ok(client)
            }
        }
    }

    fn certificates(&self) -> Result<Certificates, String> {
        let mut certificates = Certificates::default();
        if let Some(path) = &self.tls.ca_file {
            certificates.authorities = Some(read(path)?);
        }
        if let (Some(path), Some(key)) = (&self.tls.certificate_file, &self.tls.key) {
            let key = key.read().map_err(|e| format!("failed to {e}"))?;
            let mut identity = read(path)?;
            identity.push(b'\n');
            identity.extend_from_slice(key.expose().as_bytes());
            certificates.identity = Some(identity);
        }
        Ok(certificates)
    }

    fn make(&self, certificates: &Certificates) -> Result<Client, String> {
        let mut builder = Client::builder()
            .user_agent(concat!("frazil/", env!("CARGO_PKG_VERSION")))
            .use_rustls_tls()
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_MAX);
        if let Some(pem) = &certificates.authorities {
            let authorities = Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|authorities| !authorities.is_empty())
                .ok_or("the file of certificate authorities holds no certificate in PEM")?;
            for authority in authorities {
                builder = builder.add_root_certificate(authority);
            }
        }
        if let Some(pem) = &certificates.identity {
            let identity = Identity::from_pem(pem).map_err(
                |_| "the client's certificate and key are not a certificate and a key in PEM",
            )?;
            builder = builder.identity(identity);
        }
        builder
            .build()
            .map_err(|e| format!("TLS cannot be set up: {}", chain(&e)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("failed to read {}: {e}", path.display()))
}

/// A header's value that is not shown; `None` where it cannot be one.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Something that a person must mend first.
pub(super) fn unusable(error: &dyn Error) -> NoAnswer {
    NoAnswer::Unusable(format!("failed to {error}"))
}

async fn answer(mut response: Response, bytes_max: u64) -> Result<Answer, NoAnswer> {
    let status = response.status();
    let text = |name| {
        let value: Option<&HeaderValue> = response.headers().get(name);
        value.and_then(|value| value.to_str().ok().map(str::to_owned))
    };
    let retry_after = text(header::RETRY_AFTER)
        .and_then(|seconds| seconds.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let location = text(header::LOCATION);
    let body = if status.is_success() {
        whole(&mut response, bytes_max).await?
    } else {
        beginning(&mut response).await
    };
    Ok(Answer {
        status,
        body,
        retry_after,
        location,
    })
}

async fn whole(response: &mut Response, bytes_max: u64) -> Result<Bytes, NoAnswer> {
    let too_long = || {
        NoAnswer::TooLong(format!(
            "its answer is longer than {bytes_max} bytes; allow longer ones"
        ))
    };
    if response.content_length().is_some_and(|len| len > bytes_max) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if (body.len() + chunk.len()) as u64 > bytes_max {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What there is of an error: its status has said all that matters.
async fn beginning(response: &mut Response) -> Bytes {
    let mut body = BytesMut::new();
    while body.len() < ERROR_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(ERROR_BYTES_MAX);
    body.freeze()
}

fn no_answer(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    if error.is_builder() {
        return NoAnswer::Unusable(format!("the request cannot be made: {}", chain(&error)));
    }
    // Only a connection that was never made: with a byte of the request written it is no such error.
    if error.is_connect() {
        return NoAnswer::NotSent(format!("no connection: {}", chain(&error)));
    }
    NoAnswer::Lost(format!("no answer: {}", chain(&error)))
}

/// An error and what caused it, once each.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
