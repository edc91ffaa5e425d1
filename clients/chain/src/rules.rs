//! What governance decides for a market: its share of the emission and its parameters, by the names of the
//! runtime.

use market_primitives::{MarketId, Share};
use serde::Serialize;
use subxt::{
    dynamic::{self, At, Value},
    ext::scale_value::{Composite, Primitive, ValueDef},
    utils::AccountId32,
};

use crate::{
    error::{MarketError, PALLET, SUDO},
    storage::{unreadable, State, StateError},
    AccountId, Chain, ChainError,
};

/// A parameter as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// A number, in the runtime's unit.
    Number(u64),
    /// Yes or no.
    Truth(bool),
}

/// Every parameter of a market by its name, in the runtime's order.
pub type Parameters = Vec<(String, ParameterValue)>;

/// What governance decides for a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Its share of the emission.
    pub emission_share: Share,
    /// Its parameters.
    pub parameters: Parameters,
}

/// The rules of a market, and those that are decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    /// In force.
    pub now: Rules,
    /// Decided on, and in force from the market's next epoch on.
    pub pending: Option<Rules>,
}

impl Governance {
    /// Those that will hold if nothing else is decided.
    pub fn last_decided(&self) -> &Rules {
        self.pending.as_ref().unwrap_or(&self.now)
    }

    /// What counts as given to the market: the larger of its share and its pending one.
    fn given(&self) -> Share {
        let pending = self.pending.as_ref().map(|rules| rules.emission_share);
        self.now.emission_share.max(pending.unwrap_or_default())
    }
}

impl Chain {
    /// The rules of a market after the last finalized block.
    ///
    /// Fails with [`MarketError::UnknownMarket`] where there is no such market.
    pub async fn governance(&self, market: MarketId) -> Result<Governance, StateError> {
        let state = self.state_after(self.finalized_block().await?).await?;
        let rules = state.rules(market).await?;
        rules.ok_or_else(|| ChainError::Market(MarketError::UnknownMarket).into())
    }

    /// What all markets, but for `except`, leave of the emission.
    pub async fn emission_left(&self, except: Option<MarketId>) -> Result<Share, StateError> {
        let state = self.state_after(self.finalized_block().await?).await?;
        let mut left = Share::ONE.0;
        for market in 0..=MarketId::MAX {
            let Some(rules) = state.rules(market).await? else {
                break;
            };
            if Some(market) != except {
                left = left.saturating_sub(rules.given().0);
            }
        }
        Ok(Share(left))
    }

    /// The account that can act as root, by the pallet `Sudo`; `None` where none can.
    pub async fn sudo_key(&self) -> Result<Option<AccountId>, StateError> {
        let state = self.state_after(self.finalized_block().await?).await?;
        if !state.has_pallet(SUDO) {
            return Ok(None);
        }
        let address = dynamic::storage::<(), AccountId32>(SUDO, "Key");
        let key = state.fetch(address, ()).await?;
        Ok(key.map(|key| AccountId(key.0)))
    }
}

impl State<'_> {
    /// The rules of a market; `None` where there is no such market.
    async fn rules(&self, market: MarketId) -> Result<Option<Governance>, StateError> {
        let Some(now) = self.rules_in(market, "Markets").await? else {
            return Ok(None);
        };
        let pending = self.rules_in(market, "PendingRules").await?;
        Ok(Some(Governance { now, pending }))
    }

    /// Those that an entry has of a market.
    async fn rules_in(
        &self,
        market: MarketId,
        entry: &'static str,
    ) -> Result<Option<Rules>, StateError> {
        let stored = self.value(market, entry).await?;
        stored.map(|stored| read(&stored, entry)).transpose()
    }
}

/// The share and the parameters of something that has both, from an entry of the pallet.
fn read(stored: &Value, entry: &str) -> Result<Rules, StateError> {
    let lacking =
        |what: &str| unreadable(&format!("{PALLET}.{entry}"), &format!("it has no {what}"));
    let share = stored.at("emission_share").and_then(plain);
    let Some(ParameterValue::Number(share)) = share else {
        return Err(lacking("share of the emission"));
    };
    let parameters = stored.at("parameters").map(|value| &value.value);
    let Some(ValueDef::Composite(Composite::Named(fields))) = parameters else {
        return Err(lacking("parameters by name"));
    };
    let plain = |(name, value): &(String, Value)| Some((name.clone(), plain(value)?));
    let parameters: Option<Vec<_>> = fields.iter().map(plain).collect();
    Ok(Rules {
        emission_share: Share(share),
        parameters: parameters.ok_or_else(|| lacking("parameters that are plain numbers"))?,
    })
}

/// A number or a truth value, also as the only field of a type of its own.
fn plain(value: &Value) -> Option<ParameterValue> {
    match &value.value {
        ValueDef::Primitive(Primitive::Bool(truth)) => Some(ParameterValue::Truth(*truth)),
        ValueDef::Primitive(Primitive::U128(number)) => {
            u64::try_from(*number).ok().map(ParameterValue::Number)
        }
        ValueDef::Composite(Composite::Unnamed(fields)) if fields.len() == 1 => plain(&fields[0]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(share: u64) -> Value {
        let kappa = Value::unnamed_composite([Value::u128(500)]);
        Value::named_composite([
            (
                "emission_share",
                Value::unnamed_composite([Value::u128(share.into())]),
            ),
            (
                "parameters",
                Value::named_composite([
                    ("kappa", kappa),
                    ("self_weight", Value::bool(false)),
                    ("tempo", Value::u128(10)),
                ]),
            ),
        ])
    }

    #[test]
    fn parameters_are_read_by_name_in_the_runtimes_order() {
        let rules = read(&stored(7), "Markets").unwrap();
        assert_eq!(rules.emission_share, Share(7));
        let number = ParameterValue::Number;
        let expected = [
            ("kappa".into(), number(500)),
            ("self_weight".into(), ParameterValue::Truth(false)),
            ("tempo".into(), number(10)),
        ];
        assert_eq!(rules.parameters, expected);
        let error = read(&Value::u128(1), "PendingRules").unwrap_err();
        assert!(error.to_string().contains("Market.PendingRules"), "{error}");
    }

    #[test]
    fn what_is_decided_and_not_yet_in_force_counts_as_given() {
        let rules = |share| Rules {
            emission_share: Share(share),
            parameters: Vec::new(),
        };
        let mut both = Governance {
            now: rules(5),
            pending: None,
        };
        assert_eq!((both.given(), both.last_decided()), (Share(5), &rules(5)));
        both.pending = Some(rules(3));
        assert_eq!((both.given(), both.last_decided()), (Share(5), &rules(3)));
        both.pending = Some(rules(8));
        assert_eq!(both.given(), Share(8));
    }
}
