//! What a call did, as the chain's events tell.

use std::collections::BTreeMap;

use subxt::{
    dynamic::Value,
    ext::scale_value::{Composite, ValueDef},
    utils::H256,
};

use crate::{error::PALLET, Chain, ChainError, Sent};

impl Chain {
    /// The numbers that the market's event `event`, which the call brought about, has under these names: what it did,
    /// where its signer had named but the most or the least. Shares are in parts of 10^18.
    ///
    /// Fails with [`ChainError::Unexpected`] where the call brought about no such event, or one without them.
    pub async fn receipt<const N: usize>(
        &self,
        sent: &Sent,
        event: &str,
        names: [&str; N],
    ) -> Result<[u64; N], ChainError> {
        let absent = |what: &str| ChainError::Unexpected(format!("the call has no {what}"));
        let block = self
            .ask(async { self.client.at_block(H256(sent.block)).await })
            .await?;
        let calls = self.ask(async { block.extrinsics().fetch().await }).await?;
        let mut calls = calls.iter().filter_map(Result::ok);
        let call = calls
            .find(|call| call.hash().0 == sent.transaction)
            .ok_or_else(|| absent("place in its block"))?;
        let events = self.ask(async { call.events().await }).await?;
        let found = events
            .iter()
            .filter_map(Result::ok)
            .find(|found| found.pallet_name() == PALLET && found.event_name() == event)
            .ok_or_else(|| absent(event))?;
        let fields = found
            .decode_fields_unchecked_as::<Composite<()>>()
            .map_err(|error| ChainError::Unexpected(error.to_string()))?;
        let numbers = numbers(fields);
        let mut told = [0; N];
        for (place, name) in told.iter_mut().zip(names) {
            *place = *numbers.get(name).ok_or_else(|| absent(name))?;
        }
        Ok(told)
    }
}

/// The fields that are numbers.
fn numbers(fields: Composite<()>) -> BTreeMap<String, u64> {
    let Composite::Named(fields) = fields else {
        return BTreeMap::new();
    };
    let number = |(name, value): (String, Value)| Some((name, number(&value)?));
    fields.into_iter().filter_map(number).collect()
}

/// A number, alone or wrapped in a type of its own.
fn number(value: &Value) -> Option<u64> {
    match &value.value {
        ValueDef::Primitive(_) => u64::try_from(value.as_u128()?).ok(),
        ValueDef::Composite(Composite::Unnamed(inner)) if inner.len() == 1 => number(&inner[0]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_number_is_told_and_nothing_else() {
        let fields = Composite::named([
            ("shares", Value::u128(7)),
            ("take", Value::unnamed_composite([Value::u128(10)])),
            ("delegator", Value::from_bytes([1; 32])),
            ("much", Value::u128(u128::MAX)),
            ("in_consensus", Value::bool(true)),
        ]);
        let expected = [("shares".into(), 7), ("take".into(), 10)];
        assert_eq!(numbers(fields), BTreeMap::from(expected));
        assert!(numbers(Composite::unnamed([Value::u128(1)])).is_empty());
    }
}
