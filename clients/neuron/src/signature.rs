//! What is signed, and how it travels in the metadata.
//!
//! A request is signed over these bytes, one after the other:
//!
//! | bytes | what |
//! |---|---|
//! | 17 | `noesis/v1/request` |
//! | 32 | hash of the chain's genesis block |
//! | 1 + n | length and ASCII name of the method: `Describe`, `Forward` or `Backward` |
//! | 32 | hotkey of the sender |
//! | 32 | hotkey of the receiver |
//! | 16 | random nonce |
//! | 8 | expiry, milliseconds since 1970, little-endian |
//! | 32 | BLAKE3 of the request's protobuf bytes |
//!
//! and an answer over these:
//!
//! | bytes | what |
//! |---|---|
//! | 18 | `noesis/v1/response` |
//! | 32 | hash of the chain's genesis block |
//! | 32 | BLAKE3 of the bytes that the request's signature is over |
//! | 32 | BLAKE3 of the answer's protobuf bytes |
//!
//! with sr25519 in the context `substrate`, as hotkeys sign everything else. No extrinsic begins with
//! these tags, so neither can be taken for the other. All values travel as lower-case hexadecimal,
//! the expiry as a decimal number, under the keys below. The hash of the body is among them, so that
//! a server verifies the signature before it reads the body.
//!
//! The expiry is bounded on both sides. A client signs for the whole [`VALIDITY`]; a server refuses
//! what has expired, and what expires later than a clock that is ahead by its `clock_skew` would say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use subxt_signer::sr25519::{verify, Keypair, PublicKey, Signature};
use tonic::{
    codegen::http::HeaderMap,
    metadata::{errors::InvalidMetadataValue, Ascii, MetadataMap, MetadataValue},
};

use crate::{Failure, Hotkey};

/// For how long a request is valid from the moment it is signed.
pub const VALIDITY: Duration = Duration::from_secs(30);

/// Metadata key of the genesis hash.
pub const GENESIS_KEY: &str = "noesis-genesis";
/// Metadata key of the sender's hotkey.
pub const SENDER_KEY: &str = "noesis-sender";
/// Metadata key of the receiver's hotkey.
pub const RECEIVER_KEY: &str = "noesis-receiver";
/// Metadata key of the nonce.
pub const NONCE_KEY: &str = "noesis-nonce";
/// Metadata key of the expiry.
pub const EXPIRY_KEY: &str = "noesis-expiry";
/// Metadata key of the hash of the body.
pub const BODY_KEY: &str = "noesis-body";
/// Metadata key of the signature, of the request and of the answer.
pub const SIGNATURE_KEY: &str = "noesis-signature";

const REQUEST_TAG: &[u8] = b"noesis/v1/request";
const RESPONSE_TAG: &[u8] = b"noesis/v1/response";

/// Milliseconds since 1970, as this machine's clock says.
pub fn now_milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    milliseconds(now.unwrap_or_default())
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A method of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Who answers.
    Describe,
    /// Inputs to an answer.
    Forward,
    /// A gradient.
    Backward,
}

impl Method {
    /// Its name, as it is signed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "Describe",
            Self::Forward => "Forward",
            Self::Backward => "Backward",
        }
    }

    /// Its path in HTTP.
    pub fn path(self) -> &'static str {
        match self {
            Self::Describe => "/noesis.v1.Neuron/Describe",
            Self::Forward => "/noesis.v1.Neuron/Forward",
            Self::Backward => "/noesis.v1.Neuron/Backward",
        }
    }

    /// The method of a path.
    pub fn of_path(path: &str) -> Option<Self> {
        [Self::Describe, Self::Forward, Self::Backward]
            .into_iter()
            .find(|method| method.path() == path)
    }
}

/// Everything that the signature of a request covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Hash of the genesis block of the chain that both follow.
    pub genesis: [u8; 32],
    /// What is called.
    pub method: Method,
    /// Who calls, and signs.
    pub sender: Hotkey,
    /// Who is called, and signs the answer.
    pub receiver: Hotkey,
    /// Makes the request unlike any other.
    pub nonce: [u8; 16],
    /// When it stops being valid, in milliseconds since 1970.
    pub expiry: u64,
    /// BLAKE3 of the request's protobuf bytes.
    pub body: [u8; 32],
}

