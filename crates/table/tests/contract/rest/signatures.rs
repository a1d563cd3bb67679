//! AWS signatures, checked by a computation that shares nothing with the client's but SHA-256.

use frazil_table::catalog::rest::{Authorization, SigV4Keys, SigV4Options};
use reqsign_core::hash::{hex_hmac_sha256, hex_sha256, hmac_sha256};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request, as AWS's documentation has it signed ("Create a signed AWS API request").
struct Signed<'a> {
    method: &'a str,
    /// Encoded as it was sent.
    path: &'a str,
    /// Encoded and in order.
    query: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    content_hash: String,
    time: &'a str,
    region: &'a str,
    service: &'a str,
}

impl Signed<'_> {
    fn signature(&self, secret: &str) -> String {
        // Every service but S3: what was encoded is encoded once more.
        let path = self.path.replace('%', "%25");
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        let headers = headers.concat();
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{}",
            self.method,
            self.query,
            names.join(";"),
            self.content_hash
        );
        let day = &self.time[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.time,
            hex_sha256(canonical.as_bytes())
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [day, self.region, self.service, "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        hex_hmac_sha256(&key, text.as_bytes())
    }
}

/// `get-vanilla` and `get-vanilla-query-order-key-case` of AWS's "Signature Version 4 Test Suite".
#[test]
fn the_computation_gives_the_published_signatures() {
    for (query, expected) in [
        (
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "Param1=value1&Param2=value2",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ] {
        let signed = Signed {
            method: "GET",
            path: "/",
            query,
            headers: vec![
                ("host", "example.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
            ],
            content_hash: hex_sha256(b""),
            time: "20150830T123600Z",
            region: "us-east-1",
            service: "service",
        };
        assert_eq!(
            signed.signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            expected
        );
    }
}

/// Whether a request is signed by that secret.
fn is_signed(request: &Request, region: &str, service: &str) -> bool {
    let authorization = request.header("authorization").unwrap();
    let part = |name: &str| {
        let (_, rest) = authorization.split_once(name).unwrap();
        rest.split(',').next().unwrap()
    };
    let time = request.header("x-amz-date").unwrap();
    let names = part("SignedHeaders=");
    for needed in ["host", "x-amz-date", "x-amz-content-sha256"] {
        assert!(
            names.split(';').any(|name| name == needed),
            "{authorization}"
        );
    }
    let credential = format!("AKID/{}/{region}/{service}/aws4_request", &time[..8]);
    assert_eq!(part("Credential="), credential);
    let content_hash = hex_sha256(&request.body);
    assert_eq!(
        request.header("x-amz-content-sha256"),
        Some(content_hash.as_str())
    );
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let signed = Signed {
        method: &request.method,
        path,
        query,
        headers: names
            .split(';')
            .map(|name| (name, request.header(name).unwrap()))
            .collect(),
        content_hash,
        time,
        region,
        service,
    };
    part("Signature=") == signed.signature(SECRET)
}

#[tokio::test]
async fn requests_are_signed_and_secrets_are_read_at_each() {
    let folder = tempfile::tempdir().unwrap();
    let table = table_answer().await;
    let overrides = json!({"prefix": "arn%3Aaws%3As3tables%2Fb"});
    let server = Server::start(move |request| {
        if request.is("GET", CONFIG) {
            Reply::json(&json!({"defaults": {}, "overrides": overrides}))
        } else if request.method == "GET" {
            Reply::json(&table)
        } else {
            Reply::status(403)
        }
    })
    .await;
    let keys = SigV4Keys::Given {
        access_key_id: secret(folder.path(), "id", "AKID"),
        secret_access_key: secret(folder.path(), "secret", SECRET),
        session_token: Some(secret(folder.path(), "session", "session-1")),
    };
    let options = RestOptions {
        warehouse: Some("arn:aws:s3tables/b".to_owned()),
        authorization: Authorization::SigV4(SigV4Options {
            region: "eu-central-1".to_owned(),
            service: "s3tables".to_owned(),
            keys,
        }),
        ..options(&server)
    };
    let catalog = open(options).await.unwrap();
    std::fs::write(folder.path().join("session"), "session-2").unwrap();
    let mut nested = name();
    nested.namespace.push("deep".to_owned());
    let base = catalog.load(&nested).await.unwrap().unwrap();
    let error = commit(&catalog, &base).await.unwrap_err();
    assert!(matches!(&error, CommitError::Rejected(_)), "{error:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(
        requests[1]
            .target
            .contains("/arn%3Aaws%3As3tables%2Fb/namespaces/logs%1Fdeep/")
    );
    for request in &requests {
        assert!(
            is_signed(request, "eu-central-1", "s3tables"),
            "{request:?}"
        );
    }
    let sessions: Vec<_> = requests
        .iter()
        .filter_map(|r| r.header("x-amz-security-token"))
        .collect();
    assert_eq!(sessions, ["session-1", "session-2", "session-2"]);
    assert!(!requests[2].body.is_empty());
    // Another secret, and the signature is another.
    std::fs::write(folder.path().join("secret"), "other").unwrap();
    catalog.load(&nested).await.unwrap();
    assert!(!is_signed(
        &server.requests()[3],
        "eu-central-1",
        "s3tables"
    ));
}
