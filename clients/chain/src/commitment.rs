//! What is committed to before a row of weights is shown.

use market_primitives::{MarketId, Uid};
use subxt::{
    config::{substrate::BlakeTwo256, Hasher},
    ext::codec::Encode,
};

/// What a neuron commits to: the BLAKE2b-256 hash of the SCALE encoding of market, uid, row and salt.
///
/// The pallet computes the same; both sides' tests hold one vector. The salt must be fresh and random:
/// rows are few enough to be guessed.
pub fn commitment(market: MarketId, uid: Uid, weights: &[(Uid, u16)], salt: &[u8; 32]) -> [u8; 32] {
    BlakeTwo256
        .hash(&(market, uid, weights, salt).encode())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pallet_computes_the_same() {
        let salt = std::array::from_fn(|place| place as u8);
        let hash = commitment(1, 2, &[(0, 65_535), (3, 1), (258, 772)], &salt);
        // As in the pallet's tests (reveal.rs) and as Python's hashlib has it.
        let expected = "34b4a712a19856c2e2217d274018cdc741dd26ee06e5e7ece7f85132081f1fd0";
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, expected);
    }
}