impl Envelope {
    /// The envelope of a request that is made now: a fresh nonce, valid for [`VALIDITY`].
    pub fn new(
        genesis: [u8; 32],
        method: Method,
        sender: Hotkey,
        receiver: Hotkey,
        body: &[u8],
    ) -> Self {
        Self {
            genesis,
            method,
            sender,
            receiver,
            nonce: rand::random(),
            expiry: now_milliseconds().saturating_add(milliseconds(VALIDITY)),
            body: *blake3::hash(body).as_bytes(),
        }
    }

    /// The bytes that are signed.
    pub fn payload(&self) -> Vec<u8> {
        let method = self.method.name().as_bytes();
        let length = u8::try_from(method.len()).expect("names of methods are short");
        [
            REQUEST_TAG,
            &self.genesis,
            &[length],
            method,
            &self.sender,
            &self.receiver,
            &self.nonce,
            &self.expiry.to_le_bytes(),
            &self.body,
        ]
        .concat()
    }

    /// Hash of the signed bytes: what the answer's signature refers to, and the replay cache keeps.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.payload()).as_bytes()
    }

    /// Signs the envelope and writes all of it into `metadata`.
    pub fn write(&self, identity: &Keypair, metadata: &mut MetadataMap) {
        metadata.insert(GENESIS_KEY, hexadecimal(&self.genesis));
        metadata.insert(SENDER_KEY, hexadecimal(&self.sender));
        metadata.insert(RECEIVER_KEY, hexadecimal(&self.receiver));
        metadata.insert(NONCE_KEY, hexadecimal(&self.nonce));
        metadata.insert(EXPIRY_KEY, MetadataValue::from(self.expiry));
        metadata.insert(BODY_KEY, hexadecimal(&self.body));
        let signature = identity.sign(&self.payload());
        metadata.insert(SIGNATURE_KEY, hexadecimal(&signature.0));
    }

    /// Reads an envelope and its signature, which is not verified yet.
    ///
    /// # Errors
    /// [`Failure::Unauthenticated`] where something is missing or not what it should be.
    pub fn read(method: Method, headers: &HeaderMap) -> Result<(Self, Signature), Failure> {
        let envelope = Self {
            genesis: field(headers, GENESIS_KEY)?,
            method,
            sender: field(headers, SENDER_KEY)?,
            receiver: field(headers, RECEIVER_KEY)?,
            nonce: field(headers, NONCE_KEY)?,
            expiry: value(headers, EXPIRY_KEY)?
                .parse()
                .map_err(|_| malformed(EXPIRY_KEY, "milliseconds since 1970"))?,
            body: field(headers, BODY_KEY)?,
        };
        Ok((envelope, Signature(field(headers, SIGNATURE_KEY)?)))
    }

    /// Checks that the sender signed exactly this.
    ///
    /// # Errors
    /// [`Failure::Unauthenticated`].
    pub fn verify(&self, signature: &Signature) -> Result<(), Failure> {
        if verify(signature, self.payload(), &PublicKey(self.sender)) {
            return Ok(());
        }
        Err(Failure::Unauthenticated(format!(
            "the signature is not the sender's over this request; sign it with the key of {}",
            hex::encode(self.sender)
        )))
    }

    fn answer_payload(&self, body: &[u8]) -> Vec<u8> {
        [
            RESPONSE_TAG,
            &self.genesis,
            &self.hash(),
            blake3::hash(body).as_bytes(),
        ]
        .concat()
    }

    /// Signs the bytes of the answer to this request into `metadata`.
    pub fn sign_answer(&self, body: &[u8], identity: &Keypair, metadata: &mut MetadataMap) {
        let signature = identity.sign(&self.answer_payload(body));
        metadata.insert(SIGNATURE_KEY, hexadecimal(&signature.0));
    }

    /// Checks that the receiver signed exactly these bytes as its answer to this request.
    ///
    /// # Errors
    /// [`Failure::Unauthenticated`].
    pub fn verify_answer(&self, body: &[u8], headers: &HeaderMap) -> Result<(), Failure> {
        let signature = Signature(field(headers, SIGNATURE_KEY)?);
        if verify(
            &signature,
            self.answer_payload(body),
            &PublicKey(self.receiver),
        ) {
            return Ok(());
        }
        Err(Failure::Unauthenticated(format!(
            "the answer is not signed by {}; trust nothing from this endpoint",
            hex::encode(self.receiver)
        )))
    }
}

