//! The parameters of a market that its epoch depends on.

use crate::fixed::{HALF, ONE};

/// Parts in one of [`Parameters::rho`].
pub const RHO_ONE: u64 = 1_000_000_000;

/// The steepest sigmoid, in parts of [`RHO_ONE`]: `rho = 100` is a step for all practical purposes.
pub const RHO_MAX: u64 = 100 * RHO_ONE;

/// What the arithmetic of an epoch depends on. Shares are parts of 10^18 ([`ONE`]).
///
/// The market's other parameters (tempo, capacity, limits on rows, immunity, costs) concern the
/// pallet and are kept there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Steepness of the sigmoid, in parts of 10^9 ([`RHO_ONE`]): 1 to [`RHO_MAX`].
    pub rho: u64,
    /// Trust at which consensus is one half: 0 to [`ONE`].
    pub kappa: u64,
    /// Share of the emission that is paid as dividends: 0 to [`ONE`].
    pub lambda: u64,
    /// Share of its bonds that a neuron forgets each epoch: 0 (nothing, ever) to [`ONE`] (everything).
    pub alpha: u64,
    /// An edge counts towards trust where its normalised weight is larger than this share of `1 / n`,
    /// `n` being the number of neurons in the market (occupied slots): 0 to [`ONE`].
    pub trust_threshold: u64,
    /// Smallest share of all stake that must vote for an epoch to be in consensus: 0 to [`ONE`].
    pub quorum: u64,
    /// Age at which a row stops counting, in the unit of [`Clock::now`](crate::Clock::now); a row of
    /// exactly this age still counts.
    pub activity_cutoff: u64,
    /// Whether a neuron's edge to itself counts.
    pub self_weight: bool,
    /// Whether an epoch that is not in consensus mints nothing.
    pub consensus_gate: bool,
    /// Whether stake that does not vote counts towards the whole of which stake shares are taken.
    pub count_idle_stake: bool,
}

/// A parameter outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    /// [`Parameters::rho`] must be 1 to [`RHO_MAX`].
    Rho,
    /// [`Parameters::kappa`] must be at most [`ONE`].
    Kappa,
    /// [`Parameters::lambda`] must be at most [`ONE`].
    Lambda,
    /// [`Parameters::alpha`] must be at most [`ONE`].
    Alpha,
    /// [`Parameters::trust_threshold`] must be at most [`ONE`].
    TrustThreshold,
    /// [`Parameters::quorum`] must be at most [`ONE`].
    Quorum,
}

impl Parameters {
    /// The preset `default`: rows count for ten tempos of 100 blocks.
    pub const DEFAULT: Self = Self {
        rho: 10 * RHO_ONE,
        kappa: HALF,
        lambda: HALF,
        alpha: ONE / 10,
        trust_threshold: ONE / 10,
        quorum: ONE / 4,
        activity_cutoff: 1_000,
        self_weight: false,
        consensus_gate: true,
        count_idle_stake: false,
    };

    /// The preset `local`, for a local network: as [`DEFAULT`](Self::DEFAULT), with tempos of 10 blocks.
    pub const LOCAL: Self = Self {
        activity_cutoff: 100,
        ..Self::DEFAULT
    };

    /// The preset `paper`: as the paper has it, where nothing is forgotten, any edge is trust, the
    /// diagonal and idle stake count, and there is no quorum.
    pub const PAPER: Self = Self {
        alpha: 0,
        trust_threshold: 0,
        quorum: 0,
        self_weight: true,
        count_idle_stake: true,
        ..Self::DEFAULT
    };

    /// Says whether every parameter is in its range.
    ///
    /// # Errors
    ///
    /// The first parameter that is not.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        let within = |value: u64, error| if value <= ONE { Ok(()) } else { Err(error) };
        if !(1..=RHO_MAX).contains(&self.rho) {
            return Err(OutOfRange::Rho);
        }
        within(self.kappa, OutOfRange::Kappa)?;
        within(self.lambda, OutOfRange::Lambda)?;
        within(self.alpha, OutOfRange::Alpha)?;
        within(self.trust_threshold, OutOfRange::TrustThreshold)?;
        within(self.quorum, OutOfRange::Quorum)
    }

    /// The nearest parameters in range: what an epoch computes with, so that any value has a defined
    /// result.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            rho: self.rho.clamp(1, RHO_MAX),
            kappa: self.kappa.min(ONE),
            lambda: self.lambda.min(ONE),
            alpha: self.alpha.min(ONE),
            trust_threshold: self.trust_threshold.min(ONE),
            quorum: self.quorum.min(ONE),
            ..self
        }
    }

    /// The rate `a = max(1 / t, alpha)` at which bonds follow the votes of epoch `t` (0 counts as 1),
    /// as numerator and denominator.
    pub(crate) fn bond_rate(&self, epoch: u64) -> (u64, u64) {
        let epoch = epoch.max(1);
        let forgetting = u128::from(self.alpha).saturating_mul(epoch.into());
        if forgetting >= u128::from(ONE) {
            (self.alpha, ONE)
        } else {
            (1, epoch)
        }
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}
