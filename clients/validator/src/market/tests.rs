//! What is voted, and when.

use super::*;
use market_primitives::{MarketRules, Neuron, Share};
use noesis_chain::MarketError;

/// A market of four that has begun so many epochs.
fn view(begun: u64, block: BlockNumber, last_update: Option<BlockNumber>) -> View {
    let neuron = |uid: Uid| Neuron {
        uid,
        hotkey: [uid as u8; 32].into(),
        coldkey: [99; 32].into(),
        endpoint: Some(format!("127.0.0.1:{uid}")),
        last_update,
        ..Neuron::default()
    };
    let metagraph = Metagraph {
        rules: MarketRules {
            min_weights: 2,
            max_weight: Share::ONE,
            weights_rate_limit: 5,
            ..MarketRules::default()
        },
        begun,
        neurons: (0..4).map(neuron).collect(),
        ..Metagraph::default()
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
fn an_epoch_that_runs_over_several_blocks_has_one_vote() {
    let good = scores(&[(1, 1.0), (2, 2.0)]);
    let ours = [0; 32];
    let mut seen = view(3, 40, None);
    seen.metagraph.epoch = 2; // the third is running
    assert_eq!(plan(&seen, &ours, Some(3), &good), Plan::Wait);
    seen.metagraph.epoch = 3; // and is done
    assert_eq!(plan(&seen, &ours, Some(3), &good), Plan::Wait);
    seen.metagraph.begun = 4;
    assert_ne!(plan(&seen, &ours, Some(3), &good), Plan::Wait);
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
    let mut closed = view(3, 40, None);
    closed.metagraph.neurons[2].endpoint = None;
    let served = scores(&[(1, 1.0), (2, 1.0), (3, 1.0)]);
    assert_eq!(
        plan(&closed, &ours, None, &served),
        Plan::Submit(vec![(1, 65535), (3, 65535)])
    );
}

#[test]
fn only_another_chain_ends_the_following() {
    let url = || "ws://127.0.0.1:9944".to_owned();
    for error in [
        ChainError::NoAnswer("the state of block 7 cannot be read".into()),
        ChainError::Unexpected("server is busy".into()),
        // Of a node that is behind.
        MarketError::UnknownMarket.into(),
        ChainError::Unreachable {
            url: url(),
            reason: "no answer in time".into(),
        },
    ] {
        assert!(!is_for_good(&error), "{error}");
    }
    assert!(is_for_good(&ChainError::AnotherChain { url: url() }));
}
