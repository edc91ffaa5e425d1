//! The bounds of a market's parameters that clients tell before anything is signed are those of the pallet: both take
//! the same parameters and refuse the same. Not compared is which parameter they name, nor what depends on more than
//! these: the share of the emission, and that capacity never falls.

use anyhow::{ensure, Context, Result};
use noesis_chain::{bounds, ParameterValue, Rules, Share};
use pallet_market::Parameters;
use serde_json::{Map, Value};

/// Numbers around every bound there is, in the runtime's units.
const NUMBERS: [u64; 32] = [
    0,
    1,
    2,
    3,
    4,
    5,
    9,
    10,
    11,
    100,
    101,
    999,
    1_000,
    1_001,
    1_100,
    4_095,
    4_096,
    4_097,
    65_535,
    65_536,
    65_537,
    100_800,
    100_801,
    u32::MAX as u64,
    100_000_000_000,
    100_000_000_001,
    250_000_000_000_000,
    1_000_000_000_000_000_000,
    1_000_000_000_000_000_001,
    21_000_000_000_000_000,
    21_000_000_000_000_001,
    u64::MAX,
];

/// As a client reads them from the chain.
fn rules(fields: &Map<String, Value>) -> Result<Rules> {
    let parameters = fields.iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(truth) => ParameterValue::Truth(*truth),
            number => ParameterValue::Number(number.as_u64().context("a number")?),
        };
        Ok((name.clone(), value))
    });
    Ok(Rules {
        emission_share: Share(0),
        parameters: parameters.collect::<Result<_>>()?,
    })
}

/// Whether the pallet takes them; `None` where one does not fit its field.
fn agreed(fields: &Map<String, Value>) -> Result<Option<bool>> {
    let Ok(parameters) = serde_json::from_value::<Parameters>(Value::Object(fields.clone())) else {
        return Ok(None);
    };
    let taken = parameters.validate();
    let told = rules(fields)?.check(Share::ONE, None);
    ensure!(
        taken.is_ok() == told.is_ok(),
        "the pallet says {taken:?} and the client {told:?} of {fields:?}"
    );
    Ok(Some(taken.is_ok()))
}

#[test]
fn clients_and_pallet_take_and_refuse_the_same_parameters() -> Result<()> {
    let (mut taken, mut refused) = (0, 0);
    for hidden in [0, 3] {
        for own in [false, true] {
            let mut parameters = Parameters {
                reveal_period: hidden,
                self_weight: own,
                ..Parameters::default()
            };
            parameters.max_weight = Share(250_000_000_000_000);
            let Value::Object(base) = serde_json::to_value(parameters)? else {
                anyhow::bail!("parameters are an object");
            };
            ensure!(agreed(&base)? == Some(true));
            let names = base.iter().filter(|(_, value)| value.is_number());
            let names: Vec<&String> = names.map(|(name, _)| name).collect();
            for (place, first) in names.iter().enumerate() {
                ensure!(bounds(first).is_some(), "{first} has no bounds in words");
                for second in &names[place..] {
                    for (one, other) in pairs() {
                        let mut fields = base.clone();
                        fields.insert(second.to_string(), other.into());
                        fields.insert(first.to_string(), one.into());
                        match agreed(&fields)? {
                            Some(true) => taken += 1,
                            Some(false) => refused += 1,
                            None => {}
                        }
                    }
                }
            }
        }
    }
    ensure!(taken > 1_000 && refused > 1_000, "{taken} {refused}");
    Ok(())
}

fn pairs() -> impl Iterator<Item = (u64, u64)> {
    NUMBERS
        .iter()
        .flat_map(|one| NUMBERS.iter().map(|other| (*one, *other)))
}
