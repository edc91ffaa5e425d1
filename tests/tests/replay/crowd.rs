//! A chain that begins with a market of many neurons, so that an epoch of it takes several blocks.

use anyhow::{Context, Result};
use frame_support::traits::fungible::Mutate;
use market_mechanism::Edges;
use noesis_runtime::{AccountId, Balances, Market, Runtime, System};
use pallet_market::types::{Moment, Neuron, Row, Slot};
use serde_json::{Map, Value};
use sp_core::storage::{well_known_keys::CODE, Storage};
use sp_io::TestExternalities;
use std::collections::BTreeMap;

const TEXT: u16 = 0;

/// Units in every slot.
const STAKE: u64 = 1_000_000_000;

/// Adds so many neurons to the genesis of a raw chain specification. Each holds stake and has set a weight to
/// every other.
pub fn add_neurons(spec: &mut Value, neurons: u16) -> Result<()> {
    let top = spec.pointer_mut("/genesis/raw/top");
    let top = top.and_then(Value::as_object_mut).context("no genesis")?;
    let storage = Storage {
        top: read(top)?,
        children_default: Default::default(),
    };
    let mut chain = TestExternalities::new(storage);
    chain.execute_with(|| enrol(neurons));
    chain.execute_with(|| write(top));
    Ok(())
}

/// Puts neurons into the storage at hand, as registration, staking and voting would.
fn enrol(neurons: u16) {
    let mut slots = Vec::new();
    for uid in 0..neurons {
        // A call each, in the block before the first.
        let moment = |call: u32| Moment { block: 0, call };
        let mut id = [7; 32];
        id[..2].copy_from_slice(&uid.to_le_bytes());
        let (hotkey, coldkey) = (AccountId::from(id), AccountId::from([9; 32]));
        System::inc_sufficients(&hotkey);
        pallet_market::Uids::<Runtime>::insert(TEXT, &hotkey, uid);
        pallet_market::Neurons::<Runtime>::insert(TEXT, uid, Neuron { hotkey, coldkey });
        slots.push(Some(Slot {
            stake: STAKE,
            registered_at: moment(1 + u32::from(uid)),
        }));
        let others = (0..neurons).filter(|to| *to != uid);
        let weight = |to: u16| 1 + (u32::from(uid) * 7 + u32::from(to) * 13) % 1_000;
        let weights: Vec<_> = others.map(|to| (to, weight(to) as u16)).collect();
        let set_at = moment(1 + u32::from(neurons) + u32::from(uid));
        let row = Row::new(set_at, Edges::default().with_weights(&weights));
        pallet_market::Rows::<Runtime>::insert(TEXT, uid, row);
        pallet_market::LastUpdates::<Runtime>::insert(TEXT, uid, set_at.block);
    }
    let stake = u128::from(STAKE) * u128::from(neurons);
    Balances::set_balance(&Market::stake_account(), stake);
    pallet_market::Slots::<Runtime>::insert(TEXT, frame_support::BoundedVec::truncate_from(slots));
}

fn read(top: &Map<String, Value>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let bytes = |text: &str| -> Result<Vec<u8>> { Ok(hex::decode(text.trim_start_matches("0x"))?) };
    top.iter()
        .map(|(key, value)| Ok((bytes(key)?, bytes(value.as_str().context("no text")?)?)))
        .collect()
}

/// The storage at hand, key by key.
fn write(top: &mut Map<String, Value>) {
    let mut key = Vec::new();
    while let Some(next) = sp_io::storage::next_key(&key) {
        key = next;
        // The runtime stays the specification's: these externalities have none.
        if key == CODE {
            continue;
        }
        let value = sp_io::storage::get(&key).unwrap_or_default();
        let text = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        top.insert(text(&key), text(&value).into());
    }
}
