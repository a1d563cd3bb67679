//! AWS Signature Version 4 for REST catalogs of AWS.
//!
//! The signature covers the host, the body and the time. AWS's services other than S3 sign a path
//! that is percent-encoded twice; the crate signs as S3 does, once, and is given the path with its `%`
//! encoded already.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{Context, HttpSend, OsEnv, SignRequest as _, Signer, hash::hex_sha256};
use reqsign_file_read_tokio::TokioFileRead;
use reqwest::header;

use super::{
    http::{Call, NoAnswer, unusable},
    options::{SigV4Keys, SigV4Options},
};

/// How long the machine's or container's metadata service is waited for.
const KEYS_TIMEOUT: Duration = Duration::from_secs(10);
const KEYS_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The hash of the body, which must be signed, too.
const CONTENT_HASH: &str = "x-amz-content-sha256";

/// Signs calls.
#[derive(Debug)]
pub(super) struct Signing {
    options: SigV4Options,
    /// Looks for keys, and keeps them until shortly before they expire.
    environment: Option<Signer<Credential>>,
}

impl Signing {
    pub(super) fn new(options: &SigV4Options) -> Result<Self, String> {
        let environment = match &options.keys {
            SigV4Keys::Given { .. } => None,
            SigV4Keys::Environment => Some(Signer::new(
                Context::new()
                    .with_file_read(TokioFileRead)
                    .with_env(OsEnv)
                    .with_http_send(KeysHttp::new()?),
                DefaultCredentialProvider::new(),
                signer(options),
            )),
        };
        Ok(Self {
            options: options.clone(),
            environment,
        })
    }

    pub(super) async fn sign(&self, call: &mut Call) -> Result<(), NoAnswer> {
        let mut parts = to_sign(call)?;
        let signed = match (&self.environment, &self.options.keys) {
            (Some(environment), _) => environment.sign(&mut parts, None).await,
            (
                None,
                SigV4Keys::Given {
                    access_key_id,
                    secret_access_key,
                    session_token,
                },
            ) => {
                let read = |secret: &frazil_service::secret::Secret| {
                    let text = secret.read().map_err(|e| unusable(&e))?;
                    Ok::<_, NoAnswer>(text.expose().to_owned())
                };
                let credential = Credential {
                    access_key_id: read(access_key_id)?,
                    secret_access_key: read(secret_access_key)?,
                    session_token: session_token.as_ref().map(read).transpose()?,
                    expires_in: None,
                };
                signer(&self.options)
                    .sign_request(&Context::new(), &mut parts, Some(&credential), None)
                    .await
            }
            (None, SigV4Keys::Environment) => unreachable!("its signer is made with it"),
        };
        signed.map_err(|error| NoAnswer::NotSent(not_signed(&error)))?;
        parts.headers.remove(header::HOST);
        call.headers.extend(parts.headers);
        Ok(())
    }
}

fn signer(options: &SigV4Options) -> RequestSigner {
    RequestSigner::new(&options.service, &options.region).with_standard_session_token()
}

fn not_signed(error: &reqsign_core::Error) -> String {
    format!(
        "the request cannot be signed: {error}; see that AWS keys are where AWS's tools look for them"
    )
}

/// What is signed of a call: little, since proxies may change other headers.
fn to_sign(call: &Call) -> Result<Parts, NoAnswer> {
    let cannot = |_| NoAnswer::Unusable("the address cannot be signed".to_owned());
    let url = &call.url;
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut uri = format!(
        "{}://{authority}{}",
        url.scheme(),
        url.path().replace('%', "%25")
    );
    if let Some(query) = url.query() {
        uri.push('?');
        uri.push_str(query);
    }
    let (mut parts, ()) = Request::builder()
        .method(call.method.clone())
        .uri(uri)
        .body(())
        .map_err(cannot)?
        .into_parts();
    let hash = HeaderValue::from_str(&hex_sha256(&call.body)).expect("hexadecimal digits");
    parts.headers.insert(CONTENT_HASH, hash);
    Ok(parts)
}

/// Asks metadata services for keys.
#[derive(Debug)]
struct KeysHttp(reqwest::Client);

impl KeysHttp {
    fn new() -> Result<Self, String> {
        reqwest::Client::builder()
            .use_rustls_tls()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(KEYS_CONNECT_TIMEOUT)
            .timeout(KEYS_TIMEOUT)
            .build()
            .map(Self)
            .map_err(|e| format!("TLS cannot be set up: {e}"))
    }
}

impl HttpSend for KeysHttp {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let failed = |error: reqwest::Error| {
            reqsign_core::Error::unexpected(error.without_url().to_string())
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response = self.0.execute(request).await.map_err(failed)?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let body = response.bytes().await.map_err(failed)?;
        answer
            .body(body)
            .map_err(|error| reqsign_core::Error::unexpected(error.to_string()))
    }
}
