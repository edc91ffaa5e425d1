//! Pools of shares: nobody gains by buying and selling, nobody loses more than a unit by rounding, and what a
//! pool earns is its part of the dividends.

use market_mechanism::{earnings, Backing, Neuron, Parameters, Pool, Purchase, ONE};
use proptest::prelude::*;

/// Something that happens to a pool.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody buys for so many units.
    Buy(usize, u64),
    /// Somebody sells this part of its shares, in parts of 2^16.
    Sell(usize, u16),
    Earn(u64),
}

fn steps(earns: bool) -> impl Strategy<Value = Vec<Step>> {
    let units = || {
        prop_oneof![
            1 => 1..10_u64,
            3 => 1..1_000_000_000_u64,
            1 => 1..2_000_000_000_000_000_u64,
        ]
    };
    let part = prop_oneof![1 => Just(u16::MAX), 1 => any::<u16>(), 1 => 65_000..=u16::MAX];
    let step = prop_oneof![
        3 => (0..4_usize, units()).prop_map(|(who, amount)| Step::Buy(who, amount)),
        3 => (0..4_usize, part).prop_map(|(who, part)| Step::Sell(who, part)),
        2 => units().prop_map(move |amount| Step::Earn(if earns { amount } else { 0 })),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Whether the second pool's shares are worth at least as much as the first's.
fn no_cheaper(before: &Pool, after: &Pool) -> bool {
    let (value, shares) = (u128::from(before.value), u128::from(before.shares));
    after.shares == 0 || u128::from(after.value) * shares >= value * u128::from(after.shares)
}

/// A pool, what each of four people holds of it, and what each paid less what it was paid.
#[derive(Default)]
struct World {
    pool: Pool,
    held: [u64; 4],
    paid: [i128; 4],
    earned: i128,
}

impl World {
    fn take(&mut self, step: &Step) {
        let before = self.pool;
        match *step {
            Step::Buy(who, amount) => {
                let others = self.worths(who);
                if let Some(Purchase { shares, cost }) = self.pool.buy(amount) {
                    assert!(0 < shares && shares <= cost && cost <= amount);
                    // What it pays more than it has is less than a unit, whatever a share costs; and what it
                    // did not get for its amount is less than a share.
                    assert!(self.pool.worth(shares) + 1 >= cost);
                    let one_more = u128::from(shares + 1) * u128::from(before.value);
                    assert!(
                        before.shares == 0
                            || one_more > u128::from(amount) * u128::from(before.shares)
                    );
                    self.held[who] += shares;
                    self.paid[who] += i128::from(cost);
                } else {
                    assert_eq!(self.pool, before);
                    assert!(amount < before.value);
                }
                self.nobody_lost(who, others);
            }
            Step::Sell(who, part) => {
                let others = self.worths(who);
                let shares = match part {
                    u16::MAX => self.held[who],
                    _ => ((u128::from(self.held[who]) * u128::from(part)) >> 16) as u64,
                };
                let expected = self.pool.worth(shares);
                assert_eq!(self.pool.sell(shares), Some(expected));
                self.held[who] -= shares;
                self.paid[who] -= i128::from(expected);
                self.nobody_lost(who, others);
            }
            Step::Earn(units) => {
                if self.pool.shares > 0 {
                    self.earned += i128::from(units);
                }
                self.pool.earn(units);
            }
        }
        assert!(
            no_cheaper(&before, &self.pool),
            "{before:?} {:?}",
            self.pool
        );
        let Pool { value, shares } = self.pool;
        assert!((value == 0) == (shares == 0) && shares <= value);
        assert_eq!(self.held.iter().sum::<u64>(), shares);
        assert_eq!(self.paid.iter().sum::<i128>() + self.earned, value.into());
    }

    fn worths(&self, but: usize) -> Vec<u64> {
        let others = self.held.iter().enumerate().filter(|(who, _)| *who != but);
        others.map(|(_, held)| self.pool.worth(*held)).collect()
    }

    fn nobody_lost(&self, but: usize, before: Vec<u64>) {
        let after = self.worths(but);
        assert!(before
            .iter()
            .zip(&after)
            .all(|(before, after)| after >= before));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..Default::default() })]

    #[test]
    fn a_share_never_loses_worth_and_no_unit_is_made_or_lost(steps in steps(true)) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.take(step));
    }

    /// Where the pool earns nothing, whatever anybody has got out of it or could get is what it paid, at most.
    #[test]
    fn nobody_gains_by_buying_and_selling(steps in steps(false)) {
        let mut world = World::default();
        for step in &steps {
            world.take(step);
            for who in 0..4 {
                let gain = i128::from(world.pool.worth(world.held[who])) - world.paid[who];
                // But of the units that rounding left in the pool all have a part: one a step at most.
                prop_assert!(gain <= steps.len() as i128, "{who} gains {gain}");
            }
        }
        let gains: i128 = (0..4).map(|who| i128::from(world.pool.worth(world.held[who])) - world.paid[who]).sum();
        prop_assert!(gains <= 0);
    }

    /// Somebody owns the pool alone and does what it likes, with all the earnings there are, before another
    /// comes: the other loses a unit at most.
    #[test]
    fn nobody_can_make_another_pay_for_nothing(steps in steps(true), amount in 1..2_000_000_000_000_000_u64) {
        let mut world = World::default();
        for step in steps {
            world.take(&match step {
                Step::Buy(_, amount) => Step::Buy(0, amount),
                Step::Sell(_, part) => Step::Sell(0, part),
                earn => earn,
            });
        }
        if let Some(Purchase { shares, cost }) = world.pool.buy(amount) {
            let back = world.pool.sell(shares).expect("it holds them");
            prop_assert!(cost - back <= 1);
        }
    }

    #[test]
    fn a_pool_earns_its_part_of_the_dividends_less_the_take(
        payout in 0..21_000_000_000_000_000_u64,
        shares in [0..=ONE, 0..=ONE, 0..=ONE],
        stake in 1..21_000_000_000_000_000_u64,
        part in 0..=ONE,
        take in 0..=ONE / 100 * 18,
    ) {
        let [lambda, incentive, dividend] = shares;
        let parameters = Parameters { lambda, ..Parameters::DEFAULT };
        let neuron = Neuron { incentive, dividend, payout, ..Default::default() };
        let delegated = (u128::from(stake) * u128::from(part) / u128::from(ONE)) as u64;
        let found = earnings(&parameters, &neuron, &Backing { stake, delegated, take });

        let one = ONE as f64;
        let earned = lambda as f64 * dividend as f64;
        let worked = (one - lambda as f64) * incentive as f64;
        let expected = payout as f64 * (earned / (earned + worked)) * (delegated as f64 / stake as f64)
            * (1.0 - take as f64 / one);
        prop_assert!((found as f64 - expected).abs() <= 2.0 + payout as f64 * 1e-12, "{found} {expected}");
        prop_assert!(found <= payout);
    }

    #[test]
    fn nothing_panics(numbers in proptest::collection::vec(any::<u64>(), 8)) {
        let [value, shares, amount, payout, incentive, dividend, stake, delegated] = numbers[..] else {
            unreachable!("there are eight");
        };
        let mut pool = Pool { value, shares };
        let _ = (pool.buy(amount), pool.sell(amount), pool.worth(amount));
        pool.earn(amount);
        let neuron = Neuron { incentive, dividend, payout, ..Default::default() };
        let backing = Backing { stake, delegated, take: value };
        prop_assert!(earnings(&Parameters::DEFAULT, &neuron, &backing) <= payout);
    }
}

