//! What keeps a local network from starting or running, in words that say what to do.

use std::{path::PathBuf, time::Duration};

use super::process::Death;

/// Why there is no local network, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Somebody listens on a port that is needed.
    #[error("port {port}, meant for {purpose}, is in use: end what listens there, or give other ports with --base-port (now {base})")]
    PortInUse {
        /// The port.
        port: u16,
        /// What it is for.
        purpose: String,
        /// The base port now.
        base: u16,
    },
    /// The ports would go beyond the last one.
    #[error("--base-port {base} leaves no room for the ports above it: give one between 1024 and {}", u16::MAX - super::plan::PORTS)]
    BasePort {
        /// The base port given.
        base: u16,
    },
    /// A program is missing.
    #[error("the program {path} is missing: build it (scripts/localnet does), or give the folder of the programs with --binaries")]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// No text was named.
    #[error("there is no text to learn from: give one with --data FILE, or `source scripts/env`, which names the one that scripts/setup fetched")]
    NoText,
    /// No images were named.
    #[error("there are no images to learn from: give a folder with --data FOLDER, or `source scripts/env`, which names the one that `scripts/setup images` fetches")]
    NoImages,
    /// The images are missing.
    #[error("the images {path} cannot be read ({reason}): `scripts/setup images` fetches some; give their folder with --data")]
    NoFolder {
        /// Where they were looked for.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The text is missing.
    #[error("the text {path} cannot be read ({reason}): scripts/setup fetches one; give its path with --data")]
    NoData {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The text is empty.
    #[error(
        "the text {path} is empty: give a file with some 100 kilobytes of text or more with --data"
    )]
    EmptyData {
        /// The file.
        path: PathBuf,
    },
    /// No file can be written there.
    #[error("{flag} {path}: give the path of a file in a folder that exists")]
    NoReport {
        /// The flag that names it.
        flag: &'static str,
        /// The path given.
        path: PathBuf,
    },
    /// The folder belongs to somebody else.
    #[error("the folder {path} is no local network's, or not to be read: give an empty or a new one with --folder")]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Another local network runs in the folder.
    #[error("another local network runs in {path}: end it, or give another folder with --folder and other ports with --base-port")]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The node died; without it there is nothing to do for anybody.
    #[error("the network ends with its node: {0}")]
    NodeDied(Death),
    /// Nobody is left to vote.
    #[error("every validator has ended, {paid} of {epochs} epochs being paid: nobody sets weights any more. Look into the validators' logs in {logs}")]
    NobodyVotes {
        /// Epochs that were paid.
        paid: usize,
        /// Epochs that were asked for.
        epochs: usize,
        /// Folder of the logs.
        logs: PathBuf,
    },
    /// It took too long.
    #[error("after {} seconds: {stage}. Look into the logs in {logs}, or wait longer with --timeout", limit.as_secs())]
    TimedOut {
        /// The limit.
        limit: Duration,
        /// What was still awaited.
        stage: String,
        /// Folder of the logs.
        logs: PathBuf,
    },
}
