//! The command line as a new user meets it: from a wallet to stake and weights, and every wrong turn in words and
//! with its exit code.

use anyhow::{ensure, Context, Result};
use noesis_chain::{keypair, Call, ParameterValue, NOE};
use noesis_tests::{ask_at, free_port, program, Node};
use serde_json::{json, Value};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A user with a home folder and a password in a file, at no terminal.
struct User {
    home: PathBuf,
    url: String,
}

impl User {
    fn new(home: &Path, url: &str) -> Result<Self> {
        let user = Self {
            home: home.into(),
            url: url.into(),
        };
        user.keep("password", "over the hills\n")?;
        Ok(user)
    }

    /// Writes a file that nobody else can read.
    fn keep(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.home.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    fn command(&self, arguments: &str) -> Result<Command> {
        let mut command = Command::new(program("noesis")?);
        command
            .args(arguments.split(' '))
            .env_clear()
            .env("HOME", &self.home)
            .env("NOESIS_URL", &self.url)
            .env("NOESIS_PASSWORD_FILE", self.home.join("password"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// What a command prints as JSON; it must succeed.
    fn json(&self, arguments: &str) -> Result<Value> {
        told(
            arguments,
            self.command(&format!("{arguments} --json"))?.output()?,
        )
    }

    /// A command that must end with `code` and tell `words`.
    fn refused(&self, arguments: &str, code: i32, words: &str) -> Result<()> {
        refused(self.command(arguments)?, code, words)
    }

    /// Imports a secret, which goes by the standard input.
    fn import(&self, secret: &str, arguments: &str) -> Result<()> {
        let file = self.keep("secret", secret)?;
        let arguments = format!("wallet import {arguments}");
        let mut command = self.command(arguments.trim_end())?;
        let output = command.stdin(fs::File::open(file)?).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    }
}

fn told(what: &str, output: Output) -> Result<Value> {
    ensure!(output.status.success(), "noesis {what}: {output:?}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("noesis {what}: {output:?}"))
}

fn refused(mut command: Command, code: i32, words: &str) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code) && said.contains(words),
        "{command:?} is to end with {code} and tell `{words}`: {output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn from_a_wallet_to_stake_and_weights() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    node.chain().await?;
    let user = User::new(folder.path(), &node.url)?;

    // A rich coldkey, and one of one's own that it pays into.
    user.import("//Alice", "--wallet rich")?;
    let mine = user.json("wallet create")?;
    let address = mine["address"].as_str().context("address")?.to_owned();
    let words = mine["phrase"].as_str().context("phrase")?.split(' ');
    ensure!(words.count() == 12, "{mine}");
    let sent = user.json(&format!(
        "wallet send {address} 100.000000001 --wallet rich --yes"
    ))?;
    ensure!(sent["amount"] == json!(100 * NOE + 1), "{sent}");
    let balance = user.json("wallet balance")?;
    ensure!(balance["free"] == json!(100 * NOE + 1), "{balance}");
    ensure!(balance["on_hold"] == json!(0), "{balance}");

    // The phrase gives the same key back.
    user.import(mine["phrase"].as_str().context("phrase")?, "--wallet again")?;
    let keys = user.json("wallet list")?;
    let addresses: Vec<_> = keys
        .as_array()
        .context("keys")?
        .iter()
        .filter(|key| key["address"] == json!(address))
        .collect();
    ensure!(addresses.len() == 2, "{keys}");

    // A dry run tells the fee and changes nothing, and needs no password.
    user.json("wallet create --hotkey default")?;
    user.json("wallet create --hotkey other")?;
    let mut dry = user.command("neuron register --dry-run --json")?;
    let dry = told("dry run", dry.env_remove("NOESIS_PASSWORD_FILE").output()?)?;
    let fee = dry["fee"].as_u64().context("fee")?;
    let cost = dry["cost_now"].as_u64().context("cost_now")?;
    ensure!(dry["dry_run"] == json!(true) && fee > 0, "{dry}");
    user.refused("neuron show", 1, "register it first")?;
    user.refused("neuron register", 6, "--yes")?;

    // Fee and cost are what the dry run told, up to the fall of the cost with every block.
    let registered = user.json("neuron register --yes")?;
    ensure!(registered["uid"] == json!(0), "{registered}");
    let burned = registered["cost"].as_u64().context("cost")?;
    let left = user.json("wallet balance")?["free"]
        .as_u64()
        .context("free")?;
    let paid = 100 * NOE + 1 - left;
    ensure!(
        paid == fee + burned && burned <= cost,
        "{paid} was paid; fee {fee}, cost {cost}, then {burned}"
    );
    // The node tries a call out before it is sent, and where no password has to be asked for, for a dry run too.
    let before = user.json("wallet balance")?["free"].clone();
    for how in ["--yes", "--dry-run"] {
        user.refused(
            &format!("neuron register {how}"),
            1,
            "holds a slot in that market already",
        )?;
    }
    let after = user.json("wallet balance")?["free"].clone();
    ensure!(after == before, "{before}, then {after}");
    // Also for an account that there is not yet.
    user.json("wallet create --wallet poor")?;
    user.refused(
        &format!("wallet send {address} 1 --wallet poor --dry-run"),
        1,
        "send it some NOE first",
    )?;
    user.json("neuron register --hotkey other --yes")?;
    let nothing = "stake remove --all --hotkey other --yes";
    user.refused(nothing, 1, "nothing of yours lies there")?;

    let added = user.json("stake add 20.5 --yes")?;
    let (none, all) = (json!(0), json!({ "own": 20 * NOE + NOE / 2 }));
    ensure!(added["own"] == none && added["planned"] == all, "{added}");
    user.json("stake remove 500000000units --yes")?;
    let stake = user.json("stake show")?;
    ensure!(stake["total"] == json!(20 * NOE), "{stake}");
    user.refused(
        "stake remove 21 --yes",
        1,
        "less stake of its owner's than that",
    )?;
    user.refused("stake add 1000 --yes", 1, "holds less than that")?;

    let served = user.json("neuron serve 127.0.0.1:9101 --hotkey other --yes")?;
    ensure!(served["fee"] == json!(0), "{served}");
    user.refused("neuron serve nowhere --yes", 2, "host:port")?;
    // What is refused before a row is set is not refused for coming too soon.
    user.refused("weights set 0=1 --yes", 1, "own uid")?;
    user.refused("weights set 1=-1 --yes", 2, "UID=WEIGHT")?;
    user.refused("weights set 5=1 --dry-run", 1, "uid 5")?;
    user.refused("weights commit 1=1 --yes", 1, "weights in the clear")?;
    let set = user.json("weights set 1=0.7 --yes")?;
    let weights = user.json("weights show")?;
    ensure!(weights["weights"] == json!([[1, 65535]]), "{weights}");
    ensure!(set["weights"] == weights["weights"], "{set}");

    let neuron = user.json("neuron show --hotkey other")?;
    ensure!(neuron["endpoint"] == json!("127.0.0.1:9101"), "{neuron}");
    user.json("neuron deregister --hotkey other --yes")?;
    user.json("neuron swap other --yes")?;
    let swapped = user.json("neuron show --hotkey other")?;
    // At least: its votes may have been paid since.
    let stake = swapped["stake"].as_u64().context("stake")?;
    ensure!(swapped["uid"] == json!(0) && stake >= 20 * NOE, "{swapped}");

    wrong_turns(&user).await
}

/// What is refused before anything reaches the chain.
async fn wrong_turns(user: &User) -> Result<()> {
    user.refused("stake add 1.0000000001 --yes", 2, "9 decimals")?;
    user.refused("stake add -1 --yes", 2, "negative")?;
    user.refused("stake add 21000001 --yes", 2, "ever minted")?;
    let address = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    for nothing in ["stake add", "stake remove", "stake undelegate"] {
        let nothing = format!("{nothing} 0 --hotkey other --yes");
        user.refused(&nothing, 2, "the amount is zero")?;
    }
    user.refused(&format!("wallet send {address} 0 --yes"), 2, "is zero")?;
    user.refused("stake remove --hotkey other --yes", 2, "<AMOUNT|--all>")?;
    user.refused("stake remove --all --hotkey a/b", 2, "no name for a key")?;
    user.refused(
        "stake remove --all --hotkey second",
        4,
        "no hotkey of the wallet",
    )?;
    user.refused("config set url http://here", 2, "no address of a node")?;
    let mut command = user.command("wallet import --wallet third --file nowhere.json")?;
    refused(command, 4, "no file nowhere.json to import")?;
    command = user.command("wallet create --wallet third")?;
    command.env("NOESIS_PASSWORD_FILE", "nowhere");
    refused(command, 4, "the password cannot be read from nowhere")?;

    // A variable that is empty is not set: no key is looked for in the current folder.
    let mut command = user.command("wallet list --json")?;
    let list = told("wallet list", command.env("NOESIS_WALLETS", "").output()?)?;
    ensure!(
        list.as_array().is_some_and(|keys| !keys.is_empty()),
        "{list}"
    );
    user.refused("market show --market 9", 2, "there are text (0)")?;
    user.refused("market list --url ws://127.0.0.1:1", 3, "no node answers")?;
    user.refused("market list --url localhost", 2, "no address of a node")?;

    // A node of another chain than the one that is wanted.
    let genesis = format!("0x{}", "0".repeat(64));
    let mut command = user.command("market list")?;
    command.env("NOESIS_GENESIS", &genesis);
    refused(command, 3, "follows another chain")?;

    // Keys that cannot be used.
    let stake = "stake add 1 --hotkey other --yes";
    let wrong = user.keep("wrong", "something else")?;
    let mut command = user.command(stake)?;
    command.env("NOESIS_PASSWORD_FILE", wrong);
    refused(command, 4, "the password does not open")?;
    let mut command = user.command(stake)?;
    command.env_remove("NOESIS_PASSWORD_FILE");
    refused(command, 4, "there is no terminal")?;
    user.refused("wallet create", 4, "is not overwritten")?;
    let coldkey = user
        .home
        .join(".local/share/noesis/wallets/default/coldkey.json");
    fs::set_permissions(&coldkey, fs::Permissions::from_mode(0o644))?;
    user.refused(stake, 4, "chmod 600")?;
    fs::set_permissions(&coldkey, fs::Permissions::from_mode(0o600))?;
    let whole = fs::read_to_string(&coldkey)?;
    fs::write(&coldkey, &whole[..whole.len() / 2])?;
    user.refused(stake, 4, "no whole key file")?;
    fs::write(&coldkey, whole)?;

    // A setting that means nothing.
    let config = user.home.join(".config/noesis/config.toml");
    fs::create_dir_all(config.parent().context("a folder")?)?;
    fs::write(&config, "markt = \"image\"\n")?;
    user.refused("market list", 2, "`markt` is no setting")?;
    fs::write(&config, "market = \"image\"\n")?;
    let market = user.json("market show")?;
    ensure!(market["modality"] == json!("image"), "{market}");
    Ok(())
}

#[tokio::test]
async fn a_row_is_committed_to_kept_and_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let parameters = [
        ("reveal_period", json!(1)),
        ("weights_rate_limit", json!(1)),
    ];
    let mut node = Node::start_with(&parameters, folder.path(), free_port()?)?;
    node.chain().await?;
    let user = User::new(folder.path(), &node.url)?;
    user.import("//Alice", "")?;
    user.json("wallet create --hotkey default")?;
    user.json("wallet create --hotkey other")?;
    user.json("wallet create --hotkey brief")?;
    user.json("neuron register --yes")?;
    user.json("neuron register --hotkey other --yes")?;
    user.json("neuron register --hotkey brief --yes")?;
    user.refused("weights set 1=1 --yes", 2, "weights commit")?;
    user.refused("weights reveal --yes", 2, "keeps no row")?;

    // What is not sent is not kept.
    user.refused("weights commit 1=1", 6, "--yes")?;
    user.refused("weights reveal --yes", 2, "keeps no row")?;

    // Of the commitments of one epoch the last counts: the row of the first keeps nobody from showing it.
    let mut kept = Vec::new();
    for _ in 0..2 {
        let committed = user.json("weights commit 1=1 2=1 --yes")?;
        let path = PathBuf::from(committed["kept"].as_str().context("kept")?);
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{mode:o}");
        let text = fs::read_to_string(&path)?;
        kept.push((path, text));
    }
    // Who leaves takes an edge away, not the row.
    user.json("neuron deregister --hotkey brief --yes")?;
    user.refused("weights commit 2=1 --yes", 1, "uid 2")?;
    let start = Instant::now();
    loop {
        let output = user.command("weights reveal --yes")?.output()?;
        if output.status.success() {
            break;
        }
        // Its epoch has not begun.
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(said.contains("in a later epoch"), "{said}");
        ensure!(start.elapsed() < Duration::from_secs(60), "{said}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let shown = kept.iter().find(|(path, _)| !path.exists());
    let (path, text) = shown.context("a row that was shown is kept")?;
    let weights = user.json("weights show")?;
    ensure!(weights["weights"][0] == json!([1, 65535]), "{weights}");

    // What the chain takes no more is forgotten, but not by a dry run.
    for (other, _) in kept.iter().filter(|(other, _)| other != path) {
        let _ = fs::remove_file(other);
    }
    fs::write(path, text)?;
    let refused = user.command("weights reveal --dry-run")?.output()?;
    ensure!(refused.status.code() != Some(0), "{refused:?}");
    ensure!(path.exists(), "a dry run took a row away: {refused:?}");
    let refused = user.command("weights reveal --yes")?.output()?;
    ensure!(refused.status.code() != Some(0), "{refused:?}");
    ensure!(!path.exists(), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn what_lies_behind_a_neuron_earns_of_its_dividends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    node.chain().await?;
    let user = User::new(folder.path(), &node.url)?;
    user.import("//Bob", "")?;
    user.import("//Charlie", "--wallet other")?;
    user.json("wallet create --hotkey default")?;
    user.json("wallet create --hotkey miner")?;
    user.json("neuron register --yes")?;
    user.json("neuron register --hotkey miner --yes")?;
    user.json("stake add 100 --yes")?;
    let hotkey = user.json("neuron show")?["hotkey"].clone();
    let hotkey = hotkey.as_str().context("hotkey")?;

    // A lower take holds at once, a higher one after its notice.
    user.json("neuron take 10% --yes")?;
    user.json("neuron take 12.5% --yes")?;
    let take = user.json("neuron take")?;
    ensure!(take["take"] == json!(0.1), "{take}");
    ensure!(take["rises"]["take"] == json!(0.125), "{take}");
    let from = take["rises"]["from"].as_u64().context("from")?;
    ensure!(from > 14_400, "{take}");
    user.refused("neuron take 18.1% --yes", 2, "at most 18 %")?;
    user.refused("neuron take 0.1 --yes", 2, "with its sign")?;

    let delegate = format!("stake delegate 50 --hotkey {hotkey} --wallet other");
    user.refused(&delegate, 6, "--yes")?;
    let dry = user.json(&format!("{delegate} --dry-run"))?;
    ensure!(dry["planned"]["cost"] == json!(50 * NOE), "{dry}");
    ensure!(dry["fee"].as_u64() > Some(0), "{dry}");
    let small = format!("stake delegate 0.01 --hotkey {hotkey} --wallet other --yes");
    user.refused(&small, 2, "a tenth of a NOE")?;
    let bought = user.json(&format!("{delegate} --yes"))?;
    ensure!(bought["cost"] == json!(50 * NOE), "{bought}");
    ensure!(bought["shares"].as_u64() > Some(0), "{bought}");
    ensure!(bought["take"] == json!(0.1), "{bought}");
    ensure!(bought["rises"]["take"] == json!(0.125), "{bought}");
    // What others put there is not the owner's.
    let stake = user.json("stake show")?;
    ensure!(stake["total"] == json!(100 * NOE), "{stake}");
    ensure!(
        stake["neurons"][0]["delegated"] == json!(50 * NOE),
        "{stake}"
    );
    let all = user.json("stake remove --all --dry-run")?;
    ensure!(all["amount"] == json!(100 * NOE), "{all}");

    // What the pool earned is its part of the dividends less a tenth, and nothing else made it worth more.
    user.json("weights set 1=1 --yes")?;
    let start = Instant::now();
    let pools = loop {
        let pools = user.json("stake pools --delegators")?;
        if pools["pools"][0]["earned"]["units"].as_u64() > Some(0) {
            break pools;
        }
        ensure!(start.elapsed() < Duration::from_secs(90), "{pools}");
        std::thread::sleep(Duration::from_secs(1));
    };
    let pool = &pools["pools"][0];
    ensure!(pool["delegators"] == json!(1), "{pools}");
    let units = |value: &Value| value.as_u64().context("no units");
    let (own, behind) = (units(&pool["own"])?, units(&pool["delegated"])?);
    let (of, earned) = (
        units(&pool["earned"]["of"])?,
        units(&pool["earned"]["units"])?,
    );
    ensure!(of >= 50 * NOE && behind == of + earned, "{pools}");
    // In the block of the pools: by now another epoch may have been paid.
    let block = ask_at(node.rpc, "chain_getBlockHash", json!([pools["block"]]))?;
    let metagraph = ask_at(node.rpc, "market_metagraph", json!([0, block["result"]]))?;
    let pay = units(&metagraph["result"]["neurons"][0]["pay"])?;
    let part = u128::from(pay) * u128::from(of) / u128::from(own + behind - pay);
    let expected = u64::try_from(part * 9 / 10)?;
    ensure!(
        earned.abs_diff(expected) <= 2,
        "of {pay} the pool earned {earned}, not {expected}"
    );
    // All of the pool is this delegator's; it only grows.
    let held = user.json("stake delegations --wallet other")?;
    let later = user.json("stake pools")?;
    let most = units(&later["pools"][0]["delegated"])?;
    ensure!(
        (behind..=most).contains(&units(&held["total"])?),
        "{held} is to be between {behind} and {most}"
    );

    // A part comes out, to the unit or one more, and after the neuron has left the rest.
    let some = format!("stake undelegate 20 --hotkey {hotkey} --wallet other --yes");
    let sold = user.json(&some)?;
    let planned = sold["planned"]["amount"].as_u64().context("planned")?;
    ensure!(planned.abs_diff(20 * NOE) <= 1, "{sold}");
    // More, where an epoch was paid meanwhile.
    ensure!(sold["amount"].as_u64() >= Some(planned), "{sold}");
    let much = format!("stake undelegate 1000 --hotkey {hotkey} --wallet other --yes");
    user.refused(&much, 1, "fewer shares")?;
    user.json("neuron deregister --yes")?;
    let held = user.json("stake delegations --wallet other")?;
    ensure!(held["delegations"][0]["market"].is_null(), "{held}");
    user.refused(
        &format!("stake undelegate --all --pool 1 --hotkey {hotkey} --wallet other --yes"),
        2,
        "leave --hotkey and --market out",
    )?;
    user.json("stake undelegate --all --pool 1 --wallet other --yes")?;
    let held = user.json("stake delegations --wallet other")?;
    ensure!(held["delegations"] == json!([]), "{held}");
    Ok(())
}

#[tokio::test]
async fn root_opens_a_market_and_changes_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    let user = User::new(folder.path(), &node.url)?;
    user.import("//Alice", "--wallet root")?;
    user.import("//Bob", "")?;
    user.refused("market set tempo=20 --yes", 1, "only the sudo key")?;
    user.refused(
        "market set tmpo=20 --wallet root --yes",
        2,
        "there are emission_share",
    )?;
    user.refused(
        "market set tempo=soon --wallet root --yes",
        2,
        "1 to 100800 blocks",
    )?;
    user.refused(
        "market set tempo=99999999999 --wallet root --dry-run",
        2,
        "1 to 100800 blocks",
    )?;
    user.refused(
        "market create image emission_share=0.1 --wallet root --yes",
        2,
        "other markets leave",
    )?;
    // Sudo's transaction succeeds where the call that it makes does not.
    let mut rules = chain.governance(0).await?.now;
    for (name, value) in &mut rules.parameters {
        if name == "tempo" {
            *value = ParameterValue::Number(0);
        }
    }
    let call = Call::SetParameters { market: 0, rules };
    let refused = chain.send(&keypair("//Alice")?, &call).await;
    let words = refused.err().context("a tempo of 0")?.to_string();
    ensure!(words.contains("1 to 100800 blocks"), "{words}");

    let change = "market set tempo=5 emission_share=0.25 --wallet root";
    let dry = user.json(&format!("{change} --dry-run"))?;
    ensure!(dry["tempo"] == json!({ "old": 10, "new": 5 }), "{dry}");
    let before = user.json("market parameters")?;
    ensure!(before["tempo"] == json!(10), "{before}");
    user.json(&format!("{change} --yes"))?;
    let start = Instant::now();
    let after = loop {
        let after = user.json("market parameters")?;
        if after["tempo"] == json!(5) {
            break after;
        }
        ensure!(start.elapsed() < Duration::from_secs(60), "{after}");
        std::thread::sleep(Duration::from_secs(1));
    };
    // Nothing but what was named.
    let mut expected = before;
    expected["tempo"] = json!(5);
    expected["emission_share"] = json!(0.25);
    ensure!(after == expected, "{after} is to be {expected}");

    let opened =
        user.json("market create image emission_share=0.25 tempo=7 --wallet root --yes")?;
    ensure!(opened["market"] == json!(3), "{opened}");
    let market = user.json("market show --market 3")?;
    ensure!(
        market["modality"] == json!("image") && market["tempo"] == json!(7),
        "{market}"
    );
    Ok(())
}

#[tokio::test]
async fn two_programs_with_one_key_both_get_through() -> Result<()> {
    const EACH: u64 = 2;
    let folder = tempfile::tempdir()?;
    let mut node = Node::start(folder.path(), free_port()?)?;
    node.chain().await?;
    let user = User::new(folder.path(), &node.url)?;
    user.import("//Alice", "")?;
    user.json("wallet create --hotkey default")?;
    user.json("neuron register --yes")?;

    let outputs = std::thread::scope(|scope| {
        let program = || {
            scope.spawn(|| -> Result<()> {
                for _ in 0..EACH {
                    user.json("stake add 1 --yes")?;
                }
                Ok(())
            })
        };
        [program(), program(), program()].map(|thread| thread.join())
    });
    for output in outputs {
        output.ok().context("a thread failed")??;
    }
    // Nothing was lost, and nothing was done twice.
    let total = user.json("stake show")?["total"].clone();
    ensure!(total == json!(3 * EACH * NOE), "{total}");
    Ok(())
}
