//! Builds the runtime as Wasm, to be embedded in the node.

fn main() {
    // Within the Wasm build itself there is nothing to embed.
    #[cfg(feature = "std")]
    {
        // `CheckMetadataHash` takes it from here when it is compiled. The builder could find it out, but would build
        // everything twice for it, with an executor of its own: `tests/metadata_hash.rs` says when the file is not true.
        let hash = include_str!("metadata-hash.txt").trim();
        std::env::set_var("RUNTIME_METADATA_HASH", hash);
        substrate_wasm_builder::WasmBuilder::build_using_defaults();
    }
}
