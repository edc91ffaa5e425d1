//! Discovery: which peers of the market to attend to, from its finalized metagraph.
//!
//! Peers are ranked by the incentive that the market gives them; a share of the places is kept for newcomers,
//! for a market that only ever looked at its leaders could not find a better one.

use market_primitives::{BlockNumber, Modality, Uid};
use noesis_chain::Metagraph;
use noesis_neuron::{Fingerprint, Hotkey, Peer};
use rand::{seq::SliceRandom, Rng};
use std::collections::{BTreeMap, BTreeSet};

/// A peer that may be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its slot now. Another neuron may take the slot later: votes look it up again.
    pub uid: Uid,
    /// Whose key it is.
    pub hotkey: Hotkey,
    /// Where it serves, `host:port`.
    pub endpoint: String,
    /// Fingerprint of its TLS certificate, where it published one.
    pub certificate: Option<Fingerprint>,
    /// Its share of the incentive in the last epoch.
    pub incentive: f64,
    /// When it took its slot.
    pub registered_at: BlockNumber,
}

impl Candidate {
    /// How the client addresses it.
    pub fn peer(&self) -> Peer {
        Peer {
            hotkey: self.hotkey,
            endpoint: self.endpoint.clone(),
            certificate: self.certificate,
        }
    }
}

/// All who can be asked: with an endpoint, and not ourselves. Nobody in a market of another modality.
pub fn candidates(metagraph: &Metagraph, ourselves: &Hotkey, modality: Modality) -> Vec<Candidate> {
    if metagraph.modality != modality {
        return Vec::new();
    }
    let neurons = metagraph.neurons.iter();
    neurons
        .filter_map(|neuron| {
            let hotkey = neuron.hotkey.0;
            let endpoint = neuron.endpoint.clone().filter(|_| hotkey != *ourselves)?;
            Some(Candidate {
                uid: neuron.uid,
                hotkey,
                endpoint,
                certificate: neuron.certificate,
                incentive: neuron.incentive.to_f64(),
                registered_at: neuron.registered_at,
            })
        })
        .collect()
}

/// At most `places` of them: the best by incentive (of equals the newest), and for the share `exploration` of
/// the places those left whose turn it is, of equals a random choice.
///
/// With places drawn anew in every epoch everybody has a turn before anybody has a second one, and a newcomer soon,
/// however many others stand around.
pub fn attend(
    mut candidates: Vec<Candidate>,
    places: usize,
    exploration: f64,
    turns: &Turns,
    rng: &mut impl Rng,
) -> Vec<Candidate> {
    candidates.sort_by(|a, b| {
        (b.incentive.total_cmp(&a.incentive)).then(b.registered_at.cmp(&a.registered_at))
    });
    if candidates.len() <= places {
        return candidates;
    }
    let explored = (places as f64 * exploration.clamp(0.0, 1.0)).round() as usize;
    let mut others = candidates.split_off(places - explored.min(places));
    others.shuffle(rng);
    others.sort_by_cached_key(|candidate| turns.order(&candidate.hotkey)); // stable
    others.truncate(places - candidates.len());
    candidates.extend(others);
    candidates
}

/// When each peer was last attended to.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    epoch: u64,
    last: BTreeMap<Hotkey, u64>,
}

impl Turns {
    /// An epoch begins, with these members of the market.
    pub fn begin(&mut self, epoch: u64, members: &BTreeSet<Hotkey>) {
        self.epoch = epoch;
        self.last.retain(|peer, _| members.contains(peer));
    }

    /// These are attended to in it.
    pub fn take(&mut self, peers: &[Candidate]) {
        let turns = peers.iter().map(|peer| (peer.hotkey, self.epoch));
        self.last.extend(turns);
    }

