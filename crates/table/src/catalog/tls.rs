//! What a catalog's TLS is checked with.

use std::path::PathBuf;

use frazil_service::secret::Secret;

/// Certificates beside the system's. Files are read again at each new connection or when they
/// changed, so that renewed ones are taken up without a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file of the certificate authorities that sign the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// A PEM file of our certificate, with its chain, for servers that ask who we are.
    pub certificate_file: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    pub key: Option<Secret>,
}
