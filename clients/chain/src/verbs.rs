//! What neurons do, a call each: signed, and awaited until the block that holds it is finalized.

use market_primitives::{MarketId, Share, Uid};
use subxt_signer::sr25519::Keypair;

use crate::{find_neuron, AccountId, Call, Chain, ChainError, Hotkey, MarketError, PoolId};

impl Chain {
    /// Takes a slot for `hotkey`, paid for by `coldkey`, which burns at most `max_cost` units.
    ///
    /// Returns the slot. Fails with [`MarketError::CostAboveMaximum`], `MarketFull`,
    /// `AlreadyRegistered`, `InsufficientBalance` or `UnknownMarket`, among others.
    pub async fn register(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        max_cost: u64,
    ) -> Result<Uid, ChainError> {
        let call = Call::Register {
            market,
            hotkey: AccountId(hotkey),
            max_cost,
        };
        let sent = self.send(coldkey, &call).await?;
        let metagraph = self
            .metagraph_at_hash(market, Some(sent.block.into()))
            .await?;
        find_neuron(&metagraph, &hotkey)
            .map(|neuron| neuron.uid)
            .ok_or_else(|| {
                ChainError::Unexpected("registered, and not in the metagraph of that block".into())
            })
    }

    /// Publishes where the neuron of `hotkey` serves, as `host:port`. Costs nothing.
    ///
    /// Fails with [`MarketError::EndpointInvalid`], `NotRegistered` or `ServeTooEarly`.
    pub async fn serve(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        endpoint: &str,
        certificate: Option<[u8; 32]>,
    ) -> Result<(), ChainError> {
        let endpoint = endpoint.into();
        let call = Call::Serve {
            market,
            endpoint,
            certificate,
        };
        self.send(hotkey, &call).await.map(drop)
    }

    /// Sets the row of weights of `hotkey`: pairs of uid and weight, strictly increasing in uid.
    /// Costs nothing.
    ///
    /// Fails with [`MarketError::CommitFirst`] in a market that hides weights,
    /// [`MarketError::WeightsTooEarly`] naming the first block that will take a row, and
    /// with the error of each rule that a row can break.
    pub async fn set_weights(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        weights: &[(Uid, u16)],
    ) -> Result<(), ChainError> {
        let weights = weights.to_vec();
        let call = Call::SetWeights { market, weights };
        self.send(hotkey, &call).await.map(drop)
    }

    /// Commits `hotkey` to a row that it will reveal `reveal_period` epochs later; `hash` is the row's
    /// [`commitment`](crate::commitment). Of the commitments of one epoch the last counts. Costs nothing.
    ///
    /// Fails with [`MarketError::WeightsInTheClear`] in a market that hides nothing, and with
    /// `WeightsTooEarly` within the rate limit since the last commitment.
    pub async fn commit_weights(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        hash: [u8; 32],
    ) -> Result<(), ChainError> {
        let call = Call::CommitWeights { market, hash };
        self.send(hotkey, &call).await.map(drop)
    }

    /// Shows the row that `hotkey` committed to; it counts as set when it was committed to. Costs nothing.
    ///
    /// Fails with [`MarketError::RevealTooEarly`] before the epoch in which it is due, `RevealTooLate`
    /// after it, `NothingCommitted` where row and salt are not what was committed to, or were revealed
    /// already, and with the error of each rule that a row can break.
    pub async fn reveal_weights(
        &self,
        hotkey: &Keypair,
        market: MarketId,
        weights: &[(Uid, u16)],
        salt: [u8; 32],
    ) -> Result<(), ChainError> {
        let weights = weights.to_vec();
        let call = Call::RevealWeights {
            market,
            weights,
            salt,
        };
        self.send(hotkey, &call).await.map(drop)
    }

    /// Moves `amount` units from `coldkey` into the slot of its `hotkey`.
    pub async fn add_stake(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        amount: u64,
    ) -> Result<(), ChainError> {
        let hotkey = AccountId(hotkey);
        let call = Call::AddStake {
            market,
            hotkey,
            amount,
        };
        self.send(coldkey, &call).await.map(drop)
    }

    /// Moves `amount` units from the slot of `hotkey` back to its `coldkey`.
    pub async fn remove_stake(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        amount: u64,
    ) -> Result<(), ChainError> {
        let hotkey = AccountId(hotkey);
        let call = Call::RemoveStake {
            market,
            hotkey,
            amount,
        };
        self.send(coldkey, &call).await.map(drop)
    }

    /// Buys shares of the pool behind `hotkey` for `amount` units of `delegator` at most: whole shares, for what
    /// they cost.
    ///
    /// Fails with [`MarketError::DelegationTooSmall`], `EpochRunning`, `NotRegistered` or `InsufficientBalance`,
    /// among others.
    pub async fn delegate(
        &self,
        delegator: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        amount: u64,
    ) -> Result<(), ChainError> {
        let hotkey = AccountId(hotkey);
        let call = Call::Delegate {
            market,
            hotkey,
            amount,
        };
        self.send(delegator, &call).await.map(drop)
    }

    /// Sells `shares` of a pool that `delegator` holds, for what they are worth, whether or not its neuron is
    /// still there.
    ///
    /// Fails with [`MarketError::InsufficientShares`], or with `DelegationTooSmall` where too little would be left.
    pub async fn undelegate(
        &self,
        delegator: &Keypair,
        pool: PoolId,
        shares: u64,
    ) -> Result<(), ChainError> {
        let call = Call::Undelegate { pool, shares };
        self.send(delegator, &call).await.map(drop)
    }

    /// Sets what `coldkey` takes of what others' units earn behind its `hotkey`: a lower take from now on, a
    /// higher one after the notice of [`Chain::pool_terms`].
    ///
    /// Fails with [`MarketError::TakeTooHigh`], `NotOwner` or `NotRegistered`.
    pub async fn set_take(
        &self,
        coldkey: &Keypair,
        market: MarketId,
        hotkey: Hotkey,
        take: Share,
    ) -> Result<(), ChainError> {
        let hotkey = AccountId(hotkey);
        let call = Call::SetTake {
            market,
            hotkey,
            take,
        };
        self.send(coldkey, &call).await.map(drop)
    }

    /// A refusal that names the block in which the same call will be taken, where that can be found out.
    pub(crate) async fn date(&self, error: ChainError, call: &Call, signer: Hotkey) -> ChainError {
        let (
            ChainError::Market(MarketError::WeightsTooEarly { .. }),
            Call::SetWeights { market, .. },
        ) = (&error, call)
        else {
            return error;
        };
        let Ok(metagraph) = self.metagraph(*market).await else {
            return error;
        };
        let rate = metagraph.rules.weights_rate_limit;
        let last = find_neuron(&metagraph, &signer).and_then(|neuron| neuron.last_update);
        let next = last.map(|block| block.saturating_add(rate));
        MarketError::WeightsTooEarly { next }.into()
    }
}
