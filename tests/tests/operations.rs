//! What an operator does with a node: metrics, backup of blocks and restore, the guard of the disk, keys of a network of
//! one's own.

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, ChainError, NOE};
use noesis_tests::{ask, cache, export_chain_spec, free_port, http, program, Node};
use serde_json::{json, Value};
use std::{
    collections::BTreeSet,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

const TEXT: u16 = 0;

/// The value of a line of a Prometheus page that begins so.
fn value(page: &str, begin: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(begin))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_market_and_what_the_pool_refuses_are_shown_to_prometheus() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let prometheus = free_port()?;
    let port = prometheus.to_string();
    let flags = ["--dev", "--prometheus-port", &port];
    let mut node = Node::start_flags(folder.path(), free_port()?, &flags)?;
    let chain = node.chain().await?;
    let hotkeys = [keypair("//Alice//hotkey")?, keypair("//Bob//hotkey")?];
    for (coldkey, hotkey, stake) in [("//Alice", &hotkeys[0], 600), ("//Bob", &hotkeys[1], 200)] {
        let (coldkey, id) = (keypair(coldkey)?, hotkey.public_key().0);
        chain.register(&coldkey, TEXT, id, 10 * NOE).await?;
        chain.add_stake(&coldkey, TEXT, id, stake * NOE).await?;
    }
    // Each other's only peer, and one of them with the more to say: a market in consensus.
    chain.set_weights(&hotkeys[0], TEXT, &[(1, 1)]).await?;
    chain.set_weights(&hotkeys[1], TEXT, &[(0, 1)]).await?;
    chain
        .serve(&hotkeys[0], TEXT, "127.0.0.1:9101", None)
        .await?;
    for _ in 0..2 {
        let again = chain.serve(&hotkeys[0], TEXT, "127.0.0.1:9102", None).await;
        ensure!(matches!(again, Err(ChainError::Market(_))), "{again:?}");
    }

    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let text = "{market=\"0\",chain=\"noesis_dev\"}";
    let start = Instant::now();
    // Both of one epoch that paid: the page is of the best block, the metagraph of the last finalized one.
    let (metagraph, page) = loop {
        let metagraph = chain.metagraph(TEXT).await?;
        let page = http(prometheus, request)?;
        let epoch = value(&page, &format!("noesis_market_epoch{text}"));
        if metagraph.minted > 0 && epoch == Some(metagraph.epoch as f64) {
            break (metagraph, page);
        }
        ensure!(
            start.elapsed() < Duration::from_secs(90),
            "{metagraph:?}\n{page}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let shown = |name: &str| {
        let found = value(&page, &format!("{name}{text}"));
        found.with_context(|| format!("no {name} in\n{page}"))
    };
    let minted = metagraph.minted as f64 / NOE as f64;
    let in_consensus = if metagraph.in_consensus { 1.0 } else { 0.0 };
    for (name, known) in [
        ("noesis_market_loss", metagraph.loss.to_f64()),
        ("noesis_market_in_consensus", in_consensus),
        ("noesis_market_emission", minted),
        ("noesis_market_neurons", 2.0),
        ("noesis_market_registrations_total", 2.0),
    ] {
        let shown = shown(name)?;
        // Both were written as decimals on their way here.
        ensure!((shown - known).abs() < 1e-9, "{name}: {shown}, not {known}");
    }
    ensure!(shown("noesis_market_minted_total")? >= minted - 1e-9);
    ensure!(shown("noesis_market_registration_cost")? > 0.0);
    let steps = value(&page, "noesis_market_epoch_step_seconds_count");
    ensure!(steps.is_some_and(|steps| steps >= 1.0), "{steps:?}");
    let refused = value(&page, "noesis_pool_refused_total{reason=\"ServeTooEarly\"");
    ensure!(refused.is_some_and(|refused| refused >= 2.0), "{page}");
    for name in asked_for() {
        let is_shown = |line: &str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        ensure!(
            page.lines().any(is_shown),
            "docker/monitoring asks for {name}, which no node shows"
        );
    }
    Ok(())
}

/// The names of the node's metrics that the board and the alerts of `docker/monitoring` ask for.
fn asked_for() -> BTreeSet<&'static str> {
    let files = [
        include_str!("../../docker/monitoring/board.json"),
        include_str!("../../docker/monitoring/alerts.yml"),
    ];
    let words = files.into_iter().flat_map(|file| {
        file.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
    });
    let of_the_node = ["noesis_market_", "noesis_pool_", "substrate_"];
    words
        .filter(|word| of_the_node.iter().any(|begin| word.starts_with(begin)))
        .collect()
}

