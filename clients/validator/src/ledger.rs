//! The ledger: what is known of each peer's worth, and what follows from it.
//!
//! A peer's score is its Fisher score if its ablation is positive by two standard errors, and zero otherwise;
//! one assessment alone never pays, since one in forty praises noise, and the first are made while the adapters
//! are young. Who was to be assessed and could not be, twice in a row or every other time, is paid nothing until it is: what
//! it was worth when it last answered says nothing of now, and two that are one and take turns are never compared.
//! One whose ablation is negative by two is left out of training as well and tried again later: after 4
//! assessments the first time, then 8, 16, up to 64, each time as if it were new.

use crate::{
    ablation::{Evidence, Sign},
    fisher::MovingAverage,
    learner::Measured,
};
use noesis_neuron::Hotkey;
use noesis_statistics::spearman;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Assessments that a peer's evidence must rest on before it is paid.
const ENOUGH_ASSESSMENTS: u32 = 2;
/// What an assessment counts that a peer missed; one in which it was measured takes one off.
const MISS: u32 = 2;
/// From how much on it is paid nothing: one miss may be the network's fault.
const MISSES: u32 = 3;
/// The most that is counted, so that after any absence two assessments make good again.
const MOST_MISSES: u32 = 4;
/// Assessments for which a peer is left out the first time.
const FIRST_ABSENCE: u32 = 4;
/// Most assessments for which a peer is left out.
const LONGEST_ABSENCE: u32 = 64;

/// How the ledger keeps its averages.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What one answer keeps of how long a peer takes.
    pub answer: f64,
    /// What one assessment keeps of a peer's evidence.
    pub evidence: f64,
    /// What one assessment keeps of a peer's Fisher score: more, since a mean of squares is carried by a few examples.
    pub fisher: f64,
}

/// What is known of one peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its Fisher score over the assessments in which it took part, those in which it did harm included, as 0.
    pub fisher: MovingAverage,
    /// Batches in which it took part.
    #[serde(default)]
    batches: u64,
    /// How long it took from the question on, in milliseconds.
    #[serde(default)]
    pub took: MovingAverage,
    /// Its ablation.
    pub evidence: Evidence,
    /// Assessments behind it.
    assessments: u32,
    /// What the assessments count that it missed.
    #[serde(default)]
    missed: u32,
    /// Times it was left out.
    absences: u32,
    /// Assessments until it is tried again; 0: it takes part.
    absent_for: u32,
}

impl Standing {
    /// What it is to be paid for.
    pub fn score(&self) -> f64 {
        let known =
            self.absent_for == 0 && self.assessments >= ENOUGH_ASSESSMENTS && self.missed < MISSES;
        match self.evidence.sign() {
            Sign::Positive if known => self.fisher.value(),
            _ => 0.0,
        }
    }
}

/// What an assessment changed for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It harms: left out of training for so many assessments.
    LeftOut(Hotkey, u32),
    /// It gets another try, from nothing.
    TriedAgain(Hotkey),
}

/// All peers' standings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger(BTreeMap<Hotkey, Standing>);

impl Ledger {
    /// Takes up standings that were kept.
    pub fn restore(standings: impl IntoIterator<Item = (Hotkey, Standing)>) -> Self {
        Self(standings.into_iter().collect())
    }

    /// All standings, in order of hotkey.
    pub fn standings(&self) -> impl Iterator<Item = (&Hotkey, &Standing)> {
        self.0.iter()
    }

    /// What is known of one peer.
    pub fn get(&self, peer: &Hotkey) -> Option<&Standing> {
        self.0.get(peer)
    }

    /// Whether the peer may take part in training.
    pub fn may_train(&self, peer: &Hotkey) -> bool {
        self.0
            .get(peer)
            .is_none_or(|standing| standing.absent_for == 0)
    }

    /// Whether the peer is known to help.
    pub fn helps(&self, peer: &Hotkey) -> bool {
        self.0.get(peer).is_some_and(|one| one.score() > 0.0)
    }

    /// Batches in which the peer took part.
    pub fn batches(&self, peer: &Hotkey) -> u64 {
        self.0.get(peer).map_or(0, |standing| standing.batches)
    }

    /// The peer took part in a batch.
    pub fn took_part(&mut self, peer: Hotkey) {
        let standing = self.0.entry(peer).or_default();
        standing.batches = standing.batches.saturating_add(1);
    }

    /// So many milliseconds after the question the peer answered, or was given up.
    pub fn waited_for(&mut self, peer: Hotkey, milliseconds: f64, memory: Memory) {
        let standing = self.0.entry(peer).or_default();
        standing.took.add(milliseconds, memory.answer);
    }

    /// How long the peer takes to answer, in milliseconds; for ever, where it was never asked.
    pub fn takes(&self, peer: &Hotkey) -> f64 {
        let took = self.0.get(peer).map(|standing| standing.took);
        took.filter(|took| took.count > 0)
            .map_or(f64::INFINITY, |took| took.value())
    }

