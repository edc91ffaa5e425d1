//! The epoch computed from the state before it, and held against the state after it.

use anyhow::{ensure, Context, Result};
use market_mechanism::{
    epoch, Clock, Column, Edges, Graph, Market, Neuron, Parameters, Row, Scaled, Slot, Uid,
};
use noesis_chain::market_state::{self, EpochRules, EpochSummary, MarketState};
use serde::Serialize;

/// What came of computing an epoch again.
#[derive(Debug)]
pub struct Replay {
    /// The epoch, as the chain has it.
    pub epoch: EpochSummary,
    /// Neurons when it began.
    pub neurons: u64,
    /// Their weights above zero.
    pub edges: u64,
    /// Slots that changed hands between its beginning and the end of the block that finished it.
    pub changed_hands: u64,
    /// What was compared.
    pub rows: Vec<Comparison>,
}

/// One column of the chain's figures, against ours.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Its name.
    pub column: &'static str,
    /// Values compared.
    pub compared: u64,
    /// Those that differ.
    pub differing: u64,
    /// By how much at most, in the unit in which it is stored.
    pub largest_difference: u64,
    /// Whose values differ; nobody's where the column is the market's.
    pub uids: Vec<Uid>,
}

impl Comparison {
    /// Of differences, each with whose it is.
    fn new(column: &'static str, differences: impl IntoIterator<Item = (Uid, u64)>) -> Self {
        let mut comparison = Self {
            column,
            compared: 0,
            differing: 0,
            largest_difference: 0,
            uids: Vec::new(),
        };
        for (uid, difference) in differences {
            comparison.add(difference, 1, u64::from(difference > 0), Some(uid));
        }
        comparison
    }

    /// Of a value of the whole market.
    fn of_market(column: &'static str, difference: u64) -> Self {
        let mut comparison = Self::new(column, []);
        comparison.add(difference, 1, u64::from(difference > 0), None);
        comparison
    }

    fn add(&mut self, largest: u64, compared: u64, differing: u64, uid: Option<Uid>) {
        self.compared += compared;
        self.differing += differing;
        self.largest_difference = self.largest_difference.max(largest);
        if differing > 0 {
            self.uids.extend(uid);
        }
    }
}

impl Replay {
    /// Computes the epoch that the chain finished between the two states, and compares.
    pub fn new(before: MarketState, after: &MarketState) -> Result<Self> {
        let summary = after.epoch;
        let slots: Vec<Option<Slot>> = before.slots.iter().map(|slot| slot.map(of_slot)).collect();
        ensure!(
            after.outcomes.len() == slots.len() && after.columns.len() == slots.len(),
            "the chain has outcomes of {} and bonds in {} slots, of an epoch of {}: its runtime is of another version than this program",
            after.outcomes.len(),
            after.columns.len(),
            slots.len()
        );
        let mut graph = graph(&before, slots.len())?;
        let edges = graph.rows.iter().map(|row| &row.edges);
        let edges = edges
            .flat_map(|edges| edges.weights())
            .filter(|&weight| weight > 0);
        let edges = edges.count() as u64;
        let clock = Clock {
            epoch: summary.epoch,
            // The last moment before the block.
            now: (u64::from(summary.began) << 32).saturating_sub(1),
        };
        let market = Market::new(parameters(&before.rules), &slots, clock);
        let outcome = epoch(&market, &mut graph, summary.minted);

        let mut neurons = outcome.neurons;
        let mut changed_hands = 0;
        for (uid, neuron) in (0..).zip(&mut neurons) {
            if owner(&before.slots, uid) != owner(&after.slots, uid) {
                *neuron = Neuron::default();
                graph.vacate(uid);
                changed_hands += 1;
            }
        }

        let mut rows = compare_neurons(&neurons, &after.outcomes);
        rows.push(Comparison::of_market(
            "loss",
            outcome.loss.abs_diff(summary.loss),
        ));
        rows.push(Comparison::of_market(
            "in_consensus",
            u64::from(outcome.in_consensus != summary.in_consensus),
        ));
        rows.push(Comparison::of_market(
            "minted",
            outcome.minted.abs_diff(summary.minted),
        ));
        rows.push(compare_bonds(&graph.rows, after)?);
        rows.extend(compare_columns(&graph.columns, &after.columns));
        Ok(Self {
            epoch: summary,
            neurons: slots.iter().flatten().count() as u64,
            edges,
            changed_hands,
            rows,
        })
    }

    /// Whether nothing differs.
    pub fn agrees(&self) -> bool {
        self.rows.iter().all(|row| row.differing == 0)
    }
}

/// Since when a slot is whose it is.
fn owner(slots: &[Option<market_state::Slot>], uid: Uid) -> Option<market_state::Moment> {
    let slot = slots.get(usize::from(uid)).copied().flatten();
    slot.map(|slot| slot.registered_at)
}

fn of_slot(slot: market_state::Slot) -> Slot {
    Slot {
        stake: slot.stake,
        registered_at: slot.registered_at.time(),
    }
}

fn of_column(column: &market_state::Column) -> Column {
    Column {
        scale: Scaled::from_parts(column.mantissa, column.exponent),
        sum: column.sum,
    }
}

fn of_row(uid: Uid, row: &market_state::Row) -> Result<Row> {
    let parts = (row.gaps.clone(), row.weights.clone(), row.bonds.clone());
    let edges = Edges::from_parts(parts.0, parts.1, parts.2).with_context(|| {
        format!("the row of uid {uid} is not coded as this program knows it: the chain's runtime is of another version")
    })?;
    Ok(Row {
        set_at: row.set_at.time(),
        edges,
    })
}

