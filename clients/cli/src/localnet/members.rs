//! Who takes part in a local network: four miners of different worth, and two validators.

use crate::{local::plan::Member, row::Role};

/// Place of the miner that is trained before the network starts.
pub const TRAINED: usize = 0;

/// Milliseconds the late miner waits before it answers, far beyond any validator's deadline.
const LATE: &str = "late:20000";

/// The neurons, in the order in which they are started.
pub fn members() -> Vec<Member> {
    // Learning that nobody needs only takes time from the others: no steps beyond the checkpoint's.
    let still = ["--steps", "0"];
    let faulty = |fault| [still.as_slice(), &["--fault", fault]].concat();
    vec![
        Member::new("trained", Role::Miner, "//Charlie", &still),
        Member::new("scratch", Role::Miner, "//Dave", &[]),
        Member::new("noise", Role::Miner, "//Eve", &faulty("noise")),
        Member::new("late", Role::Miner, "//Ferdie", &faulty(LATE)),
        Member::new("validator-1", Role::Validator, "//Alice", &[]),
        Member::new("validator-2", Role::Validator, "//Bob", &[]),
    ]
}

/// The neurons of a market where all markets run beside each other: fewer, because they share the machine, and named
/// after their market.
pub fn members_of(market: &str) -> Vec<Member> {
    let all = members().into_iter();
    let few = all.filter(|one| ["trained", "noise", "validator-1"].contains(&one.name.as_str()));
    few.map(|member| Member {
        name: format!("{market}-{}", member.name),
        hotkey: format!("{}//{market}", member.coldkey),
        ..member
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::plan::{names, Plan, MARKETS};

    #[test]
    fn nobody_of_all_markets_is_taken_for_another() {
        let all: Vec<Member> = MARKETS.into_iter().flat_map(members_of).collect();
        assert_eq!(all.len(), 9);
        assert_eq!(names(&all).unwrap().len(), 9, "each has a key of its own");
        let named: std::collections::BTreeSet<_> = all.iter().map(|one| &one.name).collect();
        assert_eq!(named.len(), 9, "and a name");
        for few in all.chunks(3) {
            let trained = &few[TRAINED];
            assert!(trained.name.ends_with("-trained"), "{}", trained.name);
        }
    }

    #[test]
    fn the_four_miners_differ_as_they_should() {
        let plan = Plan {
            binaries: "/bin".into(),
            data: "/text".into(),
            folder: "/net".into(),
            base_port: 20_000,
            seed: 1,
            market: "text".into(),
            members: members(),
            before: 0,
        };
        let command = |name: &str| {
            let found = plan.members.iter().position(|member| member.name == name);
            let index = found.unwrap();
            format!("{:?}", plan.neuron(index, &plan.members[index]))
        };
        assert!(command("noise").contains("\"--fault\" \"noise\""));
        assert!(command("late").contains("\"--fault\" \"late:"));
        assert!(!command("trained").contains("--fault"));
        assert!(
            !command("scratch").contains("--steps"),
            "it learns as it serves"
        );
        assert!(command("trained").contains("\"--steps\" \"0\""));
        assert!(command("validator-1").contains("noesis-validator"));
        assert_eq!(names(&plan.members).unwrap().len(), plan.members.len());
        // The trained miner serves what its training wrote.
        let checkpoint = format!("{:?}", plan.checkpoint("trained"));
        assert!(command("trained").contains(&checkpoint));
        assert!(format!("{:?}", plan.train(TRAINED, 9)).contains(&checkpoint));
    }
}
