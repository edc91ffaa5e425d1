//! The certificate of a neuron, and where it is kept.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use noesis_files::OWNER_ALONE;
use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::{
    rustls::{
        crypto::ring,
        pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer},
        version::TLS13,
        ServerConfig,
    },
    TlsAcceptor,
};

use super::{NAME, PROTOCOL};

/// BLAKE3 of a certificate's DER bytes, as it is published on chain.
pub type Fingerprint = [u8; 32];

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateProblem {
    /// The file can be neither read nor written.
    #[error("{path}: {error}; let this user read and write the folder")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// No certificate could be made.
    #[error("no certificate could be made: {0}; please report it")]
    Making(#[from] rcgen::Error),
    /// What is there is no certificate with its key.
    #[error(
        "no certificate with its key: {0}; delete the file, and a new one is made and published"
    )]
    Malformed(String),
}

/// A certificate that a neuron signed itself, with its secret key.
#[derive(Clone)]
pub struct Certificate {
    fingerprint: Fingerprint,
    config: Arc<ServerConfig>,
}

/// Without the secret key.
impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Certificate")
            .field(&hex::encode(self.fingerprint))
            .finish()
    }
}

impl Certificate {
    /// The certificate in the PEM file at `path`, which is made, readable by its owner alone, where
    /// there is none. The same file is the same fingerprint, so that a restart publishes nothing.
    ///
    /// # Errors
    /// [`CertificateProblem`].
    pub fn keep_at(path: &Path) -> Result<Self, CertificateProblem> {
        let problem = |error| CertificateProblem::File {
            path: path.to_owned(),
            error,
        };
        match fs::read(path) {
            Ok(pem) => Self::from_pem(&pem),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pem = make()?;
                noesis_files::write(path, pem.as_bytes(), OWNER_ALONE).map_err(problem)?;
                Self::from_pem(pem.as_bytes())
            }
            Err(error) => Err(problem(error)),
        }
    }

    /// A fresh one that is kept nowhere.
    ///
    /// # Errors
    /// [`CertificateProblem`].
    pub fn fresh() -> Result<Self, CertificateProblem> {
        Self::from_pem(make()?.as_bytes())
    }

    fn from_pem(pem: &[u8]) -> Result<Self, CertificateProblem> {
        let malformed = |error: &dyn fmt::Display| CertificateProblem::Malformed(error.to_string());
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| malformed(&error))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| malformed(&error))?;
        let fingerprint = *blake3::hash(&certificate).as_bytes();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| malformed(&error))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        let mut config = config.map_err(|error| malformed(&error))?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            fingerprint,
            config: Arc::new(config),
        })
    }

    /// What is published on chain.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

/// A new certificate and its key, as PEM.
fn make() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}
