//! Hosts of their own on this machine, network namespaces of Linux, and a switch whose cables a test moves.
//!
//! A namespace lives as long as the processes in it, cables with it, so that nothing has to be removed: the process that
//! holds it ends with its owner, and what runs in it with the thread that started it, even one that is killed.

use crate::run;
use anyhow::{ensure, Context, Result};
use std::{
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Holds a namespace until its input ends, which it does with who started it.
const HOLD: &str = "echo held && exec cat";

/// A network namespace and the process that holds it.
struct Namespace(Child);

impl Namespace {
    fn new() -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start unshare: install util-linux")?;
        let said = holder.stdout.take().context("no output")?;
        let namespace = Self(holder);
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        ensure!(
            line.trim() == "held",
            "this test makes network namespaces: run it as root on Linux, with CAP_SYS_ADMIN and CAP_NET_ADMIN"
        );
        Ok(namespace)
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// A program that runs in it, and is killed when the thread ends that starts it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.id()))
            .args(["setpriv", "--pdeathsig", "KILL"])
            .arg(program);
        command
    }

    /// Runs `ip` in it.
    fn ip(&self, arguments: &str) -> Result<()> {
        run(self.command("ip".as_ref()).args(arguments.split(' ')))?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Hosts with a cable each to one of two bridges, and one to this machine, which a cut leaves alone.
pub struct Hosts {
    /// Where the bridges are.
    switch: Namespace,
    hosts: Vec<Namespace>,
}

impl Hosts {
    /// Makes so many hosts, 63 at most, all on the first bridge.
    ///
    /// Fails where this process may not make namespaces, and says so.
    pub fn new(count: u8) -> Result<Self> {
        let switch = Namespace::new()?;
        for bridge in ["bridge0", "bridge1"] {
            switch.ip(&format!("link add {bridge} type bridge"))?;
            switch.ip(&format!("link set {bridge} up"))?;
        }
        let mut hosts = Vec::new();
        for number in 0..count {
            let host = Namespace::new()?;
            let id = host.id();
            let address = address(number);
            switch.ip(&format!(
                "link add port{number} type veth peer name network netns {id}"
            ))?;
            switch.ip(&format!("link set port{number} master bridge0 up"))?;
            host.ip(&format!("address add {address}/24 dev network"))?;
            host.ip("link set network up")?;
            host.ip("link set lo up")?;

            let (near, far) = ends(number);
            // Fifteen characters are the most that a name may have.
            let name = format!("noesis{}-{number}", std::process::id());
            ip(&format!(
                "link add {name} type veth peer name control netns {id}"
            ))?;
            ip(&format!("address add {near}/30 dev {name}"))?;
            ip(&format!("link set {name} up"))?;
            host.ip(&format!("address add {far}/30 dev control"))?;
            host.ip("link set control up")?;
            hosts.push(host);
        }
        Ok(Self { switch, hosts })
    }

    /// Plugs the hosts of those numbers into the second bridge and all others into the first.
    pub fn cut(&self, off: &[usize]) -> Result<()> {
        for number in 0..self.hosts.len() {
            let bridge = u8::from(off.contains(&number));
            self.switch
                .ip(&format!("link set port{number} master bridge{bridge}"))?;
        }
        Ok(())
    }

    /// What runs on each host: a program there, the host's address for the others, and for this machine.
    pub fn places(&self, program: &Path) -> Vec<(Command, Ipv4Addr, Ipv4Addr)> {
        let numbered = self.hosts.iter().zip(0..);
        numbered
            .map(|(host, number)| (host.command(program), address(number), ends(number).1))
            .collect()
    }
}

/// Runs `ip` on this machine itself.
fn ip(arguments: &str) -> Result<()> {
    run(Command::new("ip").args(arguments.split(' ')))?;
    Ok(())
}

// Addresses for tests of networks (RFC 2544), which nobody routes.

/// The address of a host among the hosts.
fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, 0, number + 1)
}

/// This machine's end of a host's other cable and the host's, of this process's own.
fn ends(number: u8) -> (Ipv4Addr, Ipv4Addr) {
    let (process, begin) = ((std::process::id() % 256) as u8, number * 4);
    let end = |last: u8| Ipv4Addr::new(198, 18, process, begin + last);
    (end(1), end(2))
}
