//! A row as bytes of the state. An epoch reads every row of its market twice and changes nothing but
//! bonds, so it leaves a row where it lies, with no copies and no lists of numbers.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use codec::{Compact, Decode};
use core::mem;
use market_mechanism::Ballot;
use market_primitives::{MarketId, Uid};

/// The stored bytes of a [`Row`], and where they are kept.
pub(crate) struct StoredRow<Bytes> {
    key: Vec<u8>,
    bytes: Bytes,
}

/// What a [`Row`] says, and the bonds in it, to be changed.
pub(crate) struct Columns<'a> {
    pub ballot: Ballot<'a>,
    pub bonds: &'a mut [[u8; 4]],
}

/// The row of a neuron; `None` where it has neither weights nor bonds.
pub(crate) fn read<T: Config>(market: MarketId, uid: Uid) -> Option<StoredRow<impl AsMut<[u8]>>> {
    let key = Rows::<T>::hashed_key_for(market, uid);
    // Nobody else has them: no copy is made.
    let bytes = sp_io::storage::get(&key)?.try_into_mut();
    let bytes = bytes.unwrap_or_else(|shared| shared.as_ref().into());
    Some(StoredRow { key, bytes })
}

impl<Bytes: AsMut<[u8]>> StoredRow<Bytes> {
    /// Its columns; `None` where the bytes are not those of a row.
    pub fn columns(&mut self) -> Option<Columns<'_>> {
        let mut rest = self.bytes.as_mut();
        let set_at = decode::<Moment>(&mut rest)?;
        let gaps = list(&mut rest, 1)?;
        let (weights, _) = list(&mut rest, 2)?.as_chunks();
        let (bonds, _) = list(&mut rest, 4)?.as_chunks_mut();
        let ballot = Ballot::new(set_at.time(), gaps, weights)?;
        (bonds.len() == weights.len()).then_some(Columns { ballot, bonds })
    }

    /// As a row to be computed with.
    pub fn row(&mut self) -> Option<Row> {
        Row::decode(&mut &*self.bytes.as_mut()).ok()
    }

    /// Puts it back where it was read.
    pub fn put_back(&mut self) {
        sp_io::storage::set(&self.key, self.bytes.as_mut());
    }
}

/// Takes a value from the beginning of encoded bytes.
fn decode<Value: Decode>(bytes: &mut &mut [u8]) -> Option<Value> {
    let mut input = &**bytes;
    let value = Value::decode(&mut input).ok()?;
    let length = bytes.len().checked_sub(input.len())?;
    *bytes = mem::take(bytes).split_at_mut_checked(length)?.1;
    Some(value)
}

/// Takes a list from the beginning of encoded bytes: those of its items, of `width` bytes each.
fn list<'a>(bytes: &mut &'a mut [u8], width: usize) -> Option<&'a mut [u8]> {
    let Compact(count) = decode::<Compact<u32>>(bytes)?;
    let length = (count as usize).checked_mul(width)?;
    let (items, rest) = mem::take(bytes).split_at_mut_checked(length)?;
    *bytes = rest;
    Some(items)
}
