//! The chains that the node knows by name.

use noesis_runtime::{
    genesis_presets::STAGING_RUNTIME_PRESET, TOKEN_DECIMALS, TOKEN_SYMBOL, WASM_BINARY,
};
use sc_service::{ChainType, GenericChainSpec, Properties};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};

/// The chain of this name, or the one in the file of this path.
pub fn load(id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
    Ok(Box::new(match id {
        "dev" => preset(
            "Noesis Development",
            "noesis_dev",
            ChainType::Development,
            DEV_RUNTIME_PRESET,
        )?,
        "" | "local" => preset(
            "Noesis Local",
            "noesis_local",
            ChainType::Local,
            LOCAL_TESTNET_RUNTIME_PRESET,
        )?,
        "staging" => preset(
            "Noesis Staging",
            "noesis_staging",
            ChainType::Live,
            STAGING_RUNTIME_PRESET,
        )?,
        path => GenericChainSpec::from_json_file(path.into()).map_err(|reason| {
            format!(
                "'{path}' is neither a preset (dev, local, staging) nor a readable chain specification: \
                 {reason}"
            )
        })?,
    }))
}

/// A chain from a preset of the runtime.
fn preset(
    name: &str,
    id: &str,
    kind: ChainType,
    genesis: &str,
) -> Result<GenericChainSpec, String> {
    let code = WASM_BINARY.ok_or(
        "this node was built without its runtime's Wasm: unset SKIP_WASM_BUILD and build again",
    )?;
    Ok(GenericChainSpec::builder(code, None)
        .with_name(name)
        .with_id(id)
        .with_chain_type(kind)
        .with_properties(currency())
        .with_genesis_config_preset_name(genesis)
        .build())
}

/// How wallets show amounts.
fn currency() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), TOKEN_SYMBOL.into());
    properties.insert("tokenDecimals".into(), TOKEN_DECIMALS.into());
    properties.insert("ss58Format".into(), 42.into());
    properties
}
