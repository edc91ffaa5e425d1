//! Questions about finalized blocks.

use std::fmt;

use market_primitives::{BlockNumber, MarketId, Modality, Uid};
use subxt::{
    dynamic,
    ext::scale_decode::{self, DecodeAsType},
    rpcs::client::rpc_params,
    utils::H256,
};

use crate::{rehearsal::Block, AccountId, Chain, ChainError, MarketError, Metagraph, StateError};

/// The part of `frame_system::AccountInfo` that is needed here.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct AccountInfo {
    data: AccountData,
}

/// The part of `pallet_balances::AccountData` that is needed here.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct AccountData {
    free: u128,
    reserved: u128,
}

/// The part of `frame_system::AccountInfo` by which it is known whether there is such an account.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct References {
    providers: u32,
    sufficients: u32,
}

/// What an account holds itself, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Funds {
    /// What it can spend.
    pub free: u64,
    /// What is on hold, such as an authority's deposit for its session keys.
    pub on_hold: u64,
}

/// The part of a market that tells what it trades.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Listed {
    modality: Trade,
}

/// [`Modality`] as storage has it.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
enum Trade {
    Text,
    Image,
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

impl Chain {
    /// The market as of the last finalized block: one consistent snapshot.
    ///
    /// Fails with [`MarketError::UnknownMarket`] where there is no such market.
    pub async fn metagraph(&self, market: MarketId) -> Result<Metagraph, ChainError> {
        self.metagraph_at_hash(market, None).await
    }

    /// The market as it was after block number `block`, which the node must still keep.
    pub async fn metagraph_at(
        &self,
        market: MarketId,
        block: BlockNumber,
    ) -> Result<Metagraph, ChainError> {
        let hash = self.hash_of(block).await?;
        self.metagraph_at_hash(market, Some(hash)).await
    }

    async fn hash_of(&self, block: BlockNumber) -> Result<H256, ChainError> {
        let number = u64::from(block).into();
        self.ask(self.methods.chain_get_block_hash(Some(number)))
            .await?
            .ok_or_else(|| no_block(block))
    }

    pub(crate) async fn metagraph_at_hash(
        &self,
        market: MarketId,
        hash: Option<H256>,
    ) -> Result<Metagraph, ChainError> {
        let params = match hash {
            Some(hash) => rpc_params![market, hash],
            None => rpc_params![market],
        };
        let found: Option<Metagraph> = self.ask_market("market_metagraph", params).await?;
        found.ok_or(ChainError::Market(MarketError::UnknownMarket))
    }

    /// The row that a neuron had set last after block number `block`, as pairs of uid and weight: also one that waits
    /// for a running epoch to end.
    pub async fn weights_at(
        &self,
        market: MarketId,
        uid: Uid,
        block: BlockNumber,
    ) -> Result<Vec<(Uid, u16)>, ChainError> {
        let hash = self.hash_of(block).await?;
        self.ask_market("market_weights", rpc_params![market, uid, hash])
            .await
    }

    /// Every market as of the last finalized block, in order of its number.
    pub async fn markets(&self) -> Result<Vec<Metagraph>, ChainError> {
        self.markets_at(self.finalized_block().await?).await
    }

