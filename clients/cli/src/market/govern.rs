//! `noesis market create` and `noesis market set`: what root decides about markets.

use std::str::FromStr;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use noesis_chain::{
    bounds, AccountId, BlockNumber, Call, Chain, ChainError, Governance, Modality, ParameterValue,
    Rules, Share,
};
use serde_json::json;

use super::value::{self, parse, rows, words, EMISSION_SHARE};
use crate::{
    exit::Usage,
    flags::{MarketFlags, NodeFlags, SigningFlags},
    receipt::receipt,
    settings::Settings,
    transaction::{carry_out, Fact, Plan},
};

/// Flags of `noesis market create`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis market create image emission_share=0.1 --wallet root --dry-run\n  noesis market create tensor emission_share=0.05 tempo=20 'registration_cost=2 NOE' --like text --wallet root\n\nThe wallet is that of the sudo key. noesis market parameters shows names and units."
)]
pub struct Create {
    /// What it trades.
    modality: Trade,
    /// What is to be otherwise than in the market that it is like, and emission_share.
    #[arg(value_name = "NAME=VALUE")]
    changes: Vec<Change>,
    /// The market whose parameters it has where nothing else is said: its number, or what it trades.
    #[arg(long, value_name = "MARKET", default_value = "0")]
    like: String,
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    signing: SigningFlags,
}

/// Flags of `noesis market set`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  noesis market set tempo=20 quorum=0.4 --market text --wallet root --dry-run\n  noesis market set 'registration_cost=2 NOE' emission_share=0.3 --market image --wallet root\n\nThe wallet is that of the sudo key. noesis market parameters shows names and units. What is not named stays;\nwhat is set holds from the market's next epoch on."
)]
pub struct Set {
    /// What is to change: a parameter or emission_share, and its new value.
    #[arg(value_name = "NAME=VALUE", required = true)]
    changes: Vec<Change>,
    #[command(flatten)]
    market: MarketFlags,
    #[command(flatten)]
    signing: SigningFlags,
}

/// What a market trades.
#[derive(Clone, Copy, ValueEnum)]
enum Trade {
    /// Bytes of text.
    Text,
    /// Pictures.
    Image,
    /// Vectors.
    Tensor,
}

impl From<Trade> for Modality {
    fn from(trade: Trade) -> Self {
        match trade {
            Trade::Text => Self::Text,
            Trade::Image => Self::Image,
            Trade::Tensor => Self::Tensor,
        }
    }
}

/// A parameter and its new value, as it was typed.
#[derive(Clone)]
struct Change {
    name: String,
    value: String,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) => Ok(Self {
                name: name.trim().into(),
                value: value.into(),
            }),
            None => Err("write NAME=VALUE, such as tempo=20".into()),
        }
    }
}

/// Opens a market.
pub async fn create(arguments: Create) -> Result<()> {
    let settings = Settings::load()?;
    let key = arguments.signing.wallet.coldkey(&settings)?;
    let chain = arguments.node.connect(&settings).await?;
    check_root(&chain, key.account()).await?;
    let like = chain.find_market(&arguments.like).await?;
    let mut model = chain.governance(like).await?.now;
    let left = chain.emission_left(None).await?;
    // The emission is given away by name.
    model.emission_share = Share(0);
    let changes = &arguments.changes;
    if !changes.iter().any(|change| change.name == EMISSION_SHARE) {
        return Err(Usage(format!(
            "say what part of the emission the market gets: {EMISSION_SHARE}=… (the others leave {})",
            share(left)
        ))
        .into());
    }
    let rules = changed(&model, changes)?;
    check(&rules, left, None)?;
    let mut facts = vec![
        Fact::text("trades", Modality::from(arguments.modality).word()),
        Fact::number("like", like.into()),
    ];
    facts.extend(rows(&rules).map(|(name, new)| {
        let mut text = words(name, new);
        if name == EMISSION_SHARE {
            text.push_str(&format!(" (the others leave {})", share(left)));
        }
        Fact::both(name, text, value::json(name, new))
    }));
    let plan = Plan {
        call: Call::CreateMarket {
            modality: arguments.modality.into(),
            rules,
        },
        key: &key,
        facts,
        costs: 0,
    };
    let mut told = carry_out(&chain, &settings, &arguments.signing, plan).await?;
    if let Some([market]) = receipt(&chain, &mut told, "MarketCreated", ["market"]).await {
        told.tell("market", market);
        told.line(format!("opened as market {market}"));
    }
    told.print();
    Ok(())
}