#[test]
fn the_numbers_of_an_example() {
    let mut pool = Pool::default();
    // The first share costs a unit.
    let first = pool.buy(1_000).expect("a share");
    assert_eq!((first.shares, first.cost), (1_000, 1_000));
    pool.earn(500);
    // Now each costs one and a half: 1,000 units buy 666, for 999.
    let second = pool.buy(1_000).expect("a share");
    assert_eq!((second.shares, second.cost), (666, 999));
    assert_eq!(pool.sell(667), Some(1_000));
    assert_eq!(pool.buy(1), None, "less than a share costs");
    assert_eq!(pool.sell(1_000), None, "more than there are");
    assert_eq!(pool.sell(999), Some(1_499), "the last takes what is left");
    assert_eq!(pool, Pool::default());
    pool.earn(7);
    assert_eq!(pool, Pool::default(), "nobody is there to earn");

    // Half of the payout is dividends; a tenth of the stake is delegated; the owner takes 18 % of that.
    let neuron = Neuron {
        incentive: ONE / 10,
        dividend: ONE / 10,
        payout: 1_000_000,
        ..Default::default()
    };
    let backing = Backing {
        stake: 10_000,
        delegated: 1_000,
        take: ONE / 100 * 18,
    };
    let earned = |neuron: &Neuron| earnings(&Parameters::DEFAULT, neuron, &backing);
    assert_eq!(earned(&neuron), 41_000);
    let miner = Neuron {
        dividend: 0,
        ..neuron
    };
    assert_eq!(earned(&miner), 0);
}
