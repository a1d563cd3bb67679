//! TLS: the server is known by its authority, and we by our certificate.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A certificate and its key, in PEM.
    fn signs(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).unwrap();
    }
}

/// A server that is `name` by the authority, and wants clients that are known by it, too.
fn server_config(authority: &Authority, name: &str) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let (certificate, key) = authority.signs(name, ExtendedKeyUsagePurpose::ServerAuth);
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap()
}

struct Client {
    folder: tempfile::TempDir,
    options: RestOptions,
}

impl Client {
    /// One that trusts the authority and is known by it.
    fn of(authority: &Authority, server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(server);
        options.uri = format!("https://{}", server.address);
        options.read_attempts_max = 1;
        authority.write(&folder.path().join("ca.pem"));
        options.tls.ca_file = Some(folder.path().join("ca.pem"));
        let client = Self { folder, options };
        let key = client.certify(authority);
        let mut options = client.options.clone();
        options.tls.certificate_file = Some(client.folder.path().join("client.pem"));
        options.tls.key = Some(key);
        Self { options, ..client }
    }

    fn certify(&self, authority: &Authority) -> Secret {
        let (certificate, key) = authority.signs("client", ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(self.folder.path().join("client.pem"), certificate).unwrap();
        secret(self.folder.path(), "client.key", &key)
    }
}

#[tokio::test]
async fn both_sides_show_who_they_are_and_new_certificates_are_taken_up() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let table = table_answer().await;
    let answers = move |request: &Request| usual(request, &table);
    let server = Server::start_tls(server_config(&authority, "127.0.0.1"), answers).await;
    let client = Client::of(&authority, &server);
    let catalog = open(client.options.clone()).await.unwrap();
    load(&catalog).await;
    // A server that we do not know: nothing is sent to it.
    let ca = client.folder.path().join("ca.pem");
    stranger.write(&ca);
    let error = catalog.load(&name()).await.unwrap_err();
    assert!(error.to_string().contains("no connection"), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    authority.write(&ca);
    // A client that it does not know.
    client.certify(&stranger);
    let sent = server.requests().len();
    let error = catalog.load(&name()).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), sent);
    client.certify(&authority);
    load(&catalog).await;
    // No certificate at all.
    let mut options = client.options.clone();
    options.tls.certificate_file = None;
    options.tls.key = None;
    assert!(open(options.clone()).await.is_err());
    options.tls.key = client.options.tls.key.clone();
    let error = open(options).await.unwrap_err();
    assert!(error.to_string().contains("together"), "{error}");
    std::fs::write(&ca, "no certificate").unwrap();
    let error = catalog.load(&name()).await.unwrap_err();
    assert!(matches!(&error, CatalogError::Rejected { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_of_another_name_is_not_spoken_to() {
    let authority = Authority::new();
    let answers = |request: &Request| usual(request, &Value::Null);
    let server = Server::start_tls(server_config(&authority, "127.0.0.2"), answers).await;
    let error = open(Client::of(&authority, &server).options)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(server.requests().is_empty());
}
