//! The chain as its clients meet it: the commonest refusals as errors of the market, and a client that outlives its
//! node.

use anyhow::{ensure, Result};
use noesis_chain::{find_neuron, keypair, ChainError, MarketError, NOE};
use noesis_tests::{free_port, Node};
use std::time::{Duration, Instant};

const TEXT: u16 = 0;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_outlives_its_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut node = Node::start(folder.path(), port)?;
    let chain = node.chain().await?;
    let coldkey = keypair("//Bob")?;
    let hotkey = keypair("//Bob//hotkey")?;
    let id = hotkey.public_key().0;
    let uid = chain.register(&coldkey, TEXT, id, 10 * NOE).await?;
    chain.add_stake(&coldkey, TEXT, id, 5 * NOE).await?;

    drop(node);
    let away = chain.metagraph(TEXT).await;
    ensure!(
        matches!(away, Err(ChainError::Unreachable { .. })),
        "a node that is away was answered with {away:?}"
    );

    let mut node = Node::start(folder.path(), port)?;
    node.chain().await?;
    let start = Instant::now();
    let metagraph = loop {
        match chain.metagraph(TEXT).await {
            Ok(metagraph) => break metagraph,
            Err(reason) => ensure!(start.elapsed() < Duration::from_secs(60), "{reason}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let neuron = find_neuron(&metagraph, &id).expect("it registered before the node went away");
    ensure!(neuron.uid == uid && neuron.stake == 5 * NOE, "{neuron:?}");

    // And the same client goes on sending.
    chain
        .serve(&hotkey, TEXT, "127.0.0.1:9101", Some([7; 32]))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commonest_refusals_come_as_errors_of_the_market() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // The first row is awaited until it is final; where that takes longer than the limit of the chain of development,
    // five blocks, a second row would be taken.
    let limit = [("weights_rate_limit", 100.into())];
    let mut node = Node::start_with(&limit, folder.path(), free_port()?)?;
    let chain = node.chain().await?;
    let (alice, bob) = (keypair("//Alice")?, keypair("//Bob")?);
    let hotkeys = [keypair("//Alice//hotkey")?, keypair("//Bob//hotkey")?];
    let ids = [&hotkeys[0], &hotkeys[1]].map(|hotkey| hotkey.public_key().0);

    let refused = |result: Result<(), ChainError>, expected: MarketError| match result {
        Err(ChainError::Market(reason))
            if std::mem::discriminant(&reason) == std::mem::discriminant(&expected) =>
        {
            Ok(())
        }
        other => Err(anyhow::anyhow!("expected {expected:?}, got {other:?}")),
    };
    let nothing = |result: Result<u16, ChainError>| result.map(|_| ());

    refused(
        chain.set_weights(&hotkeys[0], TEXT, &[(1, 1)]).await,
        MarketError::NotRegistered,
    )?;
    refused(
        nothing(chain.register(&alice, 9, ids[0], 10 * NOE).await),
        MarketError::UnknownMarket,
    )?;
    refused(
        nothing(chain.register(&alice, TEXT, ids[0], 1).await),
        MarketError::CostAboveMaximum,
    )?;
    chain.register(&alice, TEXT, ids[0], 10 * NOE).await?;
    chain.register(&bob, TEXT, ids[1], 10 * NOE).await?;
    refused(
        nothing(chain.register(&bob, TEXT, ids[0], 10 * NOE).await),
        MarketError::AlreadyRegistered,
    )?;
    refused(
        chain.add_stake(&bob, TEXT, ids[0], NOE).await,
        MarketError::NotOwner,
    )?;
    refused(
        chain.remove_stake(&alice, TEXT, ids[0], NOE).await,
        MarketError::InsufficientStake,
    )?;
    refused(
        chain.add_stake(&alice, TEXT, ids[0], 1_000_000 * NOE).await,
        MarketError::InsufficientBalance,
    )?;
    refused(
        chain.serve(&hotkeys[0], TEXT, "nowhere", None).await,
        MarketError::EndpointInvalid,
    )?;
    let rows: [(&[(u16, u16)], MarketError); 5] = [
        (&[], MarketError::AllWeightsZero),
        (&[(1, 0)], MarketError::AllWeightsZero),
        // By the client itself, before anything is sent.
        (&[(1, 1), (1, 1)], MarketError::WeightsUnsorted),
        (&[(2, 1)], MarketError::UnknownUid),
        (&[(0, 1)], MarketError::SelfWeight),
    ];
    for (row, reason) in rows {
        refused(chain.set_weights(&hotkeys[0], TEXT, row).await, reason)?;
    }
    chain.set_weights(&hotkeys[0], TEXT, &[(1, 1)]).await?;
    refused(
        chain.set_weights(&hotkeys[0], TEXT, &[(1, 1)]).await,
        MarketError::WeightsTooEarly { next: None },
    )?;
    Ok(())
}
