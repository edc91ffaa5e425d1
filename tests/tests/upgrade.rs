//! A chain of an older runtime is upgraded in place while a market lives on it, and nobody starts anything again.
//!
//! What governance does is done by Python's `substrate-interface`, which knows only what every chain has.

use anyhow::{ensure, Context, Result};
use frame_support::{storage::storage_prefix, traits::STORAGE_VERSION_STORAGE_KEY_POSTFIX};
use noesis_chain::{
    find_neuron, keypair, AccountId, BlockNumber, Call, Chain, ChainError, Hotkey, Keypair,
    Metagraph, NOE,
};
use noesis_runtime::VERSION;
use noesis_tests::{ask, chain_spec, foreign, free_port, http, neuron, Node, Process};
use serde::Deserialize;
use serde_json::{json, Value};
use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Arc,
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::sleep};

const TEXT: u16 = 0;

/// The runtime of before, and its version.
const OLD_RUNTIME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/runtime-100.wasm");
const OLD_VERSION: u32 = 100;

/// How long anything may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// What the program of governance saw.
#[derive(Debug, Deserialize)]
struct Upgrade {
    /// The block that holds the new code; the next is the first that the new runtime makes.
    block: BlockNumber,
    /// Slots without a block between the two.
    pause: u64,
}

/// Blocks of an epoch of every market: so many that the code comes well within one on a busy machine, too.
const TEMPO: u32 = 20;

/// Who pays all the time.
fn payers() -> Result<Vec<Keypair>> {
    (0..6)
        .map(|number| Ok(keypair(&format!("//payer//{number}"))?))
        .collect()
}

/// The development chain as the runtime of version 100 has it, and the code of today's.
fn old_chain() -> Result<(Value, Vec<u8>)> {
    let mut spec = chain_spec(&[])?;
    let genesis = &mut spec["genesis"]["runtimeGenesis"];
    let code = genesis["code"].as_str().context("no code")?;
    let new = hex::decode(code.trim_start_matches("0x"))?;
    genesis["code"] = format!("0x{}", hex::encode(std::fs::read(OLD_RUNTIME)?)).into();
    // It had no sessions: the genesis named the authorities' keys to Aura and GRANDPA themselves.
    let patch = genesis["patch"].as_object_mut().context("no patch")?;
    patch.remove("authorities");
    let session = patch.remove("session").context("no session")?;
    let keys = &session["keys"][0][2];
    patch.insert("aura".into(), json!({ "authorities": [keys["aura"]] }));
    let grandpa = json!({ "authorities": [[keys["grandpa"], 1]] });
    patch.insert("grandpa".into(), grandpa);
    let markets = patch["market"]["markets"].as_array_mut();
    for market in markets.context("no markets")? {
        market["parameters"]["tempo"] = json!(TEMPO);
    }
    let balances = patch["balances"]["balances"].as_array_mut();
    let balances = balances.context("no balances")?;
    for payer in payers()? {
        let account = AccountId(payer.public_key().0).to_string();
        balances.push(json!([account, 1_000 * NOE]));
    }
    Ok((spec, new))
}

/// Everybody pays a unit of NOE again and again, each when the one before is final, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    payers: Vec<JoinHandle<Result<Paid, ChainError>>>,
    hasty: JoinHandle<Result<Paid, ChainError>>,
}

/// How many payments were made; `perhaps` where the node was silent for so long, compiling on a busy machine, that a
/// client gave up.
#[derive(Debug, Default)]
struct Paid {
    surely: u64,
    perhaps: u64,
}

/// Whom they pay.
const PAYEE: AccountId = AccountId([7; 32]);

/// Whom one pays who does not wait.
const HASTY_PAYEE: AccountId = AccountId([8; 32]);

impl Load {
    fn start(chain: &Chain) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let hasty = tokio::spawn(sign_hastily(chain.clone(), stop.clone()));
        let payers = payers()?.into_iter().map(|payer| {
            let (chain, stop) = (chain.clone(), stop.clone());
            tokio::spawn(async move {
                let mut paid = Paid::default();
                while !stop.load(Relaxed) {
                    let call = Call::Transfer {
                        to: PAYEE,
                        amount: NOE,
                    };
                    match chain.send(&payer, &call).await {
                        Ok(_) => paid.surely += 1,
                        Err(ChainError::Unreachable { .. }) => {}
                        Err(ChainError::Uncertain(_)) => paid.perhaps += 1,
                        Err(error) => return Err(error),
                    }
                }
                Ok(paid)
            })
        });
        Ok(Self {
            payers: payers.collect(),
            hasty,
            stop,
        })
    }

    /// How often was paid, and how often in haste. An error if one payment was refused.
    async fn end(self) -> Result<(Paid, Paid)> {
        self.stop.store(true, Relaxed);
        let mut all = Paid::default();
        for payer in self.payers {
            let paid = payer.await??;
            all.surely += paid.surely;
            all.perhaps += paid.perhaps;
        }
        Ok((all, self.hasty.await??))
    }
}

