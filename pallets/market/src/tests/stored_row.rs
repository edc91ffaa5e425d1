//! Rows where they lie in the state.

use crate::{mock::*, pallet::Rows, stored_row, types::*};
use codec::Encode;
use frame_support::BoundedVec;
use market_mechanism::{Edges, WHOLE_BOND};
use sp_io::TestExternalities;

fn row() -> Row {
    let weights: Vec<(u16, u16)> = [0, 1, 2, 7, 300, 4095].map(|uid| (uid, 513 + uid)).into();
    let (gaps, weights, _) = Edges::default().with_weights(&weights).into_parts();
    let bonds = (1..=6).map(|bond| WHOLE_BOND >> bond).collect();
    let edges = Edges::from_parts(gaps, weights, bonds).unwrap();
    Row::new(Moment { block: 5, call: 3 }, edges)
}

#[test]
fn bonds_are_changed_where_they_lie_and_nothing_else_is() {
    TestExternalities::default().execute_with(|| {
        Rows::<Test>::insert(TEXT, 9, row());
        let mut stored = stored_row::read::<Test>(TEXT, 9).unwrap();
        let columns = stored.columns().unwrap();
        for (bond, expected) in columns.bonds.iter_mut().zip(&row().bonds) {
            assert_eq!(u32::from_le_bytes(*bond), *expected);
            *bond = (expected / 2 + 3).to_le_bytes();
        }
        stored.put_back();
        let bonds = row().bonds.iter().map(|bond| bond / 2 + 3).collect();
        let bonds = BoundedVec::truncate_from(bonds);
        assert_eq!(Rows::<Test>::get(TEXT, 9), Some(Row { bonds, ..row() }));
        assert!(stored_row::read::<Test>(TEXT, 8).is_none());
    });
}

#[test]
fn what_is_no_row_has_no_columns() {
    TestExternalities::default().execute_with(|| {
        let key = Rows::<Test>::hashed_key_for(TEXT, 9);
        let whole = row().encode();
        let columns = |bytes: &[u8]| {
            sp_io::storage::set(&key, bytes);
            let mut stored = stored_row::read::<Test>(TEXT, 9).unwrap();
            stored.columns().is_some()
        };
        assert!(columns(&whole));
        for length in 0..whole.len() {
            assert!(!columns(&whole[..length]), "{length}");
        }
        // A count that is larger than anything, and columns that do not fit each other.
        assert!(!columns(
            &[[0; 8].as_slice(), &[0xfe, 0xff, 0xff, 0xff]].concat()
        ));
        let mut uneven = row();
        uneven.bonds.pop();
        assert!(!columns(&uneven.encode()));
        uneven.weights.pop();
        assert!(!columns(&uneven.encode()));
        uneven.gaps.pop();
        assert!(!columns(&uneven.encode()), "half a wide gap");
    });
}
