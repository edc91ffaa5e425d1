//! What a network on this machine consists of: its programs, keys, ports and files.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use noesis_chain::{keypair, Hotkey};

use super::error::LocalError;
use crate::row::{Names, Role};

/// Ports above the base port that a network keeps for itself.
pub const PORTS: u16 = 30;

/// NOE that each validator stakes.
const STAKE: u32 = 1000;

/// Tells the C library to keep what a model frees. It would give every large tensor back to the system, which then clears
/// and maps it anew in each step: a third of all the time of a miner with small models.
const KEEP_MEMORY: &str =
    "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296";

/// One neuron of the network.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name in table and report.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Secret URI of its coldkey.
    pub coldkey: &'static str,
    /// Secret URI of its hotkey.
    pub hotkey: String,
    /// Flags of its program besides those that every member of its role has.
    pub flags: Vec<String>,
}

impl Member {
    /// A member whose hotkey is the coldkey's `//hotkey`.
    pub fn new(name: &str, role: Role, coldkey: &'static str, flags: &[&str]) -> Self {
        Self {
            name: name.into(),
            role,
            coldkey,
            hotkey: format!("{coldkey}//hotkey"),
            flags: flags.iter().map(|flag| (*flag).into()).collect(),
        }
    }

    /// Public key of its hotkey.
    pub fn public_key(&self) -> Result<Hotkey> {
        Ok(keypair(&self.hotkey)?.public_key().0)
    }
}

/// Names and roles of members by their hotkeys.
pub fn names(members: &[Member]) -> Result<Names> {
    members
        .iter()
        .map(|member| Ok((member.public_key()?, (member.name.clone(), member.role))))
        .collect()
}

/// Where everything of one network lies.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the programs.
    pub binaries: PathBuf,
    /// What is learned: a text, or a folder of images.
    pub data: PathBuf,
    /// Folder of everything that the network writes.
    pub folder: PathBuf,
    /// First of the network's ports.
    pub base_port: u16,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Which market.
    pub market: String,
    /// The neurons, in the order in which they are started.
    pub members: Vec<Member>,
    /// Neurons of other markets of the same network, whose ports come before theirs.
    pub before: u16,
}

