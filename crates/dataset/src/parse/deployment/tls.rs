//! Certificates, of whatever server they are for.

use super::given::Table;
use crate::{
    TlsSettings,
    parse::report::{Place, Report},
};

/// What a section of certificates says.
pub(super) fn settings(
    tls: &Table,
    section: &str,
    at: &Place,
    report: &mut Report<'_>,
) -> TlsSettings {
    let settings = TlsSettings {
        ca: tls.owned("ca"),
        certificate: tls.owned("certificate"),
        key: tls.secret("key"),
    };
    let place = |key| tls.at(key).unwrap_or(at);
    match (&settings.certificate, &settings.key) {
        (Some(_), None) if !tls.broken => {
            let message = format!("`{section}` has a certificate without its `key`");
            let help = "`key = { file = \"/run/secrets/key.pem\" }`".to_owned();
            report.error(place("certificate"), message, Some(help));
        }
        (None, Some(_)) if !tls.broken => {
            let message = format!("`{section}` has a key without its `certificate`");
            report.error(place("key"), message, None);
        }
        _ => {}
    }
    settings
}
