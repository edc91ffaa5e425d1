//! What is checked before anything starts.

use super::*;
use crate::localnet::members;

/// A plan in `folder` with programs and a text, at `base_port`.
fn plan(folder: &Path, base_port: u16) -> Plan {
    for program in ["noesis-node", "noesis-miner", "noesis-validator", "text"] {
        std::fs::write(folder.join(program), "x").unwrap();
    }
    Plan {
        binaries: folder.into(),
        data: folder.join("text"),
        folder: folder.join("net"),
        base_port,
        seed: 1,
        market: "text".into(),
        members: members(),
        before: 0,
    }
}

/// A listener at base port + `offset` of a range that was otherwise free a moment ago.
fn listener_at(offset: u16) -> (TcpListener, u16) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if (1024 + offset..u16::MAX - PORTS).contains(&port) {
            let base = port - offset;
            let free = [0, 1, 11, 12, 13, 14]
                .iter()
                .filter(|other| **other != offset)
                .all(|other| TcpListener::bind(("127.0.0.1", base + other)).is_ok());
            if free {
                return (listener, base);
            }
        }
    }
}

#[test]
fn a_port_in_use_is_named_with_its_purpose_and_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    for (offset, purpose) in [(0, "the node's JSON-RPC"), (13, "the miner `noise`")] {
        let (listener, base) = listener_at(offset);
        let error = plan(folder.path(), base).check_ports().unwrap_err();
        assert!(
            matches!(&error, LocalError::PortInUse { port, .. } if *port == base + offset),
            "{error}"
        );
        let words = error.to_string();
        assert!(
            words.contains(purpose) && words.contains("--base-port"),
            "{words}"
        );
        drop(listener);
    }
}

#[test]
fn base_ports_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for base in [0, 80, u16::MAX, u16::MAX - PORTS + 1] {
        let error = plan(folder.path(), base).check_ports().unwrap_err();
        assert!(matches!(error, LocalError::BasePort { .. }), "{error}");
    }
}

#[test]
fn missing_programs_and_bad_texts_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(folder.path(), 20_000);
    plan.check_data().unwrap();
    plan.check_programs().unwrap();

    std::fs::write(&plan.data, "").unwrap();
    let refused = |plan: &Plan| plan.check_data().unwrap_err();
    assert!(matches!(refused(&plan), LocalError::EmptyData { .. }));
    plan.data = folder.path().join("nothing");
    assert!(matches!(refused(&plan), LocalError::NoData { .. }));
    plan.data = folder.path().into();
    assert!(matches!(refused(&plan), LocalError::NoData { .. }));

    std::fs::remove_file(folder.path().join("noesis-miner")).unwrap();
    let error = plan.check_programs().unwrap_err().to_string();
    assert!(error.contains("noesis-miner") && error.contains("--binaries"));
}

#[test]
fn networks_beside_each_other_share_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let one = plan(folder.path(), 20_000);
    let mut two = plan(folder.path(), 20_000 + PORTS);
    two.folder = folder.path().join("other");
    let ports = |plan: &Plan| -> Vec<u16> { plan.ports().iter().map(|port| port.0).collect() };
    assert!(ports(&one).iter().all(|port| !ports(&two).contains(port)));
    let arguments = format!("{:?}", two.node());
    assert!(arguments.contains("--no-mdns"), "{arguments}");
    assert!(!arguments.contains(&format!("{:?}", one.folder)));
}

#[test]
fn every_seed_can_be_given_and_no_two_members_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(folder.path(), 20_000);
    plan.seed = u64::MAX;
    assert_eq!([0, 1].map(|index| plan.seed_of(index)), [u64::MAX, 0]);
}
