//! Calls to a REST catalog: reading ones are made a few times where that may help, changing ones once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use frazil_service::clock::{Clock, Ids};
use reqwest::{
    Method, Url,
    header::{self, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    authorization::Authorizer,
    http::{Answer, Call, Http, NoAnswer},
    options::{AccessDelegation, Authorization, RestOptions},
    outcome, paths,
};
use crate::catalog::{CatalogError, CommitError};

/// Waits between reading calls: doubled from the first up to the longest, and up to twice that by chance.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

const ACCESS_DELEGATION: HeaderName = HeaderName::from_static("x-iceberg-access-delegation");

/// Longest answer without a table's metadata that is taken, in bytes.
pub(super) const SMALL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Makes calls.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: String,
    pub(super) base: Url,
    options: RestOptions,
    http: Http,
    authorizer: Authorizer,
    ids: Arc<dyn Ids>,
}

/// How a reading call ended that was answered.
pub(super) enum Read {
    Success(Bytes),
    /// Another answer, which the caller may understand.
    Refused(Answer),
}

impl Client {
    pub(super) fn new(
        options: RestOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, CatalogError> {
        let refuse = |reason: String| CatalogError::Rejected {
            catalog: "REST".to_owned(),
            reason,
        };
        let base = paths::base(&options.uri).map_err(refuse)?;
        let address = outcome::place(&base);
        let anonymous = matches!(options.authorization, Authorization::None);
        if base.scheme() == "http" && !anonymous && !is_loopback(&base) {
            tracing::warn!(
                catalog = address,
                "credentials are sent without TLS; name an https:// address"
            );
        }
        Ok(Self {
            http: Http::new(&options).map_err(refuse)?,
            authorizer: Authorizer::new(&options, &base, clock).map_err(refuse)?,
            address,
            base,
            options,
            ids,
        })
    }

    /// Reads, with a table's metadata in the answer or without.
    pub(super) async fn read(&self, url: Url, answer_bytes_max: u64) -> Result<Read, CatalogError> {
        let mut attempt = 0;
        let mut renewed = false;
        loop {
            attempt += 1;
            let call = self.call(Method::GET, url.clone(), Bytes::new(), answer_bytes_max);
            let (result, may_renew) = self.send(call).await;
            let last = attempt >= self.options.read_attempts_max;
            let wait = match result {
                Ok(answer) if answer.status.is_success() => return Ok(Read::Success(answer.body)),
                Ok(answer) if outcome::refuses_us(answer.status) && may_renew && !renewed => {
                    renewed = true;
                    attempt -= 1;
                    continue;
                }
                Ok(answer) if outcome::may_pass(answer.status) && !last => answer.retry_after,
                Ok(answer) => return Ok(Read::Refused(answer)),
                Err(NoAnswer::NotSent(_) | NoAnswer::Lost(_)) if !last => None,
                Err(failure) => return Err(outcome::read_error(&self.address, failure)),
            };
            tokio::time::sleep(wait.unwrap_or_else(|| self.wait(attempt))).await;
        }
    }

    /// Reads what must be there.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: Url,
        answer_bytes_max: u64,
    ) -> Result<T, CatalogError> {
        match self.read(url, answer_bytes_max).await? {
            Read::Success(body) => self.parsed(&body),
            Read::Refused(answer) => Err(self.refusal(&answer)),
        }
    }

    /// An answer that succeeded, as what it should be.
    pub(super) fn parsed<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CatalogError> {
        serde_json::from_slice(body).map_err(|e| CatalogError::Rejected {
            catalog: self.address.clone(),
            reason: format!(
                "its answer is not what a REST catalog answers: {e}; see the catalog's address"
            ),
        })
    }

    pub(super) fn refusal(&self, answer: &Answer) -> CatalogError {
        outcome::read_refusal(&self.address, answer)
    }

    /// Changes something, once: the answer, which may be a success, or why there is none.
    pub(super) async fn change<T: Serialize>(
        &self,
        url: Url,
        body: &T,
        answer_bytes_max: u64,
    ) -> Result<Bytes, Refused> {
        let body = serde_json::to_vec(body).map_err(|e| Refused {
            error: CommitError::Rejected(format!("the request cannot be written: {e}")),
            answer: None,
        })?;
        let call = self.call(Method::POST, url, body.into(), answer_bytes_max);
        let (result, renewed) = self.send(call).await;
        match result {
            Ok(answer) if answer.status.is_success() => Ok(answer.body),
            Ok(answer) => Err(Refused {
                error: outcome::commit_refusal(&self.address, &answer, renewed),
                answer: Some(answer),
            }),
            Err(failure) => Err(Refused {
                error: outcome::commit_error(&self.address, failure),
                answer: None,
            }),
        }
    }

    /// Makes a call once. The second: who we are was refused, and the next call is by something new.
    async fn send(&self, mut call: Call) -> (Result<Answer, NoAnswer>, bool) {
        match self.http.own_headers() {
            Ok(headers) => call.headers.extend(headers),
            Err(failure) => return (Err(failure), false),
        }
        let number = match self.authorizer.authorize(&self.http, &mut call).await {
            Ok(number) => number,
            Err(failure) => return (Err(failure), false),
        };
        let result = self.http.send(call).await;
        let mut renewed = false;
        if let Ok(answer) = &result {
            if outcome::refuses_us(answer.status) {
                renewed = self.authorizer.refused(number).await;
            } else if answer.status.is_success() {
                self.authorizer.taken(number).await;
            }
        }
        (result, renewed)
    }

    fn call(&self, method: Method, url: Url, body: Bytes, answer_bytes_max: u64) -> Call {
        let json = HeaderValue::from_static("application/json");
        let mut headers = header::HeaderMap::new();
        headers.insert(header::ACCEPT, json.clone());
        // Only what is current may be decided on: no cache on the way may answer.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if self.options.access_delegation == AccessDelegation::VendedCredentials {
            let vended = HeaderValue::from_static("vended-credentials");
            headers.insert(ACCESS_DELEGATION, vended);
        }
        let timeout = if method == Method::GET {
            self.options.read_timeout
        } else {
            headers.insert(header::CONTENT_TYPE, json);
            self.options.commit_timeout
        };
        Call {
            method,
            url,
            headers,
            body,
            answer_bytes_max,
            timeout,
        }
    }

    fn wait(&self, attempt: u32) -> Duration {
        let wait = (WAIT_MIN * 2_u32.saturating_pow(attempt - 1)).min(WAIT_MAX);
        let (_, low) = self.ids.uuid().as_u64_pair();
        let share = f64::from((low & 0xffff) as u32) / 65_536.0;
        wait.mul_f64(1.0 + share)
    }
}

/// A changing call that did not succeed.
pub(super) struct Refused {
    /// What it means for a commit.
    pub(super) error: CommitError,
    /// The answer, if there was one.
    pub(super) answer: Option<Answer>,
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
