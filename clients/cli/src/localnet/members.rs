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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::plan::{names, Plan};

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
