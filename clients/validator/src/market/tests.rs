//! What is voted, and when.

use super::*;
use market_primitives::{MarketRules, Modality, Neuron, Share, SignedShare};

fn view(epoch: u64, block: BlockNumber, last_update: Option<BlockNumber>) -> View {
    let neuron = |uid: Uid| Neuron {
        uid,
        hotkey: [uid as u8; 32].into(),
        coldkey: [99; 32].into(),
        endpoint: None,
        certificate: None,
        stake: 0,
        rank: Share(0),
        trust: Share(0),
        consensus: Share(0),
        incentive: Share(0),
        dividend: Share(0),
        pay: 0,
        last_update,
        registered_at: 0,
    };
    let metagraph = Metagraph {
        market: 0,
        modality: Modality::Text,
        rules: MarketRules {
            tempo: 10,
            capacity: 16,
            min_weights: 2,
            weights_rate_limit: 5,
            activity_cutoff: 100,
            immunity: 200,
            reveal_period: 0,
            response_dim: 64,
        },
        epoch,
        block: 0,
        next_epoch_block: 10,
        loss: SignedShare(0),
        in_consensus: false,
        minted: 0,
        registration_cost: 0,
        neurons: (0..4).map(neuron).collect(),
    };
    View { block, metagraph }
}

fn scores(scores: &[(u8, f64)]) -> Scores {
    let scores = scores.iter();
    scores.map(|(peer, score)| ([*peer; 32], *score)).collect()
}

#[test]
fn one_vote_an_epoch_and_not_before_the_rate_limit() {
    let good = scores(&[(1, 1.0), (2, 2.0)]);
    let row = Plan::Submit(vec![(1, 32768), (2, 65535)]);
    let ours = [0; 32];
    assert_eq!(plan(&view(3, 40, None), &ours, None, &good), row);
    assert_eq!(plan(&view(3, 40, None), &ours, Some(2), &good), row);
    assert_eq!(plan(&view(3, 40, None), &ours, Some(3), &good), Plan::Wait);
    assert_eq!(plan(&view(3, 40, Some(37)), &ours, None, &good), Plan::Wait);
    assert_eq!(plan(&view(3, 41, Some(37)), &ours, None, &good), row);
}

#[test]
fn only_for_others_who_are_still_in_the_market() {
    let ours = [0; 32];
    let gone = scores(&[(0, 9.0), (1, 1.0), (7, 5.0)]);
    assert_eq!(
        plan(&view(3, 40, None), &ours, None, &gone),
        Plan::NoVote(NoVote::TooFew {
            found: 1,
            needed: 2
        })
    );
    let enough = scores(&[(0, 9.0), (1, 1.0), (2, 1.0), (7, 5.0)]);
    assert_eq!(
        plan(&view(3, 40, None), &ours, None, &enough),
        Plan::Submit(vec![(1, 65535), (2, 65535)])
    );
}
