use super::*;
use crate::storage::options::StorageOptions;

fn properties(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn what_is_said_goes_over_the_options_and_the_rest_stays() {
    let vended = Vended::parse(
        "s3://lake/",
        &properties(&[
            ("s3.access-key-id", "AK"),
            ("s3.secret-access-key", "hidden"),
            ("s3.session-token", "hidden too"),
            ("s3.endpoint", "http://minio:9000"),
            ("s3.path-style-access", "TRUE"),
            ("s3.region", "eu-west-1"),
            ("client.region", "eu-north-1"),
            ("s3.sse.type", "kms"),
            ("s3.sse.key", "key-1"),
            ("write.object-storage.enabled", "true"),
        ]),
    )
    .unwrap();
    assert!(!format!("{vended:?}").contains("hidden"));
    let keys = vended.s3.keys.clone().unwrap();
    assert_eq!(keys.access_key_id.expose(), "AK");
    assert_eq!(keys.session_token.unwrap().expose(), "hidden too");
    let mut options = StorageOptions::default().s3;
    options.credentials = S3Credentials::Anonymous;
    vended.s3.apply(&mut options);
    assert_eq!(options.endpoint.as_deref(), Some("http://minio:9000"));
    assert_eq!(options.region.as_deref(), Some("eu-north-1"));
    assert!(options.path_style);
    assert_eq!(options.credentials, S3Credentials::Chain);
    let key_id = Some("key-1".to_owned());
    assert_eq!(options.encryption, S3Encryption::Kms { key_id });

    let nothing = Vended::parse("", &properties(&[("s3.endpoint", "")])).unwrap();
    let before = options.clone();
    nothing.s3.apply(&mut options);
    assert_eq!(options, before);
}

#[test]
fn tokens_are_for_their_account() {
    let vended = Vended::parse(
        "",
        &properties(&[
            ("adls.sas-token.acme.dfs.core.windows.net", "by host"),
            ("adls.sas-token.other", "by account"),
            ("adls.sas-token-expires-at-ms.other", "17"),
            ("gcs.oauth2.token", "google"),
        ]),
    )
    .unwrap();
    assert_eq!(vended.gcs.token.clone().unwrap().expose(), "google");
    let token = |account: &str| {
        vended
            .azure
            .sas_token(account, &format!("{account}.dfs.core.windows.net"))
    };
    assert_eq!(token("acme").unwrap().expose(), "by host");
    assert_eq!(token("other").unwrap().expose(), "by account");
    assert_eq!(token("third"), None);
    let vended = Vended::parse(
        "",
        &properties(&[
            ("adls.sas-token", "any"),
            ("adls.sas-token.acme", "its own"),
        ]),
    )
    .unwrap();
    let token = |account: &str| vended.azure.sas_token(account, "host").unwrap();
    assert_eq!(token("acme").expose(), "its own");
    assert_eq!(token("third").expose(), "any");
}

#[test]
fn half_a_pair_and_odd_values_are_refused_without_showing_them() {
    for (pairs, reason) in [
        (&[("s3.access-key-id", "hidden")][..], "only one of"),
        (&[("s3.secret-access-key", "hidden")], "only one of"),
        (&[("s3.path-style-access", "yes")], "`yes`"),
        (
            &[("s3.sse.type", "custom"), ("s3.sse.key", "hidden")],
            "`custom`",
        ),
    ] {
        let error = Vended::parse("s3://lake", &properties(pairs)).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}
