//! Encrypted and authenticated, with secrets by reference.

use serde_json::json;

use crate::{Broker, User};

#[test]
fn each_way_in_is_taken_and_wrong_credentials_are_told() {
    let broker = Broker::start();
    broker.create_topic("web", 1, &[]);
    broker.producer().numbers("web", 0..10, 1);
    let told = |key: &str| broker.told(key);
    let tls = format!("[kafka.main.tls]\nca = \"{}\"\n", told("ca"));
    let mutual = format!(
        "{tls}certificate = \"{}\"\nkey = {{ file = \"{}\" }}\n",
        told("certificate"),
        told("key")
    );
    let password = |mechanism: &str| {
        format!(
            "[kafka.main.sasl]\nmechanism = \"{mechanism}\"\nusername = \"{}\"\npassword = {{ env = \"THE_PASSWORD\" }}\n",
            told("user")
        )
    };
    let token = format!(
        "[kafka.main.sasl]\nmechanism = \"oauthbearer\"\nserver_uri = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ env = \"THE_PASSWORD\" }}\n",
        told("token_endpoint"),
        told("client_id")
    );
    let user = User::of_numbers(&broker);
    let mut rows = 10;
    for (listener, settings, secret) in [
        ("ssl", tls.clone(), ""),
        ("mtls", mutual, ""),
        (
            "sasl_ssl",
            format!("{tls}{}", password("plain")),
            "password",
        ),
        (
            "sasl_ssl",
            format!("{tls}{}", password("scram-sha-256")),
            "password",
        ),
        ("sasl_plaintext", password("scram-sha-512"), "password"),
        ("sasl_plaintext", token, "client_secret"),
    ] {
        let brokers = format!(
            "[kafka.main]\nbrokers = [\"{}\"]\n",
            broker.address(listener)
        );
        user.file("frazil.toml", format!("{brokers}{settings}"));
        let secret = if secret.is_empty() { "" } else { told(secret) };
        let ended = user.write_with(&["--once", "--json"], &[("THE_PASSWORD", secret)]);
        assert_eq!(ended.code, Some(0), "{listener}: {ended:?}");
        assert_eq!(ended.json()[0]["rows_written"], json!(rows), "{listener}");
        assert!(secret.is_empty() || !ended.stderr.contains(secret));
        broker.producer().numbers("web", 0..1, 1);
        rows = 1;
    }
    let brokers = format!(
        "[kafka.main]\nbrokers = [\"{}\"]\n",
        broker.address("sasl_ssl")
    );
    user.file(
        "frazil.toml",
        format!("{brokers}{tls}{}", password("scram-sha-256")),
    );
    let ended = user.write_with(&["--once"], &[("THE_PASSWORD", "hunter2-5d1f")]);
    ended.failed(2, &["Kafka cluster main", "credentials"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}
