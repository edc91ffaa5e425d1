//! From the command line to what runs.

use crate::{
    chain_spec,
    cli::{Cli, Subcommand},
    service::{self, Parts},
};
use noesis_runtime::opaque::Block;
use sc_cli::SubstrateCli;
use sc_network::config::NetworkBackendType;

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Noesis Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        env!("CARGO_PKG_AUTHORS").into()
    }

    fn support_url() -> String {
        "the issue tracker of the repository".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        chain_spec::load(id)
    }
}

/// Parses the command line and does what it says.
pub fn run() -> sc_cli::Result<()> {
    let cli = Cli::from_args();
    let Some(subcommand) = &cli.subcommand else {
        return run_node(&cli);
    };
    match subcommand {
        Subcommand::Key(command) => command.run(&cli),
        Subcommand::ExportChainSpec(command) => {
            let spec = cli.load_spec(&command.chain)?;
            command.run(spec)
        }
        Subcommand::CheckBlock(command) => cli.create_runner(command)?.async_run(|config| {
            let Parts {
                client,
                task_manager,
                import_queue,
                ..
            } = service::parts(&config)?;
            Ok((command.run(client, import_queue), task_manager))
        }),
        Subcommand::ExportBlocks(command) => cli.create_runner(command)?.async_run(|config| {
            let Parts {
                client,
                task_manager,
                ..
            } = service::parts(&config)?;
            Ok((command.run(client, config.database), task_manager))
        }),
        Subcommand::ExportState(command) => cli.create_runner(command)?.async_run(|config| {
            let Parts {
                client,
                task_manager,
                ..
            } = service::parts(&config)?;
            Ok((command.run(client, config.chain_spec), task_manager))
        }),
        Subcommand::ImportBlocks(command) => cli.create_runner(command)?.async_run(|config| {
            let Parts {
                client,
                task_manager,
                import_queue,
                ..
            } = service::parts(&config)?;
            Ok((command.run(client, import_queue), task_manager))
        }),
        Subcommand::PurgeChain(command) => cli
            .create_runner(command)?
            .sync_run(|config| command.run(config.database)),
        Subcommand::Revert(command) => cli.create_runner(command)?.async_run(|config| {
            let Parts {
                client,
                task_manager,
                backend,
                ..
            } = service::parts(&config)?;
            let revert_grandpa = Box::new(|client, _, blocks| {
                sc_consensus_grandpa::revert(client, blocks)?;
                Ok(())
            });
            Ok((
                command.run(client, backend, Some(revert_grandpa)),
                task_manager,
            ))
        }),
        Subcommand::ChainInfo(command) => cli
            .create_runner(command)?
            .sync_run(|config| command.run::<Block>(&config)),
    }
}

/// Runs a node until it is told to stop.
fn run_node(cli: &Cli) -> sc_cli::Result<()> {
    let monitor = cli.storage_monitor.clone();
    cli.create_runner(&cli.run)?
        .run_node_until_exit(|config| async move {
            match config.network.network_backend {
                NetworkBackendType::Libp2p => {
                    service::start::<sc_network::NetworkWorker<_, _>>(config, monitor)
                }
                NetworkBackendType::Litep2p => {
                    service::start::<sc_network::Litep2pNetworkBackend>(config, monitor)
                }
            }
            .map_err(sc_cli::Error::Service)
        })
}