fn hexadecimal(bytes: &[u8]) -> MetadataValue<Ascii> {
    let value: Result<_, InvalidMetadataValue> = hex::encode(bytes).parse();
    value.expect("hexadecimal digits are ASCII")
}

fn value<'a>(headers: &'a HeaderMap, key: &str) -> Result<&'a str, Failure> {
    let value = headers.get(key).ok_or_else(|| {
        Failure::Unauthenticated(format!("there is no {key}; sign every message"))
    })?;
    value.to_str().map_err(|_| malformed(key, "ASCII"))
}

fn field<const N: usize>(headers: &HeaderMap, key: &str) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    hex::decode_to_slice(value(headers, key)?, &mut bytes)
        .map_err(|_| malformed(key, &format!("{N} bytes in hexadecimal")))?;
    Ok(bytes)
}

fn malformed(key: &str, expected: &str) -> Failure {
    Failure::Unauthenticated(format!("{key} is malformed; it is {expected}"))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use subxt_signer::SecretUri;

    use super::*;

    fn key(uri: &str) -> Keypair {
        Keypair::from_uri(&SecretUri::from_str(uri).expect("a good URI")).expect("a good key")
    }

    fn envelope() -> Envelope {
        Envelope {
            genesis: [1; 32],
            method: Method::Forward,
            sender: key("//Alice").public_key().0,
            receiver: [3; 32],
            nonce: [4; 16],
            expiry: 0x0102_0304,
            body: *blake3::hash(b"body").as_bytes(),
        }
    }

    #[test]
    fn the_payload_is_laid_out_as_documented() {
        let expected = [
            "6e6f657369732f76312f72657175657374", // noesis/v1/request
            &"01".repeat(32),
            "07466f7277617264", // Forward
            "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d", // //Alice
            &"03".repeat(32),
            &"04".repeat(16),
            "0403020100000000",
            &blake3::hash(b"body").to_hex(),
        ]
        .concat();
        assert_eq!(hex::encode(envelope().payload()), expected);
    }

    #[test]
    fn an_envelope_comes_back_as_it_went() {
        let mut metadata = MetadataMap::new();
        envelope().write(&key("//Alice"), &mut metadata);
        let (read, signature) = Envelope::read(Method::Forward, metadata.as_ref()).expect("whole");
        assert_eq!(read, envelope());
        assert_eq!(read.verify(&signature), Ok(()));
    }

    #[test]
    fn an_answer_is_bound_to_its_request_and_bytes() {
        let mut request = envelope();
        request.receiver = key("//Bob").public_key().0;
        let mut metadata = MetadataMap::new();
        request.sign_answer(b"answer", &key("//Bob"), &mut metadata);
        let headers: &HeaderMap = metadata.as_ref();
        assert_eq!(request.verify_answer(b"answer", headers), Ok(()));
        assert!(request.verify_answer(b"another", headers).is_err());
        let later = Envelope {
            expiry: request.expiry + 1,
            ..request.clone()
        };
        assert!(later.verify_answer(b"answer", headers).is_err());
        let mut stolen = MetadataMap::new();
        request.sign_answer(b"answer", &key("//Alice"), &mut stolen);
        assert!(request.verify_answer(b"answer", stolen.as_ref()).is_err());
    }

    #[test]
    fn requests_are_never_alike() {
        let new = || Envelope::new([1; 32], Method::Describe, [2; 32], [3; 32], b"");
        assert_ne!(new().hash(), new().hash());
    }

    #[test]
    fn methods_and_paths_belong_together() {
        for method in [Method::Describe, Method::Forward, Method::Backward] {
            let path = format!("/{}/{}", noesis_proto::SERVICE, method.name());
            assert_eq!(method.path(), path);
            assert_eq!(Method::of_path(&path), Some(method));
        }
        assert_eq!(Method::of_path("/noesis.v1.Neuron/forward"), None);
    }
}