    /// An assessment is over: takes in what it measured, counts misses of those who were `expected`, and absences, and
    /// says what changed.
    pub fn assessed(
        &mut self,
        measured: &[(Hotkey, Measured)],
        expected: impl Fn(&Hotkey) -> bool,
        memory: Memory,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let present: BTreeSet<&Hotkey> = measured.iter().map(|(peer, _)| peer).collect();
        for (peer, standing) in &mut self.0 {
            if expected(peer) && !present.contains(peer) {
                standing.missed = standing.missed.saturating_add(MISS).min(MOST_MISSES);
            }
            if standing.absent_for > 0 {
                standing.absent_for -= 1;
                if standing.absent_for == 0 {
                    standing.evidence = Evidence::default();
                    standing.assessments = 0;
                    standing.batches = 0;
                    changes.push(Change::TriedAgain(*peer));
                }
            }
        }
        for (peer, measurement) in measured {
            let standing = self.0.entry(*peer).or_default();
            if standing.absent_for > 0 {
                continue;
            }
            standing.missed = standing.missed.saturating_sub(1);
            (standing.evidence).add(measurement.ablation, memory.evidence);
            (standing.fisher).add(measurement.fisher, memory.fisher);
            standing.assessments = standing.assessments.saturating_add(1);
            if standing.evidence.sign() == Sign::Negative {
                let absence = FIRST_ABSENCE.saturating_mul(2u32.saturating_pow(standing.absences));
                standing.absent_for = absence.min(LONGEST_ABSENCE);
                standing.absences = standing.absences.saturating_add(1);
                // It has no sign: that of somebody who harms says nothing.
                standing.fisher = MovingAverage::default();
                changes.push(Change::LeftOut(*peer, standing.absent_for));
            }
        }
        changes
    }

    /// Every peer's score, zeros included.
    pub fn scores(&self) -> Vec<(Hotkey, f64)> {
        let standings = self.0.iter();
        standings
            .map(|(peer, standing)| (*peer, standing.score()))
            .collect()
    }

    /// Spearman's correlation of Fisher scores and ablations among these peers; `None` with fewer than two of them.
    pub fn rank_correlation(&self, peers: impl IntoIterator<Item = Hotkey>) -> Option<f64> {
        let standings = peers.into_iter().filter_map(|peer| self.0.get(&peer));
        let (fisher, ablation): (Vec<f64>, Vec<f64>) = standings
            .map(|standing| (standing.fisher.value(), standing.evidence.mean()))
            .unzip();
        spearman(&fisher, &ablation)
    }

