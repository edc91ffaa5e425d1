//! Fees: what a transaction pays, tip and all, is its block's author's.

use crate::{AccountId, Balances, Runtime};
use frame_support::traits::{
    fungible::{Balanced, Credit},
    OnUnbalanced,
};

/// Gives what it is given to the author of the block. Where no author is known it is burned.
pub struct ToAuthor;

impl OnUnbalanced<Credit<AccountId, Balances>> for ToAuthor {
    fn on_nonzero_unbalanced(fee: Credit<AccountId, Balances>) {
        if let Some(author) = pallet_authorship::Pallet::<Runtime>::author() {
            // No account is too poor for a unit; what could not be given would be burned.
            let _ = Balances::resolve(&author, fee);
        }
    }
}
