//! Discovery: which peers of the market to attend to, from its finalized metagraph.
//!
//! Peers are ranked by the incentive that the market gives them; a share of the places is kept for newcomers,
//! for a market that only ever looked at its leaders could not find a better one.

use market_primitives::{BlockNumber, Modality, Uid};
use noesis_chain::Metagraph;
use noesis_neuron::{Fingerprint, Hotkey, Peer};
use rand::{seq::SliceRandom, Rng};

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
/// the places a choice among those left: first those who are not `known`, in random order, then a random choice.
///
/// Where everybody is known who was asked, whether it answered or not, and the choice is drawn anew in every epoch, it
/// comes to everybody, and to a newcomer soon, however many others stand around.
pub fn attend(
    mut candidates: Vec<Candidate>,
    places: usize,
    exploration: f64,
    known: impl Fn(&Hotkey) -> bool,
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
    others.sort_by_cached_key(|candidate| known(&candidate.hotkey)); // stable
    others.truncate(places - candidates.len());
    candidates.extend(others);
    candidates
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

    #[test]
    fn all_are_attended_to_where_there_is_room() {
        let mut rng = StdRng::seed_from_u64(1);
        let chosen = attend(
            vec![candidate(0, 0.1), candidate(1, 0.9)],
            2,
            0.5,
            |_| true,
            &mut rng,
        );
        assert_eq!([chosen[0].uid, chosen[1].uid], [1, 0]);
        assert!(attend(Vec::new(), 4, 0.5, |_| true, &mut rng).is_empty());
    }

    #[test]
    fn the_best_stay_and_everybody_else_gets_a_turn() {
        let mut rng = StdRng::seed_from_u64(2);
        let all: Vec<Candidate> = (0..20)
            .map(|uid| candidate(uid, if uid < 3 { 0.3 } else { 0.0 }))
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let chosen = attend(all.clone(), 4, 0.25, |_| true, &mut rng);
            assert_eq!(chosen.len(), 4);
            assert!((0..3).all(|uid| chosen.iter().any(|candidate| candidate.uid == uid)));
            seen.extend(chosen.iter().map(|candidate| candidate.uid));
        }
        assert_eq!(seen.len(), 20);
    }

    #[test]
    fn a_newcomer_comes_before_those_who_had_their_turn() {
        let mut rng = StdRng::seed_from_u64(3);
        let all: Vec<Candidate> = (0..100)
            .map(|uid| candidate(uid, if uid < 3 { 0.3 } else { 0.0 }))
            .collect();
        let chosen = attend(all, 4, 0.25, |peer| peer[0] != 77, &mut rng);
        assert_eq!(chosen[3].uid, 77);
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
