//! How the program ends: exit codes that scripts can tell apart.

use noesis_chain::{ChainError, MarketError, StateError};
use noesis_keys::KeyFileError;

/// The codes, as `noesis --help` lists them.
pub const CODES: &str = "\
Exit codes:
  0  done
  1  refused by the chain, or failed in another way
  2  wrong use: a flag, an amount, a name, a setting
  3  no node answers, or it is of another chain or version
  4  a key cannot be used: no such file, wrong password, readable by others
  5  sent, and it is not known what became of it: look before sending again
  6  not confirmed: nothing was sent";

/// Wrong use that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Nobody said yes.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// Somebody said no.
    #[error("nothing was sent")]
    Declined,
    /// There is nobody to ask.
    #[error("there is no terminal to ask whether to send it: add --yes to send it without asking, or --dry-run to see what it would do")]
    NobodyToAsk,
}

/// The node is not of the chain that the settings name.
#[derive(Debug, thiserror::Error)]
#[error("the node at {url} follows another chain, whose first block is {found}, than the setting genesis names, {wanted}: give the address of another node, or another genesis")]
pub struct OtherChain {
    /// The node's address.
    pub url: String,
    /// Its chain's first block.
    pub found: String,
    /// What was wanted.
    pub wanted: String,
}

/// The code of an error.
pub fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(1)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if cause.is::<Usage>() {
        return Some(2);
    }
    if cause.is::<OtherChain>() {
        return Some(3);
    }
    if cause.is::<NotConfirmed>() {
        return Some(6);
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(match error {
            KeyFileError::BadName { .. } => 2,
            _ => 4,
        });
    }
    if let Some(StateError::Chain(error)) = cause.downcast_ref() {
        return Some(of_chain(error));
    }
    match cause.downcast_ref()? {
        ChainError::Market(rule) if never_taken(rule) => Some(2),
        error => Some(of_chain(error)),
    }
}

fn of_chain(error: &ChainError) -> u8 {
    match error {
        ChainError::BadUrl { .. }
        | ChainError::NoSuchMarket { .. }
        | ChainError::ManyMarkets { .. } => 2,
        ChainError::Unreachable { .. }
        | ChainError::NotNoesis { .. }
        | ChainError::AnotherChain { .. }
        | ChainError::Unexpected(_) => 3,
        ChainError::Uncertain(_) | ChainError::RootUncertain(_) => 5,
        _ => 1,
    }
}

/// Whether a call breaks the rule by what it was given, whatever the state of the market: wrong use, whether it was
/// noticed here or by the chain.
fn never_taken(rule: &MarketError) -> bool {
    matches!(
        rule,
        MarketError::AmountZero
            | MarketError::DelegationTooSmall
            | MarketError::TakeTooHigh
            | MarketError::EndpointInvalid
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn every_kind_of_error_has_the_code_that_help_lists() {
        let url = || "ws://here".to_string();
        let unreachable = ChainError::Unreachable {
            url: url(),
            reason: "gone".into(),
        };
        let pruned = StateError::Chain(ChainError::NotNoesis {
            url: url(),
            what: "it".into(),
        });
        let cases = [
            (anyhow!("anything"), 1),
            (ChainError::Market(MarketError::NotOwner).into(), 1),
            (ChainError::NoAnswer("no such slot".into()).into(), 1),
            (Usage("wrong".into()).into(), 2),
            (ChainError::BadUrl { url: url() }.into(), 2),
            (
                ChainError::ManyMarkets {
                    name: "text".into(),
                    numbers: "0, 1".into(),
                }
                .into(),
                2,
            ),
            (unreachable.into(), 3),
            (pruned.into(), 3),
            (ChainError::Market(MarketError::AmountZero).into(), 2),
            (ChainError::Market(MarketError::TakeTooHigh).into(), 2),
            (KeyFileError::BadName { name: "a/b".into() }.into(), 2),
            (KeyFileError::EmptyPassword.into(), 4),
            (ChainError::Uncertain("lost".into()).into(), 5),
            (ChainError::RootUncertain("no event".into()).into(), 5),
            (NotConfirmed::Declined.into(), 6),
        ];
        for (error, expected) in cases {
            let error = error.context("while doing something");
            assert_eq!(code(&error), expected, "{error:#}");
            assert!(CODES.contains(&format!("\n  {expected}  ")));
        }
    }
}