    /// Every market as it was after a block, in order of its number.
    pub async fn markets_at(&self, block: BlockNumber) -> Result<Vec<Metagraph>, ChainError> {
        let hash = self.hash_of(block).await?;
        let mut found = Vec::new();
        for market in 0..=MarketId::MAX {
            match self.metagraph_at_hash(market, Some(hash)).await {
                Ok(metagraph) => found.push(metagraph),
                Err(ChainError::Market(MarketError::UnknownMarket)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The market called `name`: its number, or the one of the modality `text`, `image` or `tensor`.
    ///
    /// Fails with [`ChainError::NoSuchMarket`], naming those there are, and with [`ChainError::ManyMarkets`] where
    /// several are of that modality.
    pub async fn find_market(&self, name: &str) -> Result<MarketId, ChainError> {
        let markets = self.modalities().await.map_err(|error| match error {
            StateError::Chain(error) => error,
            other => ChainError::NoAnswer(other.to_string()),
        })?;
        named(name, &markets)
    }

    /// What each market trades as of the last finalized block, in order of its number. Far less than their metagraphs.
    async fn modalities(&self) -> Result<Vec<(MarketId, Modality)>, StateError> {
        let state = self.state_after(self.finalized_block().await?).await?;
        let mut found = Vec::new();
        for market in 0..=MarketId::MAX {
            let Some(listed) = state.value::<Listed>(market, "Markets").await? else {
                break;
            };
            found.push((market, listed.modality.into()));
        }
        Ok(found)
    }

    /// Units that `account` can spend, as of the last finalized block; 0 for an unknown account.
    pub async fn balance(&self, account: AccountId) -> Result<u64, ChainError> {
        Ok(self.funds(account).await?.free)
    }

    /// What `account` holds itself, as of the last finalized block; nothing for an unknown account.
    pub async fn funds(&self, account: AccountId) -> Result<Funds, ChainError> {
        let address = dynamic::storage::<([u8; 32],), AccountInfo>("System", "Account");
        let question = async {
            let block = self.client.at_current_block().await?;
            let value = block.storage().try_fetch(address, (account.0,)).await?;
            let info = value.map(|value| value.decode()).transpose()?;
            Ok::<_, subxt::Error>(info)
        };
        let Some(AccountInfo { data }) = self.ask(question).await? else {
            return Ok(Funds::default());
        };
        let units = |amount: u128| {
            u64::try_from(amount)
                .map_err(|_| ChainError::Unexpected(format!("a balance of {amount} units")))
        };
        Ok(Funds {
            free: units(data.free)?,
            on_hold: units(data.reserved)?,
        })
    }

    /// Whether there is an account after a block: it owns something, or is a hotkey that has a slot.
    pub(crate) async fn has_account(
        &self,
        block: &Block,
        account: [u8; 32],
    ) -> Result<bool, ChainError> {
        let address = dynamic::storage::<([u8; 32],), References>("System", "Account");
        let question = async {
            let value = block.storage().try_fetch(address, (account,)).await?;
            let references = value.map(|value| value.decode()).transpose()?;
            Ok::<_, subxt::Error>(references)
        };
        // Of one that there is not, the answer is of zeros.
        let references = self.ask(question).await?;
        Ok(references.is_some_and(|found| found.providers > 0 || found.sufficients > 0))
    }
}

/// The error of a node that does not have a block.
pub(crate) fn no_block(block: impl fmt::Display) -> ChainError {
    ChainError::NoAnswer(format!(
        "it has no block {block}: wait until it has all blocks, or ask another node"
    ))
}

/// The market of that number, or the one of the modality that people call `name`.
fn named(name: &str, markets: &[(MarketId, Modality)]) -> Result<MarketId, ChainError> {
    let number = name.parse::<MarketId>().ok();
    let numbered = markets.iter().find(|(market, _)| Some(*market) == number);
    if let Some((market, _)) = numbered {
        return Ok(*market);
    }
    let called: Vec<_> = markets
        .iter()
        .filter(|(_, modality)| modality.word() == name)
        .map(|(market, _)| *market)
        .collect();
    match called[..] {
        [market] => Ok(market),
        [] => {
            let offered = markets
                .iter()
                .map(|(market, modality)| format!("{} ({market})", modality.word()));
            let offered: Vec<_> = offered.collect();
            Err(ChainError::NoSuchMarket {
                name: name.into(),
                offered: match offered.is_empty() {
                    true => "none".into(),
                    false => offered.join(", "),
                },
            })
        }
        _ => {
            let numbers: Vec<_> = called.iter().map(MarketId::to_string).collect();
            Err(ChainError::ManyMarkets {
                name: name.into(),
                numbers: numbers.join(", "),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_a_market_only_where_no_other_answers_to_it() {
        let markets = [
            (0, Modality::Text),
            (1, Modality::Image),
            (2, Modality::Tensor),
            (3, Modality::Tensor),
        ];
        assert_eq!(named("image", &markets).unwrap(), 1);
        assert_eq!(named("tensor", &markets[..3]).unwrap(), 2);
        assert_eq!(named("3", &markets).unwrap(), 3);
        for (name, words) in [
            ("tensor", "the numbers 2, 3"),
            ("sound", "text (0), image (1), tensor (2), tensor (3)"),
            ("7", "text (0)"),
        ] {
            let error = named(name, &markets).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = named("text", &[]).unwrap_err().to_string();
        assert!(error.contains("there are none"), "{error}");
    }
}
