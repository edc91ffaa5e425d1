//! Child processes: started by us, and ended by us, these and no others.

use std::{
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{kill_process, Pid, Signal};
use tokio::{
    process::Child,
    time::{timeout_at, Instant},
};

/// Name of the node's process.
pub const NODE: &str = "node";

/// How long the neurons together, and then the node, may take to end when asked to.
pub const GRACE: Duration = Duration::from_secs(8);

/// Lines of a dead process's log that are shown.
const TAIL_LINES: usize = 12;

/// Most bytes of a log that are looked at for its last lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// The program that makes a child die with its parent, where the system has it (util-linux).
///
/// The system call behind it needs `unsafe` code, which this repository does without.
const SETPRIV: &str = "/usr/bin/setpriv";

/// Its flags that ask for SIGTERM when the parent dies.
const PARENT_DEATH: [&str; 3] = ["--pdeathsig", "TERM", "--"];

/// One running child.
struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

/// A process that ended by itself.
#[derive(Debug)]
pub struct Death {
    /// Its name.
    pub name: String,
    /// Whether it ended as it should.
    pub success: bool,
    /// Its exit status in words.
    pub status: String,
    /// Its log.
    log: PathBuf,
    /// The end of its log.
    tail: String,
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ended ({}); the last lines of {}:\n{}",
            self.name,
            self.status,
            self.log.display(),
            self.tail
        )
    }
}

/// Every child of one network. Dropping it kills what still runs.
#[derive(Default)]
pub struct Supervisor {
    processes: Vec<Process>,
}

impl Supervisor {
    /// Starts `command` as `name`, writing all it says into the file `log`.
    pub fn start(&mut self, name: &str, command: Command, log: &Path) -> Result<()> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = with_parent(command);
        command
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out);
        self.spawn(name, command, log)
    }

    /// Starts `command` as `name`, saying what it says on our own output.
    pub fn start_aloud(&mut self, name: &str, command: Command) -> Result<()> {
        let mut command = with_parent(command);
        command.stdin(Stdio::null());
        self.spawn(name, command, Path::new(""))
    }

    fn spawn(&mut self, name: &str, mut command: Command, log: &Path) -> Result<()> {
        // Its own group, so that a terminal's Ctrl-C reaches it through us, in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let program = command.get_program().to_owned();
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        tracing::debug!(name, pid = child.id(), "started");
        self.processes.push(Process {
            name: name.into(),
            log: log.into(),
            child,
        });
        Ok(())
    }

    /// The processes that have ended by themselves since the last call.
    pub fn deaths(&mut self) -> Vec<Death> {
        let ended = self.processes.extract_if(.., |process| {
            // What cannot be asked is no child of ours any more.
            !matches!(process.child.try_wait(), Ok(None))
        });
        ended
            .map(|mut process| {
                let status = process.child.try_wait().ok().flatten();
                Death {
                    success: status.is_some_and(|status| status.success()),
                    status: status.map_or("nobody knows how".into(), |status| status.to_string()),
                    tail: tail(&process.log),
                    name: process.name,
                    log: process.log,
                }
            })
            .collect()
    }

    /// Waits for the only process to end by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let process = self.processes.last_mut().context("nothing was started")?;
        let status = process.child.wait().await?;
        self.processes.pop();
        Ok(status)
    }

    /// Process ids of what runs.
    #[cfg(test)]
    fn pids(&self) -> Vec<u32> {
        self.processes
            .iter()
            .filter_map(|process| process.child.id())
            .collect()
    }

    /// Ends every process, the first that was started last, for the others live by it: politely, and
    /// after `grace` by force. Returns the names of those that needed force.
    pub async fn stop(&mut self, grace: Duration) -> Vec<String> {
        let dependants = self.processes.split_off(self.processes.len().min(1));
        let mut forced = end(dependants, grace).await;
        forced.extend(end(std::mem::take(&mut self.processes), grace).await);
        forced
    }
}

/// Asks all of `processes` to end, waits for `grace` and kills the rest, whose names it returns.
async fn end(processes: Vec<Process>, grace: Duration) -> Vec<String> {
    for process in &processes {
        // A process that was waited for has no id any more, so no stranger's can be hit.
        if let Some(pid) = process.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            // It fails only where the process has ended meanwhile, which is what was asked for.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    let deadline = Instant::now() + grace;
    let mut forced = Vec::new();
    for mut process in processes {
        if timeout_at(deadline, process.child.wait()).await.is_err() {
            let _ = process.child.kill().await;
            forced.push(process.name);
        }
    }
    forced
}

/// Whether [`SETPRIV`] is there and can do it.
fn dies_with_parent() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let probe = Command::new(SETPRIV)
            .args(PARENT_DEATH)
            .arg("true")
            .output();
        let able = probe.is_ok_and(|output| output.status.success());
        if !able {
            tracing::warn!(
                "{SETPRIV} is missing or too old: a killed noesis leaves processes behind"
            );
        }
        able
    })
}

/// `command`, made to end when this program does, however that ends.
fn with_parent(command: Command) -> Command {
    if !dies_with_parent() {
        return command;
    }
    let mut wrapped = Command::new(SETPRIV);
    wrapped
        .args(PARENT_DEATH)
        .arg(command.get_program())
        .args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    wrapped
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    if last.is_empty() {
        "(it wrote nothing)".into()
    } else {
        last
    }
}

#[cfg(test)]
mod tests;