impl Plan {
    /// Checks that nobody listens where the network will.
    pub fn check_ports(&self) -> Result<(), LocalError> {
        let base = self.base_port;
        if !(1024..=u16::MAX - PORTS).contains(&base) {
            return Err(LocalError::BasePort { base });
        }
        for (port, purpose) in self.ports() {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                return Err(LocalError::PortInUse {
                    port,
                    purpose,
                    base,
                });
            }
        }
        Ok(())
    }

    /// Checks that the programs are there.
    pub fn check_programs(&self) -> Result<(), LocalError> {
        for program in ["noesis-node", "noesis-miner", "noesis-validator"] {
            let path = self.binaries.join(program);
            if !path.is_file() {
                return Err(LocalError::NoProgram { path });
            }
        }
        Ok(())
    }

    /// Checks that there is a text, or a folder of images.
    pub fn check_data(&self) -> Result<(), LocalError> {
        let (path, text) = (self.data.clone(), self.market == "text");
        let unusable = |path, reason: String| match text {
            true => LocalError::NoData { path, reason },
            false => LocalError::NoFolder { path, reason },
        };
        match std::fs::metadata(&path) {
            Err(error) => Err(unusable(path, error.to_string())),
            Ok(metadata) if text && !metadata.is_file() => {
                Err(unusable(path, "it is no file".into()))
            }
            Ok(metadata) if !text && !metadata.is_dir() => {
                Err(unusable(path, "it is no folder".into()))
            }
            Ok(metadata) if text && metadata.len() == 0 => Err(LocalError::EmptyData { path }),
            Ok(_) => Ok(()),
        }
    }

    /// Every port of the network with what it is for.
    fn ports(&self) -> Vec<(u16, String)> {
        let mut ports = vec![
            (self.base_port, "the node's JSON-RPC".into()),
            (self.base_port + 1, "the node's peers".into()),
        ];
        for (index, member) in self.members.iter().enumerate() {
            if member.role == Role::Miner {
                ports.push((self.port(index), format!("the miner `{}`", member.name)));
            }
        }
        ports
    }

    /// Port of the member of that index.
    fn port(&self, index: usize) -> u16 {
        self.base_port + 11 + self.before + index as u16
    }

    /// Seed of the member of that index: members must not be alike.
    pub fn seed_of(&self, index: usize) -> u64 {
        self.seed.wrapping_add(index as u64)
    }

    /// Address of the node.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.base_port)
    }

    /// Folder of the logs.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Log file of a process.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// File of what a neuron tells of itself, a line of JSON an event.
    pub fn events(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.jsonl"))
    }

    /// Folder of a neuron's checkpoints.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.folder.join("checkpoints").join(name)
    }

    /// The node's command.
    pub fn node(&self) -> Command {
        let mut command = Command::new(self.binaries.join("noesis-node"));
        command
            .args(["--chain", "dev", "--alice", "--base-path"])
            .arg(self.folder.join("chain"))
            .args(["--rpc-port", &self.base_port.to_string()])
            // Networks beside each other have the same genesis block and must not find each other.
            .arg("--listen-addr")
            .arg(format!("/ip4/127.0.0.1/tcp/{}", self.base_port + 1))
            .args(["--no-mdns", "--reserved-only"])
            .args(["--node-key", &format!("{:064x}", self.seed.max(1))])
            .args(["--no-prometheus", "--no-telemetry"]);
        command
    }

    /// The command that trains the model of the member of that index for so many steps in all, and ends.
    pub fn train(&self, index: usize, steps: u32) -> Command {
        let mut command = Command::new(self.binaries.join("noesis-miner"));
        command
            .arg("--train-only")
            .args(["--steps", &steps.to_string()])
            .args(["--model", "builtin"]);
        self.learn(&mut command, &self.members[index].name, index);
        command
    }

    /// The command that measures the held-out loss of the member of that index by so many examples, writes it
    /// to `events`, and ends.
    pub fn evaluate(&self, index: usize, examples: u32, events: &Path) -> Command {
        let mut command = Command::new(self.binaries.join("noesis-miner"));
        command
            .args(["--evaluate", &examples.to_string()])
            .args(["--model", "builtin"])
            .arg("--events")
            .arg(events);
        self.learn(&mut command, &self.members[index].name, index);
        command
    }

    /// The command of the member of that index.
    pub fn neuron(&self, index: usize, member: &Member) -> Command {
        let program = match member.role {
            Role::Miner => "noesis-miner",
            Role::Validator => "noesis-validator",
        };
        let mut command = Command::new(self.binaries.join(program));
        command
            .args(["--chain", &self.url()])
            .args(["--coldkey", member.coldkey])
            .args(["--hotkey", &member.hotkey])
            .arg("--events")
            .arg(self.events(&member.name));
        match member.role {
            Role::Miner => {
                command
                    .args(["--listen", &format!("127.0.0.1:{}", self.port(index))])
                    .args(["--model", "builtin"]);
            }
            Role::Validator => {
                command.args(["--stake", &STAKE.to_string()]);
            }
        }
        command.args(&member.flags);
        self.learn(&mut command, &member.name, index);
        command
    }

    /// The flags and the environment of everything that has a model.
    fn learn(&self, command: &mut Command, name: &str, index: usize) {
        command
            .args(["--market", &self.market])
            .arg("--data")
            .arg(&self.data)
            .arg("--checkpoint")
            .arg(self.checkpoint(name))
            .args(["--device", "cpu"])
            .args(["--seed", &self.seed_of(index).to_string()])
            // Many models share few cores: one thread each is the fastest for all.
            .env("OMP_NUM_THREADS", "1")
            .env("MKL_NUM_THREADS", "1")
            .env("GLIBC_TUNABLES", KEEP_MEMORY);
    }
}

/// The markets that a network here can run.
pub const MARKETS: [&str; 3] = ["text", "image", "tensor"];

/// What a market's neurons learn from: what was given, or what the environment names for its modality.
pub fn data(market: &str, given: Option<&Path>) -> Result<PathBuf, LocalError> {
    let (variable, missing) = match market {
        "text" => ("NOESIS_DATA", LocalError::NoText),
        _ => ("NOESIS_IMAGES", LocalError::NoImages),
    };
    let named = || std::env::var_os(variable).map(PathBuf::from);
    given.map(Path::to_owned).or_else(named).ok_or(missing)
}

/// The folder of the programs: the one given, or where this program lies.
pub fn binaries(given: Option<&Path>) -> Result<PathBuf> {
    Ok(match given {
        Some(folder) => folder.into(),
        // An executable always lies in a folder.
        None => std::env::current_exe()?.with_file_name(""),
    })
}

#[cfg(test)]
mod tests;