    /// The lower, the sooner: who has its turn keeps it to the end of the epoch, whoever else comes, goes or moves;
    /// then who never had one, then who had none for longest.
    fn order(&self, peer: &Hotkey) -> (u8, u64) {
        match self.last.get(peer) {
            Some(epoch) if *epoch == self.epoch => (0, 0),
            None => (1, 0),
            Some(epoch) => (2, *epoch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_primitives::{Neuron, Share};
    use rand::{rngs::StdRng, SeedableRng};

    fn candidate(uid: Uid, incentive: f64) -> Candidate {
        Candidate {
            uid,
            hotkey: [uid as u8; 32],
            endpoint: String::new(),
            certificate: None,
            incentive,
            registered_at: 0,
        }
    }

    /// Of these the first three earn.
    fn crowd(count: Uid) -> Vec<Candidate> {
        let earns = |uid| if uid < 3 { 0.3 } else { 0.0 };
        (0..count).map(|uid| candidate(uid, earns(uid))).collect()
    }

    fn uids(candidates: &[Candidate]) -> Vec<Uid> {
        candidates.iter().map(|candidate| candidate.uid).collect()
    }

    #[test]
    fn all_are_attended_to_where_there_is_room() {
        let mut rng = StdRng::seed_from_u64(1);
        let turns = Turns::default();
        let two = vec![candidate(0, 0.1), candidate(1, 0.9)];
        assert_eq!(uids(&attend(two, 2, 0.5, &turns, &mut rng)), [1, 0]);
        assert!(attend(Vec::new(), 4, 0.5, &turns, &mut rng).is_empty());
    }

    #[test]
    fn the_best_stay_and_everybody_else_has_a_turn_before_anybody_has_two() {
        let mut rng = StdRng::seed_from_u64(2);
        let all = crowd(20);
        let members = all.iter().map(|candidate| candidate.hotkey).collect();
        let mut turns = Turns::default();
        for round in 0..3 {
            let mut seen = BTreeSet::new();
            for epoch in 0..17 {
                turns.begin(1 + round * 17 + epoch, &members);
                let chosen = attend(all.clone(), 4, 0.25, &turns, &mut rng);
                turns.take(&chosen);
                assert_eq!(uids(&chosen)[..3], [0, 1, 2]);
                seen.insert(chosen[3].uid);
            }
            assert_eq!(seen, (3..20).collect());
        }
    }

    /// Who comes, goes or moves has the places drawn again: that must not cut anybody's turn short.
    #[test]
    fn a_turn_lasts_an_epoch_and_the_next_is_a_newcomers() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut all = crowd(100);
        let newcomer = all.pop().unwrap();
        let mut members: BTreeSet<Hotkey> = all.iter().map(|one| one.hotkey).collect();
        let mut turns = Turns::default();
        for epoch in 1..=200 {
            turns.begin(epoch, &members);
            turns.take(&attend(all.clone(), 4, 0.25, &turns, &mut rng));
        }
        let now = attend(all.clone(), 4, 0.25, &turns, &mut rng)[3].uid;
        members.insert(newcomer.hotkey);
        all.push(newcomer);
        turns.begin(200, &members);
        for _ in 0..20 {
            let chosen = attend(all.clone(), 4, 0.25, &turns, &mut rng);
            assert_eq!(chosen[3].uid, now);
        }
        turns.begin(201, &members);
        assert_eq!(attend(all, 4, 0.25, &turns, &mut rng)[3].uid, 99);
    }

    #[test]
    fn neither_ourselves_nor_who_serves_nowhere_nor_another_modality() {
        let neuron = |uid: Uid, endpoint: Option<&str>| Neuron {
            uid,
            hotkey: [uid as u8; 32].into(),
            coldkey: [99; 32].into(),
            endpoint: endpoint.map(str::to_owned),
            certificate: (uid == 2).then_some([5; 32]),
            incentive: Share(500_000_000_000_000_000),
            registered_at: 3,
            ..Neuron::default()
        };
        let metagraph = Metagraph {
            modality: Modality::Text,
            neurons: vec![
                neuron(0, Some("a:1")),
                neuron(1, None),
                neuron(2, Some("b:2")),
            ],
            ..Metagraph::default()
        };
        let found = candidates(&metagraph, &[0; 32], Modality::Text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].uid, found[0].endpoint.as_str()), (2, "b:2"));
        assert_eq!(found[0].peer().certificate, Some([5; 32]));
        assert_eq!((found[0].incentive, found[0].registered_at), (0.5, 3));
        assert!(candidates(&metagraph, &[0; 32], Modality::Image).is_empty());
    }
}
