//! Clients of the Python world, each with a development node of its own.

use anyhow::Result;
use noesis_tests::{
    foreign::{self, python, Ways},
    free_port, Node,
};

/// Plays the recipe with a client and checks what came of it.
async fn plays(folder: &str, program: &str, ways: Ways) -> Result<()> {
    let chain_folder = tempfile::tempdir()?;
    let mut node = Node::start(chain_folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    let mut command = python(folder, program)?;
    command.args(["--url", &node.url]);
    foreign::plays(command, "//Alice", &chain, "Noesis Development", ways).await
}

/// It reads metadata 14, which says nothing of runtime APIs.
#[tokio::test]
async fn substrate_interface() -> Result<()> {
    let ways = Ways {
        runtime_api: false,
        json_rpc: true,
    };
    plays("python", "substrate_interface_client.py", ways).await
}

#[tokio::test]
async fn async_substrate_interface() -> Result<()> {
    let program = "async_substrate_interface_client.py";
    plays("clients/python", program, Ways::BOTH).await
}
