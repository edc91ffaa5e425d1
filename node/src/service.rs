//! The node's parts, and how they are put together: Aura authors, GRANDPA finalizes.

use crate::{counted_pool::CountedPool, equivocation::Watched, metrics, rpc};
use futures::FutureExt;
use noesis_runtime::{apis::RuntimeApi, opaque::Block, Hash};
use sc_client_api::{Backend as _, BlockBackend};
use sc_consensus_aura::{CheckForEquivocation, ImportQueueParams, SlotProportion, StartAuraParams};
use sc_consensus_grandpa::{warp_proof::NetworkProvider, SharedVoterState};
use sc_network::NetworkBackend;
use sc_service::{error::Error, Configuration, TaskManager, WarpSyncConfig};
use sc_storage_monitor::{StorageMonitorParams, StorageMonitorService};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_aura::{
    inherents::InherentDataProvider as SlotProvider, sr25519::AuthorityPair as AuraPair,
    SlotDuration,
};
use sp_runtime::Percent;
use sp_timestamp::InherentDataProvider as TimeProvider;
use std::sync::Arc;

type Executor = sc_executor::WasmExecutor<sp_io::SubstrateHostFunctions>;

/// The chain as the node keeps it.
pub type Client = sc_service::TFullClient<Block, RuntimeApi, Executor>;
/// The pool of transactions.
pub type Pool = sc_transaction_pool::TransactionPoolHandle<Block, Client>;

type Backend = sc_service::TFullBackend<Block>;
type SelectChain = sc_consensus::LongestChain<Backend, Block>;
type GrandpaImport = sc_consensus_grandpa::GrandpaBlockImport<Backend, Block, Client, SelectChain>;
type Import = Watched<GrandpaImport>;
type GrandpaLink = sc_consensus_grandpa::LinkHalf<Block, Client, SelectChain>;

/// What both a running node and the subcommands need.
pub type Parts = sc_service::PartialComponents<
    Client,
    Backend,
    SelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    Pool,
    (Import, GrandpaLink, Option<Telemetry>),
>;

/// Blocks between two justifications that are kept and sent on.
const JUSTIFICATION_PERIOD: u32 = 512;

/// Part of a slot that GRANDPA waits for gossip, so that a block is final within two slots.
const GOSSIP_PART: u32 = 3;

/// Part of a slot that is for proposing a block.
const PROPOSAL_PART: f32 = 2.0 / 3.0;

/// Part of the time for proposing in which transactions that find no room are passed over, any number of them; after that
/// the next such ends the block.
///
/// Free calls come first in the pool, and once they have their half of a block the rest of them finds no room: those
/// that pay get in if the author comes to them in time. A pool holds 8192 by default: in slots of six seconds three quarters
/// are 2.6 seconds, 0.3 milliseconds for each. Not all of the time, since what is left is for the state's root: a proposal
/// that is not done by the end of it is thrown away.
const PASSING_OVER: Percent = Percent::from_percent(75);

/// The slot of this moment, and the moment, which every block of Aura records.
fn now(slot_duration: SlotDuration) -> (SlotProvider, TimeProvider) {
    let time = TimeProvider::from_system_time();
    let slot = SlotProvider::from_timestamp_and_slot_duration(*time, slot_duration);
    (slot, time)
}

/// Opens the database and builds everything that does not touch the network.
pub fn parts(config: &Configuration) -> Result<Parts, Error> {
    let endpoints = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty());
    let telemetry = endpoints
        .map(|endpoints| {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok::<_, sc_telemetry::Error>((worker, telemetry))
        })
        .transpose()?;
    let executor = sc_service::new_wasm_executor(&config.executor);
    let (client, backend, keystore_container, task_manager) =
        sc_service::new_full_parts::<Block, RuntimeApi, _>(
            config,
            telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
            executor,
            Vec::new(),
        )?;
    let client = Arc::new(client);
    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager
            .spawn_handle()
            .spawn("telemetry", None, worker.run());
        telemetry
    });
    let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

    let select_chain = sc_consensus::LongestChain::new(backend.clone());
    let transaction_pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );
    let (grandpa_import, grandpa_link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry_handle(),
    )?;
    let import = Watched {
        inner: grandpa_import.clone(),
        client: client.clone(),
        pool: OffchainTransactionPoolFactory::new(transaction_pool.clone()),
        slot_duration: sc_consensus_aura::slot_duration(&*client)?,
    };
    let slot_client = client.clone();
    let import_queue =
        sc_consensus_aura::import_queue::<AuraPair, _, _, _, _, _>(ImportQueueParams {
            block_import: import.clone(),
            justification_import: Some(Box::new(grandpa_import)),
            client: client.clone(),
            create_inherent_data_providers: move |parent, ()| {
                let client = slot_client.clone();
                async move {
                    let slot_duration =
                        sc_consensus_aura::standalone::slot_duration_at(&*client, parent)?;
                    Ok(now(slot_duration))
                }
            },
            spawner: &task_manager.spawn_essential_handle(),
            registry: config.prometheus_registry(),
            check_for_equivocation: CheckForEquivocation::No, // `Watched` does
            telemetry: telemetry_handle(),
            compatibility_mode: Default::default(),
        })?;

    Ok(Parts {
        client,
        backend,
        task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (import, grandpa_link, telemetry),
    })
}

