//! The gRPC protocol between neurons, generated from `proto/noesis/v1/neuron.proto`.
//!
//! The messages come with an ordinary client, which signs nothing; `noesis-neuron` has the client
//! and the server that do. Tensor data is [`Bytes`], so that decoding a message
//! copies no tensor.

pub use prost::bytes::Bytes;

/// Version 1 of the protocol.
#[allow(missing_docs, unused_qualifications, clippy::all)] // generated; see the .proto file
pub mod v1 {
    tonic::include_proto!("noesis.v1");
}

/// Full name of the service, as it stands in paths and in health checks.
pub const SERVICE: &str = "noesis.v1.Neuron";

/// The encoded descriptors of all messages and services here, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("noesis");
