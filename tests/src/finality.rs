//! What nodes finalize, block by block, to see that it is one chain and that nothing of it is lost.

use crate::ask_at;
use anyhow::{ensure, Context, Result};
use serde_json::{json, Value};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// All that some nodes were seen to finalize.
pub struct Finality {
    nodes: Vec<SocketAddr>,
    /// The height of each node's last finalized block.
    pub finalized: Vec<u32>,
    /// The finalized block of every height, of the node that was seen to finalize it first.
    blocks: BTreeMap<u32, String>,
    /// Who finalized another.
    pub conflicts: Vec<String>,
}

impl Finality {
    /// Nothing is seen yet of the nodes that answer there.
    pub fn new(nodes: impl IntoIterator<Item = SocketAddr>) -> Self {
        let nodes: Vec<SocketAddr> = nodes.into_iter().collect();
        Self {
            finalized: vec![0; nodes.len()],
            nodes,
            blocks: BTreeMap::new(),
            conflicts: Vec::new(),
        }
    }

    /// Compares all that each node has finalized since it was looked at last.
    pub fn look(&mut self) -> Result<()> {
        for node in 0..self.nodes.len() {
            let last = self.last(node)?;
            ensure!(
                last >= self.finalized[node],
                "node {node} takes back what was final"
            );
            for height in self.finalized[node] + 1..=last {
                let block = self.block(node, height)?;
                let first = self.blocks.entry(height).or_insert(block.clone());
                if *first != block {
                    let conflict = format!("block {height} of node {node} is {block}, not {first}");
                    self.conflicts.push(conflict);
                }
            }
            self.finalized[node] = last;
        }
        Ok(())
    }

    /// Looks until all have finalized a block of that height.
    pub async fn until_all_finalized(&mut self, height: u32, deadline: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            self.look()?;
            if self.finalized.iter().all(|finalized| *finalized >= height) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < deadline,
                "block {height} is not final everywhere but {:?}",
                self.finalized
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The blocks that were seen to be final and that a node no longer has so.
    pub fn lost(&self, node: usize) -> Result<Vec<u32>> {
        let last = self.last(node)?;
        let mut lost = Vec::new();
        for (height, block) in &self.blocks {
            if *height > last || self.block(node, *height)? != *block {
                lost.push(*height);
            }
        }
        Ok(lost)
    }

    /// The height of a node's last finalized block.
    pub fn last(&self, node: usize) -> Result<u32> {
        let head = self.ask(node, "chain_getFinalizedHead", json!([]))?;
        height(&self.ask(node, "chain_getHeader", json!([head]))?)
    }

    /// The height of a node's best block.
    pub fn best(&self, node: usize) -> Result<u32> {
        height(&self.ask(node, "chain_getHeader", json!([]))?)
    }

    /// The hash of a node's block of that height.
    pub fn block(&self, node: usize, height: u32) -> Result<String> {
        let hash = self.ask(node, "chain_getBlockHash", json!([height]))?;
        let hash = hash.as_str().map(String::from);
        hash.with_context(|| format!("node {node} has no block {height}"))
    }

    /// What a node answers, which must not be an error.
    pub fn ask(&self, node: usize, method: &str, params: Value) -> Result<Value> {
        let answer = ask_at(self.nodes[node], method, params)?;
        ensure!(answer["error"].is_null(), "{method}: {answer}");
        Ok(answer["result"].clone())
    }
}

/// The height in a header.
pub fn height(header: &Value) -> Result<u32> {
    let number = header["number"].as_str().context("no header")?;
    Ok(u32::from_str_radix(number.trim_start_matches("0x"), 16)?)
}
