//! One neuron of the network: how far it has come.

use anyhow::Result;
use noesis_chain::{find_neuron, Hotkey, Metagraph};

use crate::{local::plan::Member, row::Role, view::Stage};

/// One neuron of ours and how far it has come.
pub struct Neuron {
    /// Which one.
    pub member: Member,
    /// Its key in the market.
    pub hotkey: Hotkey,
    /// Whether it has a slot.
    pub registered: bool,
    /// Whether it has said where it serves.
    pub published: bool,
    /// How its process ended, if it did.
    pub ended: Option<String>,
}

impl Neuron {
    /// A member that has not been started.
    pub fn new(member: Member) -> Result<Self> {
        Ok(Self {
            hotkey: member.public_key()?,
            member,
            registered: false,
            published: false,
            ended: None,
        })
    }

    /// Takes up what the market says of it.
    pub fn take(&mut self, metagraph: &Metagraph) {
        let found = find_neuron(metagraph, &self.hotkey);
        self.registered = found.is_some();
        self.published = found.is_some_and(|found| found.endpoint.is_some());
    }

    /// Whether it has done all that it does before the first epoch.
    pub fn up(&self) -> bool {
        self.registered && (self.published || self.member.role == Role::Validator)
    }

    /// Whether it still has to come there.
    pub fn awaited(&self) -> bool {
        !self.up() && self.ended.is_none()
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        match (&self.ended, self.up()) {
            (Some(_), _) => Stage::Ended,
            (None, false) => Stage::Starting,
            (None, true) => Stage::Ready,
        }
    }

    /// What it is doing.
    pub fn doing(&self) -> String {
        if let Some(status) = &self.ended {
            return format!("ended ({status})");
        }
        match (self.registered, self.up(), self.member.role) {
            (false, ..) => "registering",
            (true, false, _) => "publishing its endpoint",
            (true, true, Role::Miner) => "serving",
            (true, true, Role::Validator) => "validating",
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{localnet::members, row::tests::market};

    #[test]
    fn it_is_up_once_the_market_knows_it_and_ended_whatever_the_market_says() {
        let mut neuron = Neuron::new(members().remove(0)).unwrap();
        assert_eq!(
            (neuron.stage(), neuron.doing()),
            (Stage::Starting, "registering".into())
        );
        let mut market = market(1, 0);
        market.neurons[1].hotkey.0 = neuron.hotkey;
        market.neurons[1].endpoint = None;
        neuron.take(&market);
        assert!(neuron.awaited() && neuron.doing().contains("publishing"));
        market.neurons[1].endpoint = Some("127.0.0.1:9911".into());
        neuron.take(&market);
        assert_eq!(
            (neuron.stage(), neuron.doing()),
            (Stage::Ready, "serving".into())
        );

        neuron.ended = Some("signal: 9 (SIGKILL)".into());
        neuron.take(&market);
        assert_eq!(neuron.stage(), Stage::Ended);
        assert_eq!(neuron.doing(), "ended (signal: 9 (SIGKILL))");
        neuron.registered = false;
        assert!(!neuron.awaited(), "nobody waits for the dead");
    }
}