/// Runs a subcommand of the node on the chain in a folder.
fn subcommand(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let (name, rest) = arguments.split_first().context("no subcommand")?;
    let output = Command::new(program("noesis-node")?)
        .args([name, "--chain", "dev", "--base-path"])
        .arg(folder)
        .args(rest)
        .output()?;
    ensure!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_exported_and_imported_to_the_same_chain() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut node = Node::start(folder.path(), port)?;
    node.chain().await?;
    let start = Instant::now();
    let number = |port| -> Result<u64> {
        let header = ask(port, "chain_getHeader", json!([]))?["result"].clone();
        let number = header["number"].as_str().context("no header")?;
        Ok(u64::from_str_radix(number.trim_start_matches("0x"), 16)?)
    };
    while number(port)? < 12 {
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "no blocks are made"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let tenth = ask(port, "chain_getBlockHash", json!([10]))?["result"].clone();
    drop(node);

    let (old, new) = (folder.path().join("chain"), folder.path().join("restored"));
    let file = folder.path().join("blocks");
    let file = file.to_str().context("the path is no text")?;
    subcommand(&old, &["export-blocks", "--to", "10", file])?;
    subcommand(&old, &["check-block", "10"])?;
    subcommand(&new, &["import-blocks", file])?;
    subcommand(&old, &["purge-chain", "-y"])?;

    let again = folder.path().join("again");
    std::fs::create_dir(&again)?;
    std::fs::rename(&new, again.join("chain"))?;
    let port = free_port()?;
    let mut node = Node::start(&again, port)?;
    node.chain().await?;
    let restored = ask(port, "chain_getBlockHash", json!([10]))?["result"].clone();
    ensure!(
        restored == tenth && tenth.is_string(),
        "{restored} is not {tenth}"
    );
    Ok(())
}

#[test]
fn a_node_without_room_on_its_disk_does_not_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = Command::new(program("noesis-node")?)
        .args([
            "--dev",
            "--db-storage-threshold",
            "1000000000",
            "--base-path",
        ])
        .arg(folder.path())
        .args(["--rpc-port", &free_port()?.to_string(), "--no-prometheus"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && said.contains("dropped below threshold"),
        "{said}"
    );
    Ok(())
}

/// Runs `scripts/network` with the node that was built; what it printed.
fn network(arguments: &[&str]) -> Result<String> {
    let node = program("noesis-node")?;
    network_with(
        node.parent().context("the node lies in no folder")?,
        arguments,
    )
}

/// The same with the node in that folder.
fn network_with(programs: &Path, arguments: &[&str]) -> Result<String> {
    let path = std::env::var("PATH")?;
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/network"))
        .args(arguments)
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn keys_that_could_not_all_be_made_leave_no_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    let to = keys.to_string_lossy();
    let account = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    let arguments = ["keys", &to, account, "/ip4/127.0.0.1/tcp/30333"];
    // A node that fails at the last key.
    let node = folder.path().join("noesis-node");
    let real = program("noesis-node")?;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *insert*gran*) echo no room >&2; exit 1;; esac\nexec {} \"$@\"\n",
        real.display()
    );
    std::fs::write(&node, script)?;
    std::fs::set_permissions(&node, Permissions::from_mode(0o755))?;
    let failed = network_with(folder.path(), &arguments);
    ensure!(format!("{failed:?}").contains("no room"), "{failed:?}");
    let left = std::fs::read_dir(folder.path())?.count();
    ensure!(left == 1, "{left} things are left beside the node");
    network(&arguments)?;
    Ok(())
}