/// Decides on parameters of a market.
pub async fn set(arguments: Set) -> Result<()> {
    let settings = Settings::load()?;
    let key = arguments.signing.wallet.coldkey(&settings)?;
    let (chain, market) = arguments.market.open(&settings).await?;
    check_root(&chain, key.account()).await?;
    let governance = chain.governance(market).await?;
    let rules = changed(governance.last_decided(), &arguments.changes)?;
    if rules == *governance.last_decided() {
        return Err(Usage("the market has these rules already, or will have them".into()).into());
    }
    let left = chain.emission_left(Some(market)).await?;
    check(&rules, left, Some(&governance.now))?;
    let mut facts = vec![Fact::number("market", market.into())];
    facts.extend(differences(&governance, &rules, &arguments.changes));
    if rules.emission_share != governance.last_decided().emission_share {
        facts.push(Fact::both(
            "emission_left_by_others",
            share(left),
            value::json(EMISSION_SHARE, ParameterValue::Number(left.0)),
        ));
    }
    let tempo = chain.metagraph(market).await?.rules.tempo;
    let best = chain.status().await?.best_block;
    let from = in_force_from(best, tempo);
    facts.push(Fact::both(
        "in_force_from_block",
        format!("{from} at the earliest"),
        from,
    ));
    let plan = Plan {
        call: Call::SetParameters { market, rules },
        key: &key,
        facts,
        costs: 0,
    };
    let told = carry_out(&chain, &settings, &arguments.signing, plan).await?;
    told.print();
    Ok(())
}

/// Refuses a key that cannot act as root, before anything is sent.
async fn check_root(chain: &Chain, signer: AccountId) -> Result<()> {
    let root = chain.sudo_key().await?;
    match root == Some(signer) {
        true => Ok(()),
        false => Err(ChainError::NotRoot { root })
            .with_context(|| format!("{signer} (name another wallet with --wallet)")),
    }
}

/// The rules with the changes made.
fn changed(rules: &Rules, changes: &[Change]) -> Result<Rules> {
    let mut rules = rules.clone();
    for (index, Change { name, value }) in changes.iter().enumerate() {
        if changes[..index].iter().any(|other| other.name == *name) {
            return Err(Usage(format!("{name} is given twice")).into());
        }
        if name == EMISSION_SHARE {
            let old = ParameterValue::Number(rules.emission_share.0);
            if let ParameterValue::Number(parts) = parse(name, value, old)? {
                rules.emission_share = Share(parts);
            }
            continue;
        }
        let known: Vec<_> = rules
            .parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let unknown = format!(
            "`{name}` is no parameter: there are {EMISSION_SHARE}, {}",
            known.join(", ")
        );
        let parameter = rules.parameters.iter_mut().find(|(known, _)| known == name);
        let (_, parameter) = parameter.ok_or(Usage(unknown))?;
        *parameter = parse(name, value, *parameter)?;
    }
    Ok(rules)
}

/// Refuses rules that the chain would not take, before anything is sent.
fn check(rules: &Rules, left: Share, now: Option<&Rules>) -> Result<()> {
    let checked = rules.check(left, now);
    checked.map_err(|error| Usage(error.to_string()).into())
}

/// The first epoch's block after the one that holds a call which is sent now, after block `best`.
fn in_force_from(best: BlockNumber, tempo: BlockNumber) -> BlockNumber {
    let (sent, tempo) = (best.saturating_add(1), tempo.max(1));
    (sent / tempo).saturating_add(1).saturating_mul(tempo)
}

