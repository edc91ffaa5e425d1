//! Flags that several commands share: the market's parameters, the course of time, lists of shares.

use std::str::FromStr;

use anyhow::{anyhow, ensure, Result};
use clap::{Args, ValueEnum};
use market_mechanism::{parameters::RHO_ONE, Parameters, ONE};

use crate::world::STAKE;

/// Slots of the largest market.
const CAPACITY: u32 = 4096;
/// The least stake to start with.
const LEAST_STAKE: f64 = 1e10;
/// All stake at the end stays below this many units, those that a chain can count.
const MOST_STAKE: f64 = (1_u64 << 63) as f64;

/// A parser of numbers from `least` to `most`, which names the range where one is outside.
pub fn within(least: f64, most: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        text.trim()
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("must be a number from {least} to {most}"))
    }
}

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// A set of parameters by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The chain's own.
    Default,
    /// As the paper has it: nothing is forgotten, any edge is trust, the diagonal and idle stake count.
    Paper,
}

/// The parameters of the simulated market.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Parameters of the market")]
pub struct ParameterFlags {
    /// Parameters to start from; the flags below change single ones.
    #[arg(long, value_enum, default_value_t = Preset::Default)]
    pub preset: Preset,
    /// Steepness of the sigmoid: 0.000000001 to 100.
    #[arg(long, value_parser = within(1e-9, 100.0))]
    pub rho: Option<f64>,
    /// Trust at which consensus is one half: 0 to 1.
    #[arg(long, value_parser = within(0.0, 1.0))]
    pub kappa: Option<f64>,
    /// Share of the emission that is paid as dividends: 0 to 1.
    #[arg(long, value_parser = within(0.0, 1.0))]
    pub lambda: Option<f64>,
    /// Share of its bonds that a neuron forgets each epoch: 0 to 1.
    #[arg(long, value_parser = within(0.0, 1.0))]
    pub alpha: Option<f64>,
    /// An edge is trust where its weight is above this share of 1/n: 0 to 1.
    #[arg(long, value_parser = within(0.0, 1.0))]
    pub trust_threshold: Option<f64>,
    /// Whether the weight that a neuron gives itself counts.
    #[arg(long, value_enum)]
    pub self_weight: Option<Switch>,
    /// Whether an epoch out of consensus mints nothing.
    #[arg(long, value_enum)]
    pub gate: Option<Switch>,
    /// Whether stake that does not vote counts.
    #[arg(long, value_enum)]
    pub count_idle_stake: Option<Switch>,
    /// Smallest share of all stake that must vote: 0 to 1.
    #[arg(long, value_parser = within(0.0, 1.0))]
    pub quorum: Option<f64>,
    /// Age in blocks at which a row of weights stops counting. Here an epoch has 100 blocks, and
    /// whoever votes does so in each.
    #[arg(long)]
    pub activity_cutoff: Option<u64>,
}

/// A share as the mechanism counts it.
fn parts(share: f64) -> u64 {
    (share * ONE as f64).round() as u64
}

impl ParameterFlags {
    /// The parameters that the flags come to.
    pub fn parameters(&self) -> Parameters {
        let preset = match self.preset {
            Preset::Default => Parameters::DEFAULT,
            Preset::Paper => Parameters::PAPER,
        };
        let share = |flag: Option<f64>, preset| flag.map_or(preset, parts);
        let rule = |flag: Option<Switch>, preset| flag.map_or(preset, |flag| flag == Switch::On);
        Parameters {
            rho: self
                .rho
                .map_or(preset.rho, |rho| (rho * RHO_ONE as f64).round() as u64),
            kappa: share(self.kappa, preset.kappa),
            lambda: share(self.lambda, preset.lambda),
            alpha: share(self.alpha, preset.alpha),
            trust_threshold: share(self.trust_threshold, preset.trust_threshold),
            quorum: share(self.quorum, preset.quorum),
            activity_cutoff: self.activity_cutoff.unwrap_or(preset.activity_cutoff),
            self_weight: rule(self.self_weight, preset.self_weight),
            consensus_gate: rule(self.gate, preset.consensus_gate),
            count_idle_stake: rule(self.count_idle_stake, preset.count_idle_stake),
        }
    }
}

/// How long, and how much is minted.
#[derive(Args, Clone, Copy, Debug)]
pub struct Course {
    /// Epochs: 1 to 10000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: u32,
    /// Emission of an epoch as a share of all stake at that time: 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = within(0.0, 1.0))]
    pub rate: f64,
}

impl Course {
    /// All stake at the start, in units, such that the chain can still count it at the end.
    pub fn stake_at_start(&self) -> Result<f64> {
        let growth = f64::from(self.epochs) * self.rate.ln_1p();
        let room = MOST_STAKE.ln() - growth;
        let most = (MOST_STAKE / LEAST_STAKE).ln() / self.rate.ln_1p();
        ensure!(
            room >= LEAST_STAKE.ln(),
            "--epochs {} at --rate {} would mint more units than a chain can count: give at most {} epochs, or a lower rate",
            self.epochs,
            self.rate,
            most.floor(),
        );
        Ok(STAKE.min(room.exp()))
    }
}

/// How many there are on either side.
#[derive(Args, Clone, Copy, Debug)]
pub struct Peers {
    /// Honest neurons, of equal stake: 1 to 2048.
    #[arg(long, default_value_t = 51, value_parser = clap::value_parser!(u16).range(1..=2048))]
    pub honest_peers: u16,
    /// Neurons of the cabal, of equal stake: 1 to 2048.
    #[arg(long, default_value_t = 49, value_parser = clap::value_parser!(u16).range(1..=2048))]
    pub cabal_peers: u16,
}

