//! What a local network consists of: its programs, keys, ports and files.

use std::{net::TcpListener, path::PathBuf, process::Command};

use anyhow::Result;
use noesis_chain::{keypair, Hotkey};

use super::{error::LocalnetError, Arguments};
use crate::row::{Names, Role};

/// Ports above the base port that a network keeps for itself.
pub const PORTS: u16 = 30;

/// NOE that each validator stakes.
const STAKE: u32 = 1000;

/// Milliseconds the late miner waits before it answers, far beyond any validator's deadline.
const LATE_MILLISECONDS: u32 = 20_000;

/// One neuron of the network.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name in table and report.
    pub name: &'static str,
    /// What it does.
    pub role: Role,
    /// Secret URI of its coldkey; the hotkey is derived from it.
    pub coldkey: &'static str,
    /// How it misbehaves, if it does.
    pub fault: Option<String>,
    /// Whether it learns while it serves; learning that nobody needs only takes time from the others.
    pub learns: bool,
}

/// The neurons, in the order in which they are started.
pub fn members() -> Vec<Member> {
    let member = |name, role, coldkey| Member {
        name,
        role,
        coldkey,
        fault: None,
        learns: role == Role::Validator,
    };
    vec![
        member("trained", Role::Miner, "//Charlie"),
        Member {
            learns: true,
            ..member("scratch", Role::Miner, "//Dave")
        },
        Member {
            fault: Some("noise".into()),
            ..member("noise", Role::Miner, "//Eve")
        },
        Member {
            fault: Some(format!("late:{LATE_MILLISECONDS}")),
            ..member("late", Role::Miner, "//Ferdie")
        },
        member("validator-1", Role::Validator, "//Alice"),
        member("validator-2", Role::Validator, "//Bob"),
    ]
}

/// Where everything of one network lies.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the programs.
    pub binaries: PathBuf,
    /// The text that is learned.
    pub data: PathBuf,
    /// Folder of everything that the network writes.
    pub folder: PathBuf,
    /// First of the network's ports.
    pub base_port: u16,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Which market.
    pub market: String,
    /// Steps of the trained miner's training.
    pub train_steps: u32,
}

impl Plan {
    /// The plan that the flags and the environment ask for.
    pub fn new(arguments: &Arguments) -> Result<Self> {
        let data = arguments.data.clone();
        let data = data.or_else(|| std::env::var_os("NOESIS_DATA").map(PathBuf::from));
        let binaries = match &arguments.binaries {
            Some(folder) => folder.clone(),
            // An executable always lies in a folder.
            None => std::env::current_exe()?.with_file_name(""),
        };
        let folder = arguments.folder.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("noesis-localnet-{}", arguments.base_port))
        });
        Ok(Self {
            binaries,
            data: data.ok_or(LocalnetError::NoText)?,
            // Processes and hints get whole paths.
            folder: std::path::absolute(folder)?,
            base_port: arguments.base_port,
            seed: arguments.seed,
            market: arguments.market.clone(),
            train_steps: arguments.train_steps,
        })
    }

    /// Checks that nobody listens where the network will.
    pub fn check_ports(&self) -> Result<(), LocalnetError> {
        let base = self.base_port;
        if !(1024..=u16::MAX - PORTS).contains(&base) {
            return Err(LocalnetError::BasePort { base });
        }
        for (port, purpose) in self.ports() {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                return Err(LocalnetError::PortInUse {
                    port,
                    purpose,
                    base,
                });
            }
        }
        Ok(())
    }

    /// Checks that the programs are there.
    pub fn check_programs(&self) -> Result<(), LocalnetError> {
        for program in ["noesis-node", "noesis-miner", "noesis-validator"] {
            let path = self.binaries.join(program);
            if !path.is_file() {
                return Err(LocalnetError::NoProgram { path });
            }
        }
        Ok(())
    }

    /// Checks that there is a text.
    pub fn check_data(&self) -> Result<(), LocalnetError> {
        let path = self.data.clone();
        match std::fs::metadata(&path) {
            Err(error) => Err(LocalnetError::NoData {
                path,
                reason: error.to_string(),
            }),
            Ok(metadata) if !metadata.is_file() => Err(LocalnetError::NoData {
                path,
                reason: "it is no file".into(),
            }),
            Ok(metadata) if metadata.len() == 0 => Err(LocalnetError::EmptyData { path }),
            Ok(_) => Ok(()),
        }
    }

    /// Every port of the network with what it is for.
    fn ports(&self) -> Vec<(u16, String)> {
        let mut ports = vec![
            (self.base_port, "the node's JSON-RPC".into()),
            (self.base_port + 1, "the node's peers".into()),
        ];
        for (index, member) in members().iter().enumerate() {
            if member.role == Role::Miner {
                ports.push((self.port(index), format!("the miner `{}`", member.name)));
            }
        }
        ports
    }

    /// Port of the member of that index.
    fn port(&self, index: usize) -> u16 {
        self.base_port + 11 + index as u16
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

    /// The command that trains the trained miner's model and ends.
    pub fn train(&self) -> Command {
        let mut command = Command::new(self.binaries.join("noesis-miner"));
        command
            .arg("--train-only")
            .args(["--steps", &self.train_steps.to_string()])
            .args(["--model", "builtin"]);
        self.learn(&mut command, "trained", 0);
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
            .args(["--hotkey", &hotkey_uri(member)])
            .arg("--events")
            .arg(self.events(member.name));
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
        if !member.learns {
            // No steps beyond those of its checkpoint.
            command.args(["--steps", "0"]);
        }
        if let Some(fault) = &member.fault {
            command.args(["--fault", fault]);
        }
        self.learn(&mut command, member.name, index);
        command
    }

    /// The flags of everything that has a model.
    fn learn(&self, command: &mut Command, name: &str, index: usize) {
        command
            .args(["--market", &self.market])
            .arg("--data")
            .arg(&self.data)
            .arg("--checkpoint")
            .arg(self.checkpoint(name))
            .args(["--device", "cpu"])
            .args(["--seed", &(self.seed + index as u64).to_string()])
            // Many models share few cores: one thread each is the fastest for all.
            .env("OMP_NUM_THREADS", "1")
            .env("MKL_NUM_THREADS", "1");
    }
}

/// Secret URI of a member's hotkey.
fn hotkey_uri(member: &Member) -> String {
    format!("{}//hotkey", member.coldkey)
}

/// Public key of a member's hotkey.
pub fn hotkey(member: &Member) -> Result<Hotkey> {
    Ok(keypair(&hotkey_uri(member))?.public_key().0)
}

/// Names and roles of the members by their hotkeys.
pub fn names() -> Result<Names> {
    members()
        .iter()
        .map(|member| Ok((hotkey(member)?, (member.name.into(), member.role))))
        .collect()
}

#[cfg(test)]
mod tests;
