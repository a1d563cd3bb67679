//! Who we are to a REST catalog: what is put on each request, and what a refusal of it means.

use std::sync::Arc;

use frazil_service::{clock::Clock, secret::Secret};
use reqwest::{
    Url,
    header::{self, HeaderMap},
};

use super::{
    http::{Call, Http, NoAnswer, secret_header, unusable},
    oauth2::Tokens,
    options::{Authorization, RestOptions},
    sigv4::Signing,
};

/// Who we are.
#[derive(Debug)]
pub(super) enum Authorizer {
    None,
    Bearer(Secret),
    OAuth2(Box<Tokens>),
    SigV4(Box<Signing>),
}

impl Authorizer {
    pub(super) fn new(
        options: &RestOptions,
        base: &Url,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        Ok(match &options.authorization {
            Authorization::None => Self::None,
            Authorization::Bearer(secret) => Self::Bearer(secret.clone()),
            Authorization::OAuth2(oauth2) => {
                let tokens = Tokens::new(oauth2.clone(), options, base, clock)?;
                Self::OAuth2(Box::new(tokens))
            }
            Authorization::SigV4(sigv4) => Self::SigV4(Box::new(Signing::new(sigv4)?)),
        })
    }

    /// Puts it on the call. The number tells one token from another.
    pub(super) async fn authorize(&self, http: &Http, call: &mut Call) -> Result<u64, NoAnswer> {
        match self {
            Self::None => {}
            Self::Bearer(secret) => {
                let token = secret.read().map_err(|e| unusable(&e))?;
                bearer(&mut call.headers, token.expose())?;
            }
            Self::OAuth2(tokens) => {
                let (token, number) = tokens.current(http).await?;
                bearer(&mut call.headers, &token)?;
                return Ok(number);
            }
            Self::SigV4(signing) => signing.sign(call).await?,
        }
        Ok(0)
    }

    /// The server took it.
    pub(super) async fn taken(&self, number: u64) {
        if let Self::OAuth2(tokens) = self {
            tokens.taken(number).await;
        }
    }

    /// The server refused it (401, 419). Whether the next call will be by something new.
    pub(super) async fn refused(&self, number: u64) -> bool {
        match self {
            Self::OAuth2(tokens) => tokens.refused(number).await,
            _ => false,
        }
    }
}

fn bearer(headers: &mut HeaderMap, token: &str) -> Result<(), NoAnswer> {
    let value = secret_header(&format!("Bearer {token}")).ok_or_else(|| {
        NoAnswer::Unusable("the token holds characters that no header takes".to_owned())
    })?;
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
}