/// `scripts/govern` with a key file and a password of that text.
fn governance(folder: &Path, key: &str, password: &str, arguments: &[&str]) -> Result<Command> {
    let (key_file, password_file) = (folder.join("key.json"), folder.join("password"));
    std::fs::write(&key_file, key)?;
    std::fs::write(&password_file, password)?;
    let mut command = Command::new(cache()?.join("python/bin/python"));
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/govern"))
        .arg("--key")
        .arg(&key_file)
        .arg("--password-file")
        .arg(&password_file)
        .args(arguments);
    Ok(command)
}

/// The same; what it said when it failed.
fn govern(folder: &Path, key: &str, password: &str, arguments: &[&str]) -> Result<String> {
    let output = governance(folder, key, password, arguments)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && !said.contains("Traceback"),
        "{said}"
    );
    Ok(said)
}

#[test]
fn what_governance_is_asked_wrongly_is_told_in_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let call = ["System", "remark", "remark=0x01"];
    let said = govern(folder.path(), "{}", "", &call)?;
    ensure!(said.contains("is empty"), "{said}");
    for key in ["{}", "[]", "no JSON"] {
        let said = govern(folder.path(), key, "secret\n", &call)?;
        ensure!(said.contains("is no key file"), "{said}");
    }
    let with_url = [&["--url", "http://127.0.0.1:9944"][..], &call].concat();
    let said = govern(folder.path(), "{}", "secret\n", &with_url)?;
    ensure!(said.contains("ws://"), "{said}");
    Ok(())
}

#[test]
fn governance_waits_for_a_call_no_longer_than_anything_can_come_of_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (status, code, words) in [
        (json!({ "finalized": "0x0b" }), 0, "done in block 0x0b"),
        (json!("dropped"), 5, "until block 163"),
        (json!("invalid"), 5, "until block 163"),
        (json!({ "usurped": "0x0b" }), 5, "until block 163"),
        (json!({ "finalityTimeout": "0x0b" }), 5, "until block 163"),
        // And nothing more, as where finality stands still.
        (json!({ "inBlock": "0x0b" }), 5, "until block 163"),
    ] {
        let call = ["--as-signed", "System", "remark"];
        let output = governance(folder.path(), "{}", "secret\n", &call)?
            .env(
                "PYTHONPATH",
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/govern"),
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NOESIS_STATUS", status.to_string())
            .output()?;
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        ensure!(
            output.status.code() == Some(code) && String::from_utf8_lossy(&said).contains(words),
            "{status}: {output:?}"
        );
    }
    Ok(())
}

#[test]
fn a_network_of_ones_own_has_no_key_that_everybody_knows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let accounts = [
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
    ];
    for (name, account) in ["first", "second"].iter().zip(accounts) {
        network(&["keys", &file(name), account, "/ip4/127.0.0.1/tcp/30333"])?;
    }
    let again = network(&["keys", &file("first"), accounts[0], "/ip4/127.0.0.1/tcp/1"]);
    ensure!(format!("{again:?}").contains("there already"), "{again:?}");

    let (first, second) = (file("first/public"), file("second/public"));
    let printed = network(&["spec", "own", accounts[0], &first, &second])?;
    let spec: Value = serde_json::from_str(&printed)?;
    let own = &spec["genesis"]["runtimeGenesis"]["patch"];
    ensure!(own["authorities"]["authorities"] == json!(accounts));
    let known = export_chain_spec("staging", &[])?;
    let known = &known["genesis"]["runtimeGenesis"]["patch"];
    let mut keys = known["session"]["keys"].to_string();
    keys += &known["sudo"]["key"].to_string();
    let addresses = keys.split('"').filter(|word| word.len() > 40);
    for address in addresses {
        ensure!(!printed.contains(address), "{address} is known to all");
    }

    std::fs::write(file("own.json"), printed)?;
    export_chain_spec(&file("own.json"), &["--raw"])?;
    Ok(())
}
