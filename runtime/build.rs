//! Builds the runtime as Wasm, to be embedded in the node.

fn main() {
    // Within the Wasm build itself there is nothing to embed.
    #[cfg(feature = "std")]
    substrate_wasm_builder::WasmBuilder::build_using_defaults();
}