const _: () = assert!(2048 + 2048 <= CAPACITY);

/// Several shares, given as `0.1,0.2` or as `FROM:TO:STEP`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares(pub Vec<f64>);

/// The most values of one list.
const MOST_SHARES: f64 = 1000.0;

impl FromStr for Shares {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let share = within(0.0, 1.0);
        let number = |part: &str| share(part).map_err(|range| anyhow!("each {range}"));
        let parts: Vec<&str> = text.split(':').collect();
        let &[from, to, step] = parts.as_slice() else {
            ensure!(
                parts.len() == 1,
                "must be shares from 0 to 1 with commas between them, or FROM:TO:STEP"
            );
            return text.split(',').map(number).collect::<Result<_>>().map(Self);
        };
        let (from, to, step) = (number(from)?, number(to)?, number(step)?);
        ensure!(
            from <= to && step > 0.0,
            "FROM must be at most TO, and STEP above 0"
        );
        let steps = ((to - from) / step + 1e-9).floor();
        ensure!(
            steps < MOST_SHARES,
            "STEP must be such that there are at most {MOST_SHARES} values"
        );
        // To nine decimals, so that 0.1 + 0.2 is 0.3.
        let value = |index: u32| ((from + f64::from(index) * step) * 1e9).round() / 1e9;
        Ok(Self((0..=steps as u32).map(value).collect()))
    }
}

/// The flags of a command, for its tests.
#[cfg(test)]
pub fn parse<F: Args>(words: &str) -> F {
    let words = std::iter::once("lab").chain(words.split_whitespace());
    let matches = F::augment_args(clap::Command::new("lab")).get_matches_from(words);
    F::from_arg_matches(&matches).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        course: Course,
        #[command(flatten)]
        parameters: ParameterFlags,
    }

    fn parse(flags: &[&str]) -> Result<Flags, String> {
        Flags::try_parse_from([&["lab"], flags].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_the_parameters_are_those_of_the_preset() {
        let parameters = |flags| parse(flags).unwrap().parameters.parameters();
        assert_eq!(parameters(&[]), Parameters::DEFAULT);
        assert_eq!(parameters(&["--preset", "paper"]), Parameters::PAPER);
    }

    #[test]
    fn every_parameter_has_its_flag() {
        let given =
            "--rho 20 --kappa 0.6 --lambda 0.7 --alpha 0.2 --trust-threshold 0.3 --quorum 0.4 \
             --activity-cutoff 500 --self-weight on --gate off --count-idle-stake on";
        let flags: Vec<&str> = given.split_whitespace().collect();
        let expected = Parameters {
            rho: 20 * RHO_ONE,
            kappa: ONE / 10 * 6,
            lambda: ONE / 10 * 7,
            alpha: ONE / 5,
            trust_threshold: ONE / 10 * 3,
            quorum: ONE / 10 * 4,
            activity_cutoff: 500,
            self_weight: true,
            consensus_gate: false,
            count_idle_stake: true,
        };
        assert_eq!(parse(&flags).unwrap().parameters.parameters(), expected);
    }

    #[test]
    fn a_flag_out_of_range_is_refused_with_the_range() {
        for (flag, value, range) in [
            ("--rho", "0", "from 0.000000001 to 100"),
            ("--rho", "1000", "from 0.000000001 to 100"),
            ("--kappa", "1.1", "from 0 to 1"),
            ("--lambda", "-0.1", "from 0 to 1"),
            ("--alpha", "nan", "from 0 to 1"),
            ("--trust-threshold", "2", "from 0 to 1"),
            ("--quorum", "much", "from 0 to 1"),
            ("--rate", "inf", "from 0 to 1"),
            ("--epochs", "0", "1..=10000"),
            ("--gate", "open", "on, off"),
            ("--preset", "mine", "default, paper"),
        ] {
            let given = format!("{flag}={value}");
            let error = parse(&[&given]).map(|_| ()).unwrap_err();
            assert!(error.contains(range), "{given}: {error}");
        }
    }

    #[test]
    fn a_course_that_outgrows_the_units_is_refused_with_what_would_do() {
        let course = |epochs, rate| Course { epochs, rate }.stake_at_start();
        assert_eq!(course(100, 0.0).unwrap(), STAKE);
        let paper = course(100, 0.1).unwrap();
        assert!((1e14..=STAKE).contains(&paper), "{paper}");
        assert!(course(216, 0.1).is_ok());
        let error = course(217, 0.1).unwrap_err().to_string();
        assert!(error.contains("at most 216 epochs"), "{error}");
    }

    #[test]
    fn shares_are_a_list_or_steps() {
        let shares = |text: &str| text.parse::<Shares>().map(|shares| shares.0);
        assert_eq!(shares("0.1, 0.5").unwrap(), [0.1, 0.5]);
        assert_eq!(shares("0.1:0.3:0.1").unwrap(), [0.1, 0.2, 0.3]);
        for (wrong, message) in [
            ("0.1,2", "from 0 to 1"),
            ("0.3:0.1:0.1", "FROM must be"),
            ("0:1:0", "STEP above 0"),
            ("0:1:0.00001", "at most 1000"),
            ("0:1", "FROM:TO:STEP"),
            ("", "from 0 to 1"),
        ] {
            let error = shares(wrong).unwrap_err().to_string();
            assert!(error.contains(message), "{wrong}: {error}");
        }
    }
}