/// Pays without waiting for blocks, so also between the new code and its finality. What waits in the pool when the code
/// comes is lost: no payment is sure.
async fn sign_hastily(chain: Chain, stop: Arc<AtomicBool>) -> Result<Paid, ChainError> {
    let payer = keypair("//Dave").expect("it is a development key");
    let call = Call::Transfer {
        to: HASTY_PAYEE,
        amount: NOE,
    };
    let mut paid = Paid::default();
    while !stop.load(Relaxed) {
        match chain.send_off(&payer, &call).await {
            Ok(_) | Err(ChainError::Uncertain(_)) => paid.perhaps += 1,
            Err(ChainError::Unreachable { .. }) => {}
            Err(error) => return Err(error),
        }
        sleep(Duration::from_millis(300)).await;
    }
    Ok(paid)
}

/// What of a market must not change by an upgrade: all but the cost of a slot, which falls by the block, and
/// when a row was set.
async fn lasting(chain: &Chain, block: BlockNumber) -> Result<Metagraph> {
    let mut metagraph = chain.metagraph_at(TEXT, block).await?;
    metagraph.registration_cost = 0;
    for neuron in &mut metagraph.neurons {
        neuron.last_update = None;
    }
    Ok(metagraph)
}

/// Lets governance replace the runtime.
async fn upgrade(url: &str, folder: &Path, code: &[u8], hotkey: Hotkey) -> Result<Upgrade> {
    let file = folder.join("new.wasm");
    std::fs::write(&file, code)?;
    let mut command = foreign::python("python", "upgrade.py")?;
    let account = noesis_runtime::Market::stake_account();
    let account: &[u8] = account.as_ref();
    let output = command
        .arg(url)
        .arg(&file)
        .args([account, &hotkey].map(|key| format!("0x{}", hex::encode(key))))
        .arg(TEMPO.to_string())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
    serde_json::from_str(said.lines().last().context("it said nothing")?).context(said)
}

/// A node whose chain begins with the old runtime, and the ports that it answers on.
struct Old {
    node: Node,
    rpc: u16,
    prometheus: u16,
}

impl Old {
    fn start(spec: &Value, folder: &Path) -> Result<Self> {
        let file = folder.join("chain.json");
        std::fs::write(&file, spec.to_string())?;
        let (rpc, prometheus) = (free_port()?, free_port()?);
        let (file, port) = (file.to_string_lossy(), prometheus.to_string());
        let flags = ["--dev", "--chain", &file, "--prometheus-port", &port];
        Ok(Self {
            node: Node::start_flags(folder, rpc, &flags)?,
            rpc,
            prometheus,
        })
    }

    /// Fails unless the runtime and the storage of the market have these versions.
    fn expect_versions(&self, runtime: u32, storage: &str) -> Result<()> {
        let version = ask(self.rpc, "state_getRuntimeVersion", json!([]))?;
        ensure!(version["result"]["specVersion"] == runtime, "{version}");
        let key = storage_prefix(b"Market", STORAGE_VERSION_STORAGE_KEY_POSTFIX);
        let key = format!("0x{}", hex::encode(key));
        let version = ask(self.rpc, "state_getStorage", json!([key]))?;
        ensure!(version["result"] == storage, "{version}");
        Ok(())
    }

    /// What the node answers of a market's parameters in a block, which version 100 cannot be asked for.
    fn parameters(&self, block: BlockNumber) -> Result<Value> {
        let hash = &ask(self.rpc, "chain_getBlockHash", json!([block]))?["result"];
        ask(self.rpc, "market_parameters", json!([TEXT, hash]))
    }

    /// Fails unless the node says of a block in words that its runtime is too old.
    fn expect_too_old(&self, block: BlockNumber) -> Result<()> {
        let answer = self.parameters(block)?;
        let words = answer["error"]["message"].as_str().unwrap_or_default();
        ensure!(words.contains("is older than this question"), "{answer}");
        Ok(())
    }

    /// Whether the market is in the node's metrics.
    fn shows_market(&self) -> Result<bool> {
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        Ok(http(self.prometheus, request)?.contains("noesis_market_epoch{market=\"0\""))
    }
}