/// Starts a node; it runs as long as the returned tasks do.
pub fn start<Network: NetworkBackend<Block, Hash>>(
    config: Configuration,
    storage_monitor: StorageMonitorParams,
) -> Result<TaskManager, Error> {
    let Parts {
        client,
        backend,
        mut task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (import, grandpa_link, mut telemetry),
    } = parts(&config)?;
    let slot_duration = import.slot_duration;
    // What comes in by network and RPC is counted where it is refused; the rest asks the pool itself.
    let counted_pool = CountedPool::new(transaction_pool.clone(), config.prometheus_registry())
        .map_err(|reason| Error::Application(reason.into()))?;
    let counted_pool = Arc::new(counted_pool);
    if let Some(path) = config.database.path() {
        StorageMonitorService::try_spawn(
            storage_monitor,
            path.to_path_buf(),
            &task_manager.spawn_essential_handle(),
        )
        .map_err(|reason| Error::Application(reason.into()))?;
    }
    if let Some(registry) = config.prometheus_registry().cloned() {
        task_manager.spawn_handle().spawn_blocking(
            "market-metrics",
            None,
            metrics::run(client.clone(), registry),
        );
    }

    // The network, with GRANDPA's notifications on it.
    let mut network_config = sc_network::config::FullNetworkConfiguration::<_, _, Network>::new(
        &config.network,
        config.prometheus_registry().cloned(),
    );
    let metrics = Network::register_notification_metrics(config.prometheus_registry());
    let genesis = client
        .block_hash(0)?
        .ok_or_else(|| Error::Other("the database has no genesis block: purge it".into()))?;
    let grandpa_protocol =
        sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
    let (grandpa_protocol_config, grandpa_notifications) =
        sc_consensus_grandpa::grandpa_peers_set_config::<_, Network>(
            grandpa_protocol.clone(),
            metrics.clone(),
            network_config.peer_store_handle(),
        );
    network_config.add_notification_protocol(grandpa_protocol_config);
    let warp_sync = Arc::new(NetworkProvider::new(
        backend.clone(),
        grandpa_link.shared_authority_set().clone(),
        Vec::new(),
    ));
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(sc_service::BuildNetworkParams {
            config: &config,
            net_config: network_config,
            client: client.clone(),
            transaction_pool: counted_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: None,
            warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;

    if config.offchain_worker.enabled {
        let workers = sc_offchain::OffchainWorkers::new(sc_offchain::OffchainWorkerOptions {
            runtime_api_provider: client.clone(),
            is_validator: config.role.is_authority(),
            keystore: Some(keystore_container.keystore()),
            offchain_db: backend.offchain_storage(),
            transaction_pool: Some(OffchainTransactionPoolFactory::new(
                transaction_pool.clone(),
            )),
            network_provider: Arc::new(network.clone()),
            enable_http_requests: false,
            custom_extensions: |_| Vec::new(),
        })?;
        task_manager.spawn_handle().spawn(
            "offchain-workers-runner",
            "offchain-worker",
            workers
                .run(client.clone(), task_manager.spawn_handle())
                .boxed(),
        );
    }

    let role = config.role;
    let name = config.network.node_name.clone();
    let force_authoring = config.force_authoring;
    let finalizes = !config.disable_grandpa;
    let prometheus_registry = config.prometheus_registry().cloned();

    let rpc_client = client.clone();
    let rpc_pool = transaction_pool.clone();
    sc_service::spawn_tasks(sc_service::SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut task_manager,
        keystore: keystore_container.keystore(),
        transaction_pool: counted_pool,
        rpc_builder: Box::new(move |_| {
            rpc::methods(rpc_client.clone(), rpc_pool.clone()).map_err(Into::into)
        }),
        network: Arc::new(network.clone()),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

    if role.is_authority() {
        let mut proposer_factory = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            transaction_pool.clone(),
            prometheus_registry.as_ref(),
            telemetry_handle(),
        );
        proposer_factory.set_soft_deadline(PASSING_OVER);
        let backoff: Option<()> = None;
        let aura = sc_consensus_aura::start_aura::<AuraPair, _, _, _, _, _, _, _, _, _, _>(
            StartAuraParams {
                slot_duration,
                client: client.clone(),
                select_chain,
                block_import: import,
                proposer_factory,
                sync_oracle: sync_service.clone(),
                justification_sync_link: sync_service.clone(),
                create_inherent_data_providers: move |_, ()| async move { Ok(now(slot_duration)) },
                force_authoring,
                backoff_authoring_blocks: backoff,
                keystore: keystore_container.keystore(),
                block_proposal_slot_portion: SlotProportion::new(PROPOSAL_PART),
                max_block_proposal_slot_portion: None,
                telemetry: telemetry_handle(),
                compatibility_mode: Default::default(),
            },
        )?;
        // Without its author the node serves no purpose: it stops if this task does.
        task_manager
            .spawn_essential_handle()
            .spawn_blocking("aura", Some("block-authoring"), aura);
    }

    if finalizes {
        let voter = sc_consensus_grandpa::GrandpaParams {
            config: sc_consensus_grandpa::Config {
                gossip_duration: slot_duration.as_duration() / GOSSIP_PART,
                justification_generation_period: JUSTIFICATION_PERIOD,
                name: Some(name),
                observer_enabled: false,
                keystore: role.is_authority().then(|| keystore_container.keystore()),
                local_role: role,
                telemetry: telemetry_handle(),
                protocol_name: grandpa_protocol,
            },
            link: grandpa_link,
            network,
            sync: Arc::new(sync_service),
            notification_service: grandpa_notifications,
            voting_rule: sc_consensus_grandpa::VotingRulesBuilder::default().build(),
            prometheus_registry,
            shared_voter_state: SharedVoterState::empty(),
            telemetry: telemetry_handle(),
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
        };
        task_manager.spawn_essential_handle().spawn_blocking(
            "grandpa-voter",
            None,
            sc_consensus_grandpa::run_grandpa_voter(voter)?,
        );
    }
    Ok(task_manager)
}