    /// Forgets all but these, so that it never grows beyond the market.
    pub fn keep_only(&mut self, peers: &BTreeSet<Hotkey>) {
        self.0.retain(|peer, _| peers.contains(peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::Measurement;

    const MEMORY: Memory = Memory {
        answer: 0.9,
        evidence: 0.7,
        fisher: 0.7,
    };

    fn measured(peer: u8, fisher: f64, mean: f64, error: f64) -> (Hotkey, Measured) {
        let ablation = Measurement { mean, error };
        ([peer; 32], Measured { ablation, fisher })
    }

    /// An assessment of which everybody was expected.
    fn assess(ledger: &mut Ledger, measured: &[(Hotkey, Measured)]) -> Vec<Change> {
        ledger.assessed(measured, |_| true, MEMORY)
    }

    fn score(ledger: &Ledger, peer: u8) -> f64 {
        ledger.get(&[peer; 32]).unwrap().score()
    }

    #[test]
    fn the_score_is_fisher_with_the_sign_of_the_ablation() {
        let mut ledger = Ledger::default();
        ledger.took_part([4; 32]);
        let all = [
            measured(1, 4.0, 0.5, 0.1),
            measured(2, 9.0, 0.1, 0.08),
            measured(3, 99.0, -1.0, 0.1),
        ];
        let changes = assess(&mut ledger, &all);
        assert!(ledger.scores().iter().all(|(_, score)| *score == 0.0));
        assess(&mut ledger, &all[..2]);
        let scores: Vec<f64> = ledger
            .scores()
            .into_iter()
            .map(|(_, score)| score)
            .collect();
        // Helps; unclear; harms; never assessed.
        assert_eq!(scores, [4.0, 0.0, 0.0, 0.0]);
        assert_eq!(changes, [Change::LeftOut([3; 32], 4)]);
        assert_eq!(ledger.get(&[3; 32]).unwrap().fisher.value(), 0.0);
        let may: Vec<bool> = (1..=5).map(|peer| ledger.may_train(&[peer; 32])).collect();
        assert_eq!(may, [true, true, false, true, true]);
    }

    #[test]
    fn who_harms_is_tried_again_later_and_ever_later() {
        let mut ledger = Ledger::default();
        let harm = [measured(1, 1.0, -1.0, 0.1)];
        for absence in [4, 8, 16, 32, 64, 64] {
            let changes = assess(&mut ledger, &harm);
            assert_eq!(changes, [Change::LeftOut([1; 32], absence)]);
            for left in 1..=absence {
                assert!(!ledger.may_train(&[1; 32]));
                let changes = assess(&mut ledger, &[]);
                assert_eq!(changes.len(), usize::from(left == absence));
            }
            assert!(ledger.may_train(&[1; 32]));
            assert_eq!(ledger.get(&[1; 32]).unwrap().evidence, Evidence::default());
        }
    }

    #[test]
    fn who_was_never_asked_takes_for_ever() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.takes(&[1; 32]), f64::INFINITY);
        ledger.took_part([1; 32]);
        assert_eq!(ledger.takes(&[1; 32]), f64::INFINITY);
        ledger.waited_for([1; 32], 30.0, MEMORY);
        assert_eq!(ledger.takes(&[1; 32]), 30.0);
    }

    #[test]
    fn a_peer_that_improves_is_found_again() {
        let mut ledger = Ledger::default();
        assess(&mut ledger, &[measured(1, 2.0, -0.05, 0.1)]);
        assert_eq!(score(&ledger, 1), 0.0);
        for _ in 0..3 {
            assess(&mut ledger, &[measured(1, 2.0, 0.4, 0.1)]);
        }
        assert!((score(&ledger, 1) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn an_assessment_in_which_a_peer_does_harm_lowers_its_score() {
        let mut ledger = Ledger::default();
        (0..3).for_each(|_| drop(assess(&mut ledger, &[measured(1, 2.0, 0.4, 0.1)])));
        assess(&mut ledger, &[measured(1, 0.0, -0.3, 0.1)]);
        let kept = score(&ledger, 1);
        assert!(0.0 < kept && kept < 2.0, "{kept}");
    }

    #[test]
    fn who_goes_dark_or_refuses_to_be_examined_is_not_paid_for_what_was() {
        let mut ledger = Ledger::default();
        let (one, both) = (
            [measured(2, 3.0, 0.4, 0.1)],
            [measured(1, 2.0, 0.4, 0.1), measured(2, 3.0, 0.4, 0.1)],
        );
        (0..8).for_each(|_| drop(assess(&mut ledger, &both)));
        assess(&mut ledger, &one);
        assert!(score(&ledger, 1) > 0.0, "once may be an accident");
        assess(&mut ledger, &one);
        assert_eq!(score(&ledger, 1), 0.0);
        assert!(score(&ledger, 2) > 0.0);
        (0..2).for_each(|_| drop(assess(&mut ledger, &both)));
        assert!(score(&ledger, 1) > 0.0);
        // Who was not asked misses nothing.
        (0..8).for_each(|_| drop(ledger.assessed(&one, |peer| peer[0] == 2, MEMORY)));
        assert!(score(&ledger, 1) > 0.0);
    }

    /// They would never be compared, and each be paid for the other's absence.
    #[test]
    fn two_that_take_turns_at_being_examined_are_not_paid() {
        let all = [1, 2, 3].map(|peer| measured(peer, 2.0, 0.4, 0.1));
        let known = || {
            let mut ledger = Ledger::default();
            (0..8).for_each(|_| drop(assess(&mut ledger, &all)));
            ledger
        };
        let (mut ledger, mut paid) = (known(), 0);
        for turn in 0..20 {
            assess(&mut ledger, &[all[turn % 2], all[2]]);
            paid += [1, 2]
                .iter()
                .filter(|peer| score(&ledger, **peer) > 0.0)
                .count();
            assert!(score(&ledger, 3) > 0.0);
        }
        assert!(paid <= 7, "{paid}");
        // Who misses one of three meets every other now and then.
        let mut ledger = known();
        for turn in 0..20 {
            let present: Vec<_> = (0..3).filter(|peer| turn % 3 != *peer).collect();
            let present: Vec<_> = present.into_iter().map(|peer| all[peer]).collect();
            assess(&mut ledger, &present);
            assert!([1, 2, 3].iter().all(|peer| score(&ledger, *peer) > 0.0));
        }
    }

    #[test]
    fn correlation_is_that_of_those_it_is_asked_for() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.rank_correlation([[1; 32], [2; 32]]), None);
        let measured = [
            measured(1, 1.0, 0.1, 0.01),
            measured(2, 2.0, 0.2, 0.01),
            measured(3, 50.0, 0.05, 0.01),
        ];
        assess(&mut ledger, &measured);
        assess(&mut ledger, &measured);
        let correlation =
            |peers: &[u8]| ledger.rank_correlation(peers.iter().map(|peer| [*peer; 32]));
        assert_eq!(correlation(&[1, 2, 9]), Some(1.0));
        assert_eq!(correlation(&[1, 2, 3]), Some(-0.5));
        ledger.keep_only(&[[1; 32]].into());
        assert_eq!(ledger.standings().count(), 1);
    }
}
