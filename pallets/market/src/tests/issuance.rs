//! How much may be minted: the schedule, its halvings, and the markets' shares of it, exact to the unit.

use crate::{mock::*, types::Market, *};
use market_primitives::{Modality, Share, NOE};

const ONE: u64 = Share::ONE.0;

/// The reward of a block, block by block, as the specification words it: 1 NOE, halved every 1,000 blocks.
fn rewards() -> impl Iterator<Item = (u32, u64)> {
    (1..).map(|block: u32| (block, NOE.checked_shr((block - 1) / 1_000).unwrap_or(0)))
}

#[test]
fn the_schedule_is_the_sum_of_the_rewards_of_all_blocks() {
    on_chain(|| {
        assert_eq!(MarketPallet::schedule(0), 0);
        let mut sum = 0_u128;
        // Thirty halvings leave nothing of 10^9 units.
        for (block, reward) in rewards().take(32_000) {
            sum += u128::from(reward);
            assert_eq!(MarketPallet::schedule(block), sum, "block {block}");
        }
        assert!(sum < 2_000 * u128::from(NOE));
        for block in [32_001, 65_000, u32::MAX] {
            assert_eq!(MarketPallet::schedule(block), sum);
        }
    });
}

#[test]
fn however_its_blocks_are_divided_into_epochs_a_market_gets_its_share_rounded_down_once() {
    on_chain(|| {
        for share in [1, 7, ONE / 3, ONE / 2, ONE - 1, ONE] {
            for tempo in [1, 7, 10, 999, 1_000, 1_001, 5_000] {
                let (mut units, mut kept, mut from) = (0, 0, 0);
                for to in (tempo..=35_000).step_by(tempo as usize) {
                    let (more, left) = MarketPallet::emission_between(from, to, Share(share), kept);
                    (units, kept, from) = (units + u128::from(more), left, to);
                    let exact = MarketPallet::schedule(to) * u128::from(share);
                    assert_eq!(units, exact / u128::from(ONE));
                    assert_eq!(u128::from(kept), exact % u128::from(ONE));
                }
            }
        }
        assert_eq!(
            MarketPallet::emission_between(990, 1_010, Share(ONE / 2), 0),
            (15 * NOE / 2, 0)
        );
        assert_eq!(MarketPallet::emission_between(10, 5, Share::ONE, 0), (0, 0));
    });
}

/// Three markets with shares that no reward is a multiple of, with tempos of their own, across four halvings
/// and a change of shares: what each was given is its share of every block's reward, rounded down once.
#[test]
fn markets_share_the_emission_to_the_unit_across_halvings() {
    let tempos = [10, 7, 13];
    let shares = [ONE / 3, ONE / 7, 123_456_789_012_345_678];
    let open = |tempo| Parameters {
        // They are paid whatever they vote.
        consensus_gate: false,
        activity_cutoff: 1_000_000,
        ..Parameters::with_tempo(tempo)
    };
    chain_with(open(tempos[0])).execute_with(|| {
        let root = RuntimeOrigin::root;
        let mut parts = [0_u128; 3];
        // Of each market the share in force, and that from its next boundary on.
        let mut force = [(ONE, shares[0]), (0, 0), (0, 0)];
        MarketPallet::set_parameters(root(), TEXT, Share(shares[0]), open(tempos[0]))
            .expect("it lowers a share");
        for (block, reward) in rewards().take(4_200) {
            run_to(block);
            for id in 0..3 {
                parts[id] += u128::from(reward) * u128::from(force[id].0);
                if block % tempos[id] == 0 {
                    force[id].0 = force[id].1;
                }
            }
            if block == 11 {
                for id in 1..3 {
                    let market = Market {
                        modality: Modality::Image,
                        emission_share: Share(shares[id]),
                        parameters: open(tempos[id]),
                    };
                    MarketPallet::create_market(root(), market).expect("there is room");
                    force[id] = (shares[id], shares[id]);
                }
                for market in 0..3 {
                    for (coldkey, amount) in [(1, NOE), (2, 0)] {
                        next_call();
                        let signed = || RuntimeOrigin::signed(coldkey);
                        let key = hotkey(coldkey);
                        MarketPallet::register(signed(), market, key, u128::MAX).expect("room");
                        if amount > 0 {
                            MarketPallet::add_stake(signed(), market, key, amount.into())
                                .expect("it has that much");
                        }
                    }
                    next_call();
                    let voter = RuntimeOrigin::signed(hotkey(1));
                    MarketPallet::set_weights(voter, market, vec![(1, 1)]).expect("a valid row");
                }
            }
            if block == 1_500 {
                // The third gives half of its share up, and the first takes it after that.
                let lowered = Share(shares[2] / 2);
                MarketPallet::set_parameters(root(), 2, lowered, open(tempos[2])).expect("less");
                force[2].1 = lowered.0;
            }
            if block == 1_600 {
                let raised = Share(shares[0] + shares[2] / 2);
                MarketPallet::set_parameters(root(), 0, raised, open(tempos[0])).expect("more");
                force[0].1 = raised.0;
            }
        }
        // At an end of all epochs at once.
        let block = System::block_number();
        let mut minted = [0_u64; 3];
        let mut in_vain = 0;
        for record in System::events() {
            if let RuntimeEvent::MarketPallet(Event::EpochFinished {
                market,
                epoch,
                minted: units,
                ..
            }) = record.event
            {
                minted[usize::from(market)] += units;
                in_vain += u32::from(market == 0 && epoch == 1 && units == 0);
            }
        }
        assert_eq!(in_vain, 1, "the first epoch had nobody to pay");
        for id in 0..3_u16 {
            let index = usize::from(id);
            let last = Epochs::<Test>::get(id);
            let since = rewards().take(block as usize).skip(last.began as usize);
            let due: u128 = since.map(|(_, reward)| u128::from(reward)).sum::<u128>()
                * u128::from(force[index].0);
            let exact = parts[index] - due;
            let first = if id == 0 { 10 * NOE } else { 0 };
            assert_eq!(
                u128::from(minted[index] + first),
                exact / u128::from(ONE),
                "market {id}"
            );
            assert_eq!(
                u128::from(EmissionRemainders::<Test>::get(id)),
                exact % u128::from(ONE)
            );
        }
        check();
    });
}
