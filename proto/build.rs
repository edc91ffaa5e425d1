//! Generates the messages from the `.proto` files, and keeps their descriptors for reflection.

use std::{env, io, path::PathBuf};

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    tonic_prost_build::configure()
        .bytes(".")
        // The server is written by hand over raw bytes, because it checks a call before decoding it.
        .build_server(false)
        .file_descriptor_set_path(out.join("noesis.bin"))
        .compile_protos(&["proto/noesis/v1/neuron.proto"], &["proto"])
}
