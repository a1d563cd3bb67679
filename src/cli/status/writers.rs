//! What running writers say of themselves.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// What a writer answers at `/health/ready`.
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    /// Its address.
    #[serde(skip)]
    pub(super) writer: String,
    pub(super) datasets: Vec<DatasetHealth>,
}

/// What it says of a dataset.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DatasetHealth {
    pub(super) dataset: String,
    pub(super) state: String,
    pub(super) ready: bool,
    pub(super) error: Option<String>,
    pub(super) next: Option<String>,
    pub(super) since: Option<Value>,
}

/// The writers that are asked.
pub(super) struct Writers {
    client: reqwest::Client,
    addresses: Vec<String>,
}

impl Writers {
    pub(super) fn new(addresses: &[String], limit: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(limit)
            .build()
            .context("make a client for HTTP")?;
        let address = |given: &String| {
            let given = given.trim_end_matches('/');
            if given.contains("://") {
                given.to_owned()
            } else {
                format!("http://{given}")
            }
        };
        Ok(Self {
            client,
            addresses: addresses.iter().map(address).collect(),
        })
    }

    /// Asks all of them at the same time. The error says why there is no answer, and reads after "failed to …".
    pub(super) async fn ask(&self) -> Vec<Result<Health, String>> {
        let asked = self.addresses.iter().map(|address| async move {
            let failed = |error: reqwest::Error| {
                format!("ask the writer at {address}: {}", error.without_url())
            };
            // A writer that is not ready says so by its status, too.
            let answer = self.client.get(format!("{address}/health/ready"));
            let answer = answer.send().await.map_err(failed)?;
            let health = answer.json::<Health>().await.map_err(failed)?;
            Ok(Health {
                writer: address.clone(),
                ..health
            })
        });
        futures::future::join_all(asked).await
    }
}