/// A validator, and a miner that knows more than it.
struct Neurons {
    miner: Process,
    validator: Process,
    miner_key: Hotkey,
    validator_key: Hotkey,
}

impl Neurons {
    fn start(url: &str, folder: &Path) -> Result<Self> {
        let miner = || neuron("noesis-miner", "//Charlie", url, folder);
        let trained = miner()?.args(["--train-only", "--steps", "400"]).output()?;
        ensure!(trained.status.success(), "{trained:?}");
        let mut miner = miner()?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        miner.args(["--steps", "0", "--listen", &listen]);
        let mut validator = neuron("noesis-validator", "//Bob", url, folder)?;
        let key = |secret| keypair(secret).map(|key| key.public_key().0);
        Ok(Self {
            miner: Process::start(&mut miner, &folder.join("miner.log"))?,
            validator: Process::start(&mut validator, &folder.join("validator.log"))?,
            miner_key: key("//Charlie//hotkey")?,
            validator_key: key("//Bob//hotkey")?,
        })
    }

    /// Waits until the validator voted after a block, and an epoch after it paid the miner.
    async fn earn_after(&mut self, chain: &Chain, block: BlockNumber) -> Result<()> {
        let start = Instant::now();
        loop {
            let metagraph = chain.metagraph(TEXT).await?;
            let paid = find_neuron(&metagraph, &self.miner_key).is_some_and(|miner| miner.pay > 0);
            let voted = find_neuron(&metagraph, &self.validator_key)
                .is_some_and(|validator| validator.last_update > Some(block));
            if paid && voted && metagraph.block > block {
                println!("block {} paid the miner", metagraph.block);
                return Ok(());
            }
            ensure!(
                self.miner.is_running()? && self.validator.is_running()?,
                "a program ended"
            );
            ensure!(
                start.elapsed() < DEADLINE,
                "not paid after block {block}: {metagraph:?}"
            );
            sleep(Duration::from_millis(300)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_lives_on_while_its_runtime_is_replaced() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (spec, code) = old_chain()?;
    let mut old = Old::start(&spec, folder.path())?;
    let chain = old.node.chain().await?;
    let url = old.node.url.clone();
    old.expect_versions(OLD_VERSION, "0x0100")?;
    old.expect_too_old(0)?;

    let load = Load::start(&chain)?;
    let mut neurons = Neurons::start(&url, folder.path())?;
    neurons.earn_after(&chain, 0).await?;
    ensure!(!old.shows_market()?);

    // A node compiles the new runtime when it needs it first, for which the chain waits. Other work on the machine
    // decides how long; this compiles the same, and does a little more.
    let start = Instant::now();
    chain_spec(&["--raw"])?;
    let compiling = start.elapsed().as_secs_f64();
    let seen = upgrade(&url, folder.path(), &code, neurons.miner_key).await?;
    println!("{seen:?}; to compile a runtime takes {compiling:.1} s now");
    ensure!(seen.pause as f64 <= 2.0 + 2.0 * compiling, "{seen:?}");

    // The new runtime, over the storage of the old one and over what it made of that.
    old.expect_versions(VERSION.spec_version, "0x0200")?;
    let before = lasting(&chain, seen.block - 1).await?;
    ensure!(before.neurons.len() == 2, "{before:?}");
    for block in [seen.block, seen.block + 1] {
        let after = lasting(&chain, block).await?;
        ensure!(before == after, "{before:?}, in block {block} {after:?}");
    }
    old.expect_too_old(seen.block - 1)?;
    let parameters = old.parameters(seen.block + 1)?;
    ensure!(parameters["result"]["tempo"] == TEMPO, "{parameters}");
    ensure!(old.shows_market()?);

    // Everybody goes on.
    let hasty = chain.balance(HASTY_PAYEE).await?;
    neurons.earn_after(&chain, seen.block + 1).await?;
    let (paid, in_haste) = load.end().await?;
    let received = chain.balance(PAYEE).await? / NOE;
    println!("{paid:?}, of which {received} arrived");
    ensure!((paid.surely..=paid.surely + paid.perhaps).contains(&received));
    ensure!(paid.surely > 0 && paid.perhaps <= 6);
    let arrived = chain.balance(HASTY_PAYEE).await?;
    println!("{in_haste:?} in haste, of which {} arrived", arrived / NOE);
    ensure!(hasty > 0 && arrived > hasty && arrived / NOE <= in_haste.perhaps);
    Ok(())
}
