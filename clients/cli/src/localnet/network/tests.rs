//! A network of programs that are none.

use super::*;
use crate::{local::plan::MARKETS, localnet::neuron::Neuron, row::tests::market, Command};
use clap::Parser;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Lets the network look after its processes until it `found` what is waited for.
async fn bury_until(network: &mut Network<'_>, found: impl Fn(&Network) -> bool) -> Result<()> {
    while !found(network) {
        network.bury()?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// What the command line says.
fn arguments(line: &str) -> Arguments {
    let Command::Localnet(arguments) = crate::Arguments::try_parse_from(line.split(' '))
        .unwrap()
        .command
    else {
        unreachable!("it is what was said");
    };
    arguments
}

#[tokio::test]
async fn it_outlives_a_miner_and_a_validator_but_not_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let alive = path.join("alive");
    fs::write(&alive, "").unwrap();
    fs::create_dir_all(path.join("net/logs")).unwrap();
    let lives = format!("while [ -e {} ]; do sleep 0.05; done", alive.display());
    program(path, "noesis-node", &lives);
    let one_ends = r#"case "$*" in *late*|*Bob*) exit 3;; esac; exec sleep 60"#;
    program(path, "noesis-miner", one_ends);
    program(path, "noesis-validator", one_ends);
    let (binaries, net) = (path.display(), path.join("net"));
    let line = format!(
        "noesis localnet --data text --binaries {binaries} --folder {} --epochs 1",
        net.display()
    );
    let arguments = arguments(&line);
    let plans = arguments.plans().unwrap();
    let mut supervisor = Supervisor::default();
    let mut network = Network::new(&arguments, &plans, &mut supervisor).unwrap();
    network.start_neurons().unwrap();

    let ended = |network: &Network| -> Vec<String> {
        let processes = network.processes(0).into_iter();
        let ended = processes.filter(|process| process.stage == Stage::Ended);
        ended
            .map(|process| format!("{} {}", process.name, process.doing))
            .collect()
    };
    bury_until(&mut network, |network| ended(network).len() == 2)
        .await
        .unwrap();
    assert_eq!(
        ended(&network),
        [
            "late ended (exit status: 3)",
            "validator-2 ended (exit status: 3)"
        ]
    );

    fs::remove_file(&alive).unwrap();
    let error = bury_until(&mut network, |_| false).await.unwrap_err();
    assert!(
        error.to_string().contains("its node: node ended"),
        "{error}"
    );
}

#[tokio::test]
async fn who_waits_for_epochs_is_told_that_every_validator_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir_all(path.join("net/logs")).unwrap();
    program(path, "noesis-node", "exec sleep 60");
    program(path, "noesis-miner", "exec sleep 60");
    program(path, "noesis-validator", "exit 3");
    let line = format!(
        "noesis localnet --data text --binaries {} --folder {}/net --epochs 2",
        path.display(),
        path.display()
    );
    let arguments = arguments(&line);
    let plans = arguments.plans().unwrap();
    for waits in [true, false] {
        let mut supervisor = Supervisor::default();
        let mut network = Network::new(&arguments, &plans, &mut supervisor).unwrap();
        network.epochs = network.epochs.filter(|_| waits);
        network.start_neurons().unwrap();
        assert!(network.check_votes().is_ok(), "they have only been started");
        let dead = |network: &Network| {
            let ended = |one: &&Neuron| one.ended.is_some();
            network.boards[0].neurons.iter().filter(ended).count()
        };
        bury_until(&mut network, |network| dead(network) == 2)
            .await
            .unwrap();
        match network.tick() {
            Err(error) if waits => {
                let words = error.to_string();
                assert!(
                    words.contains("every validator has ended, 0 of 2"),
                    "{words}"
                );
                assert!(words.contains("net/logs"), "{words}");
            }
            other => assert!(!waits && other.is_ok(), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn all_markets_run_beside_each_other_and_each_pays_as_often() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir_all(path.join("net/logs")).unwrap();
    for name in ["noesis-node", "noesis-miner", "noesis-validator"] {
        program(path, name, "exec sleep 60");
    }
    let (text, images) = (path.join("text"), path.join("images"));
    fs::write(&text, "In the beginning").unwrap();
    fs::create_dir(&images).unwrap();
    let report = path.join("out.json");
    let line = format!(
        "noesis localnet --market all --binaries {0} --folder {0}/net --epochs 1 --json {1}",
        path.display(),
        report.display()
    );
    let arguments = arguments(&line);
    let plans: Vec<Plan> = (MARKETS.into_iter().zip([0, 3, 6]))
        .map(|(market, before)| {
            let members = crate::localnet::members_of(market);
            let data = if market == "text" { &text } else { &images };
            Plan {
                binaries: path.into(),
                data: data.clone(),
                folder: path.join("net"),
                base_port: 20_000,
                seed: 1,
                market: market.into(),
                members,
                before,
            }
        })
        .collect();
    let mut supervisor = Supervisor::default();
    let mut network = Network::new(&arguments, &plans, &mut supervisor).unwrap();
    for index in 0..3 {
        assert!(!network.paid_enough());
        network.take(index, 20, &market(2, 10)).unwrap();
    }
    assert!(network.paid_enough());
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    for market in MARKETS {
        assert_eq!(json["markets"][market]["epochs"][0]["minted"], 10, "{json}");
    }
}