/// As the chain's runtime makes them of the market's.
fn parameters(rules: &EpochRules) -> Parameters {
    Parameters {
        rho: rules.rho,
        kappa: rules.kappa,
        lambda: rules.lambda,
        alpha: rules.alpha,
        trust_threshold: rules.trust_threshold,
        quorum: rules.quorum,
        // To the end of the last block that counts.
        activity_cutoff: u64::from(rules.activity_cutoff) << 32 | u64::from(u32::MAX),
        self_weight: rules.self_weight,
        consensus_gate: rules.consensus_gate,
        count_idle_stake: rules.count_idle_stake,
    }
}

/// Weights and bonds before the epoch.
fn graph(before: &MarketState, slots: usize) -> Result<Graph> {
    let mut graph = Graph::new(slots);
    for (&uid, row) in &before.rows {
        let place = graph.rows.get_mut(usize::from(uid));
        *place.with_context(|| {
            format!("the chain has a row of uid {uid} in a market of {slots} slots: its runtime is of another version than this program")
        })? = of_row(uid, row)?;
    }
    // Slots that are new since the last epoch have no column yet.
    for (place, column) in graph.columns.iter_mut().zip(&before.columns) {
        *place = of_column(column);
    }
    Ok(graph)
}

fn compare_neurons(ours: &[Neuron], chain: &[market_state::Outcome]) -> Vec<Comparison> {
    type Figures = (
        &'static str,
        fn(&Neuron) -> u64,
        fn(&market_state::Outcome) -> u64,
    );
    let figures: [Figures; 6] = [
        ("rank", |ours| ours.rank, |chain| chain.rank),
        ("trust", |ours| ours.trust, |chain| chain.trust),
        ("consensus", |ours| ours.consensus, |chain| chain.consensus),
        ("incentive", |ours| ours.incentive, |chain| chain.incentive),
        ("dividend", |ours| ours.dividend, |chain| chain.dividend),
        ("pay", |ours| ours.payout, |chain| chain.pay),
    ];
    let compare = |(column, of_ours, of_chain): Figures| {
        let pairs = (0..).zip(ours.iter().zip(chain));
        let apart = |(uid, (ours, chain))| (uid, of_ours(ours).abs_diff(of_chain(chain)));
        Comparison::new(column, pairs.map(apart))
    };
    figures.map(compare).into()
}

/// Bonds edge by edge, also of rows whose weights were set anew meanwhile: their bonds stay.
fn compare_bonds(ours: &[Row], after: &MarketState) -> Result<Comparison> {
    let mut comparison = Comparison::new("bonds", []);
    let mut held = vec![(0_u32, 0_u32); usize::from(Uid::MAX) + 1];
    let last = after
        .rows
        .keys()
        .last()
        .map_or(0, |&uid| usize::from(uid) + 1);
    for uid in (0..=Uid::MAX).take(ours.len().max(last)) {
        held.fill((0, 0));
        for (to, _, bond) in ours
            .get(usize::from(uid))
            .iter()
            .flat_map(|row| row.edges.iter())
        {
            held[usize::from(to)].0 = bond;
        }
        let stored = after
            .rows
            .get(&uid)
            .map(|row| of_row(uid, row))
            .transpose()?;
        for (to, _, bond) in stored.iter().flat_map(|row| row.edges.iter()) {
            held[usize::from(to)].1 = bond;
        }
        let bonds = held.iter().filter(|bonds| **bonds != (0, 0));
        let apart = |(ours, chain): &(u32, u32)| u64::from(ours.abs_diff(*chain));
        let differing = bonds.clone().filter(|bonds| apart(bonds) > 0).count();
        let largest = bonds.clone().map(apart).max().unwrap_or(0);
        comparison.add(largest, bonds.count() as u64, differing as u64, Some(uid));
    }
    Ok(comparison)
}

/// What the bonds in each neuron come to.
fn compare_columns(ours: &[Column], chain: &[market_state::Column]) -> [Comparison; 2] {
    let pairs = || (0..).zip(ours.iter().zip(chain.iter().map(of_column)));
    let sums = pairs().map(|(uid, (ours, chain))| (uid, ours.sum.abs_diff(chain.sum)));
    let scales = pairs().map(|(uid, (ours, chain))| (uid, apart(ours.scale, chain.scale)));
    [
        Comparison::new("bond_sums", sums),
        Comparison::new("bond_scales", scales),
    ]
}

/// How far apart two numbers are, in units of the last digit of the smaller; the largest number where
/// that is too many.
fn apart(one: Scaled, other: Scaled) -> u64 {
    let ((first, exponent), (second, other_exponent)) = (one.parts(), other.parts());
    let unit = match (first, second) {
        (0, _) => other_exponent,
        (_, 0) => exponent,
        _ => exponent.min(other_exponent),
    };
    let units = |mantissa: u64, exponent: i32| match u32::try_from(exponent.saturating_sub(unit)) {
        Ok(shift) if shift < 64 => u128::from(mantissa) << shift,
        _ if mantissa == 0 => 0,
        _ => u128::MAX,
    };
    let difference = units(first, exponent).abs_diff(units(second, other_exponent));
    u64::try_from(difference).unwrap_or(u64::MAX)
}