/// Old and new beside each other, with the bounds: of what was named, and of what was decided before and is not
/// yet in force.
fn differences(governance: &Governance, rules: &Rules, changes: &[Change]) -> Vec<Fact> {
    let decided = rows(governance.last_decided()).map(|(_, value)| value);
    let new = rows(rules).map(|(_, value)| value);
    let mut facts = Vec::new();
    for (((name, old), decided), new) in rows(&governance.now).zip(decided).zip(new) {
        let named = changes.iter().any(|change| change.name == name);
        if old == new && !named {
            continue;
        }
        let mut text = match (new == old, decided == old) {
            (true, true) => format!("{}, as it is", words(name, old)),
            (true, false) => format!(
                "{}, as it is; {}, which was decided, is withdrawn",
                words(name, old),
                words(name, decided)
            ),
            (false, _) => format!("{}, then {}", words(name, old), words(name, new)),
        };
        if !named {
            text.push_str(", as was decided before");
        } else if let Some(bounds) = bounds(name) {
            text.push_str(&format!(" (must be {bounds})"));
        }
        let mut told = json!({ "old": value::json(name, old), "new": value::json(name, new) });
        if decided != old {
            told["pending"] = value::json(name, decided);
        }
        facts.push(Fact::both(name, text, told));
    }
    facts
}

/// A share in words.
fn share(share: Share) -> String {
    words(EMISSION_SHARE, ParameterValue::Number(share.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(tempo: u64) -> Rules {
        Rules {
            emission_share: Share(Share::ONE.0 / 2),
            parameters: vec![
                ("kappa".into(), ParameterValue::Number(1)),
                ("tempo".into(), ParameterValue::Number(tempo)),
                ("self_weight".into(), ParameterValue::Truth(false)),
            ],
        }
    }

    fn changes(texts: &[&str]) -> Vec<Change> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_what_is_named_changes() {
        let new = changes(&["tempo=20 blocks", "emission_share=0.25", "self_weight=true"]);
        let new = changed(&rules(10), &new).unwrap();
        assert_eq!(new.emission_share, Share(Share::ONE.0 / 4));
        let expected = [
            ("kappa".into(), ParameterValue::Number(1)),
            ("tempo".into(), ParameterValue::Number(20)),
            ("self_weight".into(), ParameterValue::Truth(true)),
        ];
        assert_eq!(new.parameters, expected);
    }

    #[test]
    fn what_is_no_change_is_refused_in_words() {
        assert!("tempo".parse::<Change>().is_err());
        for (texts, words) in [
            (vec!["temp=20"], "there are emission_share, kappa, tempo"),
            (vec!["tempo=20", "tempo=30"], "given twice"),
            (vec!["tempo=soon"], "must be 1 to 100800 blocks"),
        ] {
            let error = changed(&rules(10), &changes(&texts)).unwrap_err();
            assert_eq!(crate::exit::code(&error), 2);
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }

    #[test]
    fn what_the_chain_would_refuse_is_wrong_use_and_told_with_the_bounds() {
        for (text, words) in [
            ("tempo=99999999999", "must be 1 to 100800 blocks"),
            ("tempo=0", "must be 1 to 100800 blocks"),
            ("kappa=1.1", "must be 0 to 1"),
            ("emission_share=0.6", "what the other markets leave"),
        ] {
            let new = changed(&rules(10), &changes(&[text])).unwrap();
            let error = check(&new, Share(Share::ONE.0 / 2), None).unwrap_err();
            assert_eq!(crate::exit::code(&error), 2, "{text}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn rules_hold_from_the_first_epoch_after_their_call() {
        // A call in the block of an epoch comes after that epoch.
        for (best, from) in [(438, 440), (439, 450), (440, 450), (441, 450)] {
            assert_eq!(in_force_from(best, 10), from);
        }
    }

    #[test]
    fn old_and_new_are_told_and_what_waits_already() {
        let governance = Governance {
            now: rules(10),
            pending: Some(rules(20)),
        };
        let told = |texts: &[&str]| {
            let named = changes(texts);
            let new = changed(governance.last_decided(), &named).unwrap();
            let facts = differences(&governance, &new, &named);
            facts
                .iter()
                .map(|fact| fact.words().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(&["kappa=0.5"]),
            [
                "0.000000000000000001, then 0.5 (must be 0 to 1)",
                "10 blocks, then 20 blocks, as was decided before",
            ]
        );
        assert_eq!(
            told(&["tempo=10"]),
            ["10 blocks, as it is; 20 blocks, which was decided, is withdrawn (must be 1 to 100800 blocks)"]
        );
    }
}
