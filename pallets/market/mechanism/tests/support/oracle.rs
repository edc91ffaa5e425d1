//! The formulas of the mechanism in 64-bit floating point, over dense matrices: what the crate is
//! measured against. It is written from the formulas and uses nothing of the crate's arithmetic.

#![allow(clippy::needless_range_loop)] // as the formulas are written

use super::World;

/// Where the oracle cannot say on which side of a step it is.
const EDGE: f64 = 1e-12;

/// What the formulas give, by uid.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub rank: Vec<f64>,
    pub trust: Vec<f64>,
    pub consensus: Vec<f64>,
    pub incentive: Vec<f64>,
    pub dividend: Vec<f64>,
    pub pay: Vec<f64>,
    pub loss: f64,
    /// `None` where loss or quorum are too close to call.
    pub in_consensus: Option<bool>,
    /// How exact dividends can be from shares stored in so many bits.
    pub resolution: f64,
    /// Whether some weight is too close to the trust threshold to call: then trust and all that follows
    /// from it may rightly differ.
    pub ambiguous_trust: bool,
}

/// One unit of a stored bond, a share of its column.
const BOND_UNIT: f64 = 1.0 / 2_147_483_648.0;

/// One unit of a rank, a share of all votes, as it is added up.
const RANK_UNIT: f64 = 1.0 / 4_611_686_018_427_387_904.0;

/// Roundings are up and down by chance; no sum of them is seen this many times as large as is usual.
const LUCK: f64 = 8.0;

/// The bonds between all pairs.
#[derive(Default)]
pub struct Dense {
    /// `[holder][in whom]`.
    pub bonds: Vec<Vec<f64>>,
    /// What the bonds in each neuron added up to at the end of the last epoch.
    totals: Vec<f64>,
    /// How exact the crate's shares of these usually are. What was a small part of the last epoch's
    /// total is a larger one of this one's where a large holder left.
    resolution: Vec<f64>,
}

fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().sum()
}

fn parts(value: u64) -> f64 {
    value as f64 / 1e18
}

/// One epoch; `bonds` are brought forward.
pub fn epoch(world: &World, dense: &mut Dense) -> Answer {
    let Dense {
        bonds,
        totals,
        resolution,
    } = dense;
    let World {
        parameters: p,
        slots,
        rows,
        clock,
        previous,
    } = world;
    let n = slots.len();
    let neurons = slots.iter().flatten().count() as f64;
    totals.resize(n, 0.0);
    resolution.resize(n, 0.0);
    bonds.resize_with(n, Vec::new);
    for row in bonds.iter_mut() {
        row.resize(n, 0.0);
    }

    // 1. Rows.
    let mut w = vec![vec![0.0; n]; n];
    for (i, (set_at, edges)) in rows.iter().enumerate().take(n) {
        let Some(owner) = slots[i] else { continue };
        let age = clock.now.saturating_sub(*set_at);
        if owner.registered_at > *set_at || age > p.activity_cutoff {
            continue;
        }
        for &(j, weight) in edges {
            let j = usize::from(j);
            let to = slots.get(j).copied().flatten();
            if to.is_some_and(|to| to.registered_at <= *set_at) && (j != i || p.self_weight) {
                w[i][j] = f64::from(weight);
            }
        }
        let total = sum(w[i].iter().copied());
        if total > 0.0 {
            w[i].iter_mut().for_each(|weight| *weight /= total);
        }
    }

    // 2. Stake shares.
    let votes: Vec<bool> = w.iter().map(|row| row.iter().any(|&x| x > 0.0)).collect();
    let stake: Vec<f64> = slots
        .iter()
        .map(|slot| slot.map_or(0.0, |slot| slot.stake as f64))
        .collect();
    let all = sum(stake.iter().copied());
    let voting = sum((0..n).filter(|&i| votes[i]).map(|i| stake[i]));
    let counted = if p.count_idle_stake { all } else { voting };
    let s: Vec<f64> = (0..n)
        .map(|i| {
            if counted > 0.0 && (votes[i] || p.count_idle_stake) {
                stake[i] / counted
            } else {
                0.0
            }
        })
        .collect();

    // 3 to 5. Rank, trust, consensus.
    let threshold = parts(p.trust_threshold) / neurons;
    let mut answer = Answer {
        rank: vec![0.0; n],
        trust: vec![0.0; n],
        ..Answer::default()
    };
    for i in 0..n {
        for j in 0..n {
            if w[i][j] > 0.0 {
                answer.rank[j] += s[i] * w[i][j];
                if w[i][j] > threshold {
                    answer.trust[j] += s[i];
                }
                answer.ambiguous_trust |= (w[i][j] / threshold - 1.0).abs() < EDGE;
            }
        }
    }
    let (rho, kappa) = (p.rho as f64 / 1e9, parts(p.kappa));
    answer.consensus = answer
        .trust
        .iter()
        .map(|t| 1.0 / (1.0 + (-rho * (t - kappa)).exp()))
        .collect();

    // 6 and 7. Incentive, loss.
    let products: Vec<f64> = (0..n)
        .map(|j| answer.rank[j] * answer.consensus[j])
        .collect();
    let total = sum(products.iter().copied());
    answer.incentive = products
        .iter()
        .map(|x| if total > 0.0 { x / total } else { 0.0 })
        .collect();
    answer.loss = -sum((0..n).map(|j| answer.rank[j] * (answer.consensus[j] - 0.5)));
    let share = if all > 0.0 { voting / all } else { 0.0 };
    let quorum = parts(p.quorum);
    // A quorum of nothing is met by anything, and without votes there is no doubt.
    let close_quorum = quorum > 0.0 && (share - quorum).abs() < EDGE;
    let close = total > 0.0 && (close_quorum || answer.loss.abs() < EDGE);
    answer.in_consensus = (!close).then_some(answer.loss < 0.0 && share >= quorum);

    // 8. Bonds.
    let t = clock.epoch.max(1) as f64;
    let a = f64::max(1.0 / t, parts(p.alpha));
    // 1 - a, where floating point cannot tell an alpha of 1 - 10^-18 from 1.
    let kept = f64::min(1.0 - 1.0 / t, parts(1_000_000_000_000_000_000 - p.alpha));
    let is_new = |i: usize| slots[i].is_none_or(|slot| slot.registered_at > *previous);
    for i in 0..n {
        for j in 0..n {
            if is_new(i) || is_new(j) {
                bonds[i][j] = 0.0;
            }
            bonds[i][j] = kept * bonds[i][j] + a * s[i] * w[i][j];
        }
    }

    // 9. Dividends.
    answer.dividend = vec![0.0; n];
    for j in 0..n {
        let column = sum((0..n).map(|i| bonds[i][j]));
        if column > 0.0 {
            let old = if is_new(j) { 0.0 } else { kept * totals[j] };
            let voted = a * n as f64 * RANK_UNIT * voting / counted;
            resolution[j] = (old * resolution[j] + voted).hypot(BOND_UNIT * column) / column;
            answer.resolution += LUCK * answer.incentive[j] * resolution[j];
            for i in 0..n {
                answer.dividend[i] += bonds[i][j] / column * answer.incentive[j];
            }
        } else {
            answer.dividend[j] += answer.incentive[j];
        }
        totals[j] = column;
    }

    // 10. Emission, as shares of it, were it minted.
    let lambda = parts(p.lambda);
    answer.pay = (0..n)
        .map(|i| lambda * answer.dividend[i] + (1.0 - lambda) * answer.incentive[i])
        .collect();
    answer
}
