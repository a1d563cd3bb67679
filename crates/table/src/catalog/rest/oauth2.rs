//! OAuth2 client credentials: one token for all calls, asked for again before it expires, or when
//! the server no longer takes one that it took before.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use frazil_service::clock::Clock;
use reqwest::{
    Method, Url,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::sync::Mutex;

use super::{
    http::{Answer, Call, Http, NoAnswer, unusable},
    options::{OAuth2Options, RestOptions},
    outcome,
    wire::{TokenAnswer, TokenRefusal},
};

/// A token is renewed so long before it expires, or after nine tenths of its life where that is short.
const RENEW_BEFORE_MS: i64 = 60_000;

/// Longest answer of a token server that is taken.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// The tokens of one client.
#[derive(Debug)]
pub(super) struct Tokens {
    options: OAuth2Options,
    url: Url,
    /// Whether tokens are given out by the catalog itself, which the options' headers are meant for.
    own: bool,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    token: Option<Token>,
    /// Counts tokens.
    number: u64,
}

struct Token {
    text: String,
    /// `None`: the server did not say, and refusals tell.
    renew_at_ms: Option<i64>,
    /// Whether the catalog took it once. One that it never took is refused for another reason than age.
    taken: bool,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Tokens {
    pub(super) fn new(
        oauth2: OAuth2Options,
        options: &RestOptions,
        base: &Url,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let url = match &oauth2.server_uri {
            Some(uri) => uri
                .parse()
                .map_err(|e| format!("the OAuth2 server's address is not valid: {e}"))?,
            None => format!("{}/v1/oauth/tokens", base.as_str().trim_end_matches('/'))
                .parse()
                .expect("a path behind a valid address"),
        };
        Ok(Self {
            own: oauth2.server_uri.is_none(),
            options: oauth2,
            url,
            timeout: options.read_timeout,
            clock,
            current: Mutex::default(),
        })
    }

    /// The token to use now, and its number. Callers that need a new one at once share it.
    pub(super) async fn current(&self, http: &Http) -> Result<(String, u64), NoAnswer> {
        let mut current = self.current.lock().await;
        let now_ms = self.clock.now_millis();
        if let Some(token) = current.token.as_ref()
            && token.renew_at_ms.is_none_or(|renew| now_ms < renew)
        {
            return Ok((token.text.clone(), current.number));
        }
        let token = self.ask(http, now_ms).await?;
        let text = token.text.clone();
        current.token = Some(token);
        current.number += 1;
        Ok((text, current.number))
    }

    pub(super) async fn taken(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.number == number
            && let Some(token) = current.token.as_mut()
        {
            token.taken = true;
        }
    }

    /// The server refused the token of that number. True: the next call will be by a newer one,
    /// and this one was taken before, or is not the newest any longer.
    pub(super) async fn refused(&self, number: u64) -> bool {
        let mut current = self.current.lock().await;
        if current.number != number {
            return true;
        }
        current.token.take().is_none_or(|token| token.taken)
    }

    async fn ask(&self, http: &Http, now_ms: i64) -> Result<Token, NoAnswer> {
        let mut headers = if self.own {
            http.own_headers()?
        } else {
            HeaderMap::new()
        };
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let call = Call {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: self.form()?,
            answer_bytes_max: ANSWER_BYTES_MAX,
            timeout: self.timeout,
        };
        let answer = http.send(call).await.map_err(|failure| match failure {
            NoAnswer::Unusable(reason) => NoAnswer::Unusable(self.no_token(&reason)),
            // Whatever became of it, the call that wants the token was not sent.
            NoAnswer::NotSent(reason) | NoAnswer::Lost(reason) | NoAnswer::TooLong(reason) => {
                NoAnswer::NotSent(self.no_token(&reason))
            }
        })?;
        self.token(&answer, now_ms)
    }

    fn form(&self) -> Result<Bytes, NoAnswer> {
        let credential = self.options.credential.read().map_err(|e| unusable(&e))?;
        let mut url = Url::parse("form:x").expect("a valid address");
        {
            let mut form = url.query_pairs_mut();
            form.append_pair("grant_type", "client_credentials");
            match credential.expose().split_once(':') {
                Some((id, secret)) => {
                    form.append_pair("client_id", id);
                    form.append_pair("client_secret", secret);
                }
                None => {
                    form.append_pair("client_secret", credential.expose());
                }
            }
            form.append_pair("scope", &self.options.scope);
            for (key, value) in [
                ("audience", &self.options.audience),
                ("resource", &self.options.resource),
            ] {
                if let Some(value) = value {
                    form.append_pair(key, value);
                }
            }
        }
        Ok(Bytes::from(url.query().unwrap_or_default().to_owned()))
    }

    fn token(&self, answer: &Answer, now_ms: i64) -> Result<Token, NoAnswer> {
        if !answer.status.is_success() {
            let said = match serde_json::from_slice::<TokenRefusal>(&answer.body) {
                Ok(TokenRefusal {
                    error,
                    error_description,
                }) => outcome::shortened(&format!(
                    "{error}: {}",
                    error_description.unwrap_or_default()
                )),
                Err(_) => outcome::said(answer),
            };
            let reason = self.no_token(&format!("{}: {said}", answer.status));
            return Err(if outcome::may_pass(answer.status) {
                NoAnswer::NotSent(reason)
            } else {
                NoAnswer::Unusable(format!("{reason}; see the credential, scope and audience"))
            });
        }
        let token: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
            NoAnswer::Unusable(
                self.no_token("the answer is no token; see the OAuth2 server's address"),
            )
        })?;
        if !token.token_type.eq_ignore_ascii_case("bearer") {
            let kind = outcome::shortened(&token.token_type);
            return Err(NoAnswer::Unusable(
                self.no_token(&format!("it is of the type {kind}, not bearer")),
            ));
        }
        let renew_at_ms = token.expires_in.map(|seconds| {
            let life_ms = seconds.saturating_mul(1_000);
            now_ms.saturating_add((life_ms - RENEW_BEFORE_MS).max(life_ms / 10 * 9))
        });
        Ok(Token {
            text: token.access_token,
            renew_at_ms,
            taken: false,
        })
    }

    fn no_token(&self, reason: &str) -> String {
        format!("no token from {}: {reason}", outcome::place(&self.url))
    }
}
