//! Secrecy: TLS 1.3 with a certificate that the neuron signed itself and whose fingerprint is on chain.
//!
//! No authority vouches for anybody here, and neither name nor date is looked at: a caller accepts the
//! certificate with the fingerprint that the neuron published, and nothing else. Who answers is told by the
//! signature of each answer all the same.

mod certificate;
mod connector;

pub use certificate::{Certificate, CertificateProblem, Fingerprint};
pub(crate) use connector::Connector;

/// The protocol that is spoken within.
const PROTOCOL: &[u8] = b"h2";
/// The name in certificates and handshakes.
const NAME: &str = "noesis";
