//! A client that nobody here wrote reads the market's storage and sends a row of weights: Python's
//! `substrate-interface`, which knows only what every Substrate chain has.

use anyhow::{ensure, Result};
use noesis_tests::{cache, free_port, Node};
use std::{path::Path, process::Command};

#[tokio::test]
async fn a_stock_client_reads_the_metagraph_and_sets_weights() -> Result<()> {
    let python = cache()?.join("python/bin/python");
    ensure!(
        python.exists(),
        "{} is missing: run scripts/setup test",
        python.display()
    );
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    node.chain().await?;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/stock_client.py");
    let output = Command::new(python).arg(script).arg(&node.url).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && said.contains("set_weights was included"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
