//! Markets of machine intelligence: registration, stake, weights, bonds, epoch and emission.
//!
//! A *market* has slots; a slot holds a *neuron*, which is a hotkey that serves and sets weights and
//! a coldkey that owns and pays. Every `tempo` blocks the pallet hands stake, weights and bonds to
//! [`market_mechanism`], which computes rank, trust, consensus, incentive, dividends and pay. What the
//! pallet computes itself is the price of a slot and the schedule of issuance.
//!
//! Modules by domain: [`registration`] (slots and their price), [`serving`] (endpoints), [`staking`], [`delegation`] (others' stake) and [`pools`] (how it is kept),
//! [`weight_setting`], [`epoch`], [`running`] (an epoch between two blocks), [`recovery`] (an epoch whose state was lost),
//! [`issuance`] (how much may be minted), [`governance`] (markets and their rules), [`snapshot`] (what clients read), [`extension`] (what the transaction pool refuses) and [`invariants`].

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod bounds;
pub mod delegation;
pub mod epoch;
pub mod extension;
pub mod governance;
pub mod invariants;
pub mod issuance;
pub mod migrations;
pub mod parameters;
pub mod pools;
pub mod recovery;
pub mod registration;
pub mod running;
pub mod serving;
pub mod snapshot;
pub mod staking;
mod stored_row;
pub mod types;
pub mod weight_setting;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use bounds::{OutOfBounds, MAX_TEMPO};
pub use extension::CheckMarketCall;
pub use pallet::*;
pub use parameters::Parameters;
pub use pools::MAX_TAKE;
pub use weights::WeightInfo;

/// The pallet.
// The macros generate items that no comment of ours can reach.
#[allow(missing_docs)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use crate::{pools::*, running::*, types::*};
    use alloc::vec::Vec;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{Inspect, Mutate},
            BuildGenesisConfig,
        },
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use market_primitives::{BlockNumber, MarketId, Metagraph, Modality, Share, SignedShare, Uid};

    /// What the runtime decides.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>, Hash: Default> {
        /// Who creates markets and sets their parameters.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The currency that is staked, burned and minted.
        type Currency: Inspect<Self::AccountId, Balance = u128> + Mutate<Self::AccountId>;
        /// Measured weights of the calls and of the epoch.
        type WeightInfo: WeightInfo;
        /// Most markets there can be.
        #[pallet::constant]
        type MaxMarkets: Get<MarketId>;
        /// What epochs may take of a block, all markets together.
        #[pallet::constant]
        type EpochBudget: Get<Weight>;
        /// Names the one account that holds all stake.
        #[pallet::constant]
        type PalletId: Get<PalletId>;
        /// Units minted by a block before the first halving, for all markets together.
        #[pallet::constant]
        type BlockReward: Get<u64>;
        /// Units of which a delegation is at least.
        #[pallet::constant]
        type MinDelegation: Get<u64>;
        /// Blocks from the announcement of a higher take until it holds.
        #[pallet::constant]
        type TakeNotice: Get<BlockNumber>;
        /// Blocks from one halving of the reward to the next.
        #[pallet::constant]
        type HalvingInterval: Get<BlockNumber>;
    }

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(2);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// The markets: what each trades, its share of the emission and its parameters.
    #[pallet::storage]
    pub type Markets<T> = StorageMap<_, Identity, MarketId, Market>;

    /// What governance decided for a market and its next epoch brings into force.
    #[pallet::storage]
    pub type PendingRules<T> = StorageMap<_, Identity, MarketId, Rules>;

    /// What the division of the emission left over for each market, in parts of 10^-18 units; its next epoch
    /// gets it.
    #[pallet::storage]
    pub type EmissionRemainders<T> = StorageMap<_, Identity, MarketId, u64, ValueQuery>;

    /// The slots of each market by uid, free ones included: stake, and since when they are taken.
    /// The pallet's account holds exactly the sum of all stake and of what lies in closed pools.
    #[pallet::storage]
    pub type Slots<T> = StorageMap<_, Identity, MarketId, BySlot<Option<Slot>>, ValueQuery>;

    /// What others have put behind the neurons of each market, and on what terms. It is a part of the stake in
    /// their slots.
    #[pallet::storage]
    pub type Pools<T> = StorageMap<_, Identity, MarketId, PoolsBySlot, ValueQuery>;

    /// Where each pool is of which there are shares. What lies in a closed one lies in no slot.
    #[pallet::storage]
    pub type PoolPlaces<T> = StorageMap<_, Identity, PoolId, PoolPlace>;

    /// How many shares of a pool a delegator holds.
    #[pallet::storage]
    pub type Delegations<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, PoolId, u64, ValueQuery>;

    /// How many pools there have been.
    #[pallet::storage]
    pub type PoolCount<T> = StorageValue<_, PoolId, ValueQuery>;

    /// The keys of the neuron in each taken slot.
    #[pallet::storage]
    pub type Neurons<T: Config> =
        StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Neuron<T::AccountId>>;

    /// The slot of each hotkey.
    #[pallet::storage]
    pub type Uids<T: Config> =
        StorageDoubleMap<_, Identity, MarketId, Blake2_128Concat, T::AccountId, Uid>;

    /// Where each neuron serves.
    #[pallet::storage]
    pub type Endpoints<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Endpoint>;

    /// The weights that each neuron set last, and the bonds that it holds.
    #[pallet::storage]
    pub type Rows<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Row>;

    /// What the bonds in each neuron come to, by uid.
    #[pallet::storage]
    pub type Columns<T> = StorageMap<_, Identity, MarketId, BySlot<Column>, ValueQuery>;

    /// The block in which each neuron last set weights; of weights shown after a commitment, that of
    /// the commitment.
    #[pallet::storage]
    pub type LastUpdates<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, BlockNumber>;

    /// Rows that are promised and not yet shown, in the order in which they were promised.
    #[pallet::storage]
    pub type Commitments<T> = StorageDoubleMap<
        _,
        Identity,
        MarketId,
        Identity,
        Uid,
        BoundedVec<Commitment, MaxCommitments>,
        ValueQuery,
    >;

    /// What the last finished epoch gave each neuron, by uid.
    #[pallet::storage]
    pub type Outcomes<T> = StorageMap<_, Identity, MarketId, BySlot<Outcome>, ValueQuery>;

    /// What the last epoch that minted anything paid each neuron, by uid, for as long as none has since: by that one
    /// gives way to a newcomer. Nothing where the last epoch minted, since `Outcomes` has it then.
    #[pallet::storage]
    pub type Standings<T> = StorageMap<_, Identity, MarketId, BySlot<u64>>;

    /// The last finished epoch of each market.
    #[pallet::storage]
    pub type Epochs<T> = StorageMap<_, Identity, MarketId, EpochSummary, ValueQuery>;

    /// Where the running epoch of each market is; nothing where none is.
    #[pallet::storage]
    pub type EpochCursors<T> = StorageMap<_, Identity, MarketId, Cursor>;

    /// Of a running epoch: the market as it was when it began.
    #[pallet::storage]
    pub type EpochViews<T> = StorageMap<_, Identity, MarketId, View>;

    /// Of a running epoch: the votes counted so far.
    #[pallet::storage]
    pub type EpochVotes<T> = StorageMap<_, Identity, MarketId, Votes>;

    /// Of a running epoch: what the votes said, when they are counted.
    #[pallet::storage]
    pub type EpochVerdicts<T> = StorageMap<_, Identity, MarketId, Verdict>;

    /// Of a running epoch: what dividends come to so far, by uid, in units of 2^-62.
    #[pallet::storage]
    pub type EpochDividends<T> = StorageMap<_, Identity, MarketId, BySlot<u64>, ValueQuery>;

    /// Of a running epoch: what the bonds in each neuron come to so far.
    #[pallet::storage]
    pub type NextColumns<T> = StorageMap<_, Identity, MarketId, BySlot<Column>, ValueQuery>;

    /// Of a running epoch: rows of weights that came before it was done with the old ones.
    #[pallet::storage]
    pub type Arrivals<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Arrival>;

    /// Of a running epoch: the uids that left, and the coldkeys to which their pay goes.
    #[pallet::storage]
    pub type Departures<T: Config> = StorageMap<
        _,
        Identity,
        MarketId,
        BoundedVec<(Uid, T::AccountId), MaxDepartures>,
        ValueQuery,
    >;

    /// The price of the last registration and when it was paid; it falls from there on.
    #[pallet::storage]
    pub type RegistrationPrices<T> = StorageMap<_, Identity, MarketId, RegistrationPrice>;

    /// Units minted since genesis; the invariants hold them against the schedule.
    #[pallet::storage]
    pub type TotalMinted<T> = StorageValue<_, u64, ValueQuery>;

    /// The markets that exist from the first block on.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// In order of their ids.
        pub markets: Vec<Market>,
        #[serde(skip)]
        pub _phantom: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        fn build(&self) {
            assert!(
                self.markets.len() <= usize::from(T::MaxMarkets::get()),
                "genesis has more markets than the runtime allows (MaxMarkets)"
            );
            assert!(
                T::Currency::total_balance(&Pallet::<T>::stake_account()) == 0,
                "the genesis endows the account that holds all stake; stake goes in by add_stake"
            );
            for (id, market) in (0..).zip(&self.markets) {
                if let Err(out) = market.parameters.validate() {
                    panic!("genesis market {id}: {}", out.reason());
                }
                Markets::<T>::insert(id, market);
            }
            assert!(
                Pallet::<T>::assigned_emission(None) <= u128::from(market_mechanism::ONE),
                "the emission shares of the genesis markets exceed one"
            );
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A neuron took a slot; its coldkey burned `cost` units.
        Registered {
            market: MarketId,
            uid: Uid,
            hotkey: T::AccountId,
            coldkey: T::AccountId,
            cost: u64,
        },
        /// A neuron published where it serves.
        Serving { market: MarketId, uid: Uid },
        /// A neuron set a row of weights.
        WeightsSet {
            market: MarketId,
            uid: Uid,
            edges: u16,
        },
        /// A neuron left its slot; its owner's `stake` went back to its coldkey.
        Deregistered {
            market: MarketId,
            uid: Uid,
            hotkey: T::AccountId,
            coldkey: T::AccountId,
            stake: u64,
        },
        /// Another hotkey speaks for a neuron.
        HotkeySwapped {
            market: MarketId,
            uid: Uid,
            old: T::AccountId,
            new: T::AccountId,
        },
        /// A neuron committed to a row of weights.
        WeightsCommitted {
            market: MarketId,
            uid: Uid,
            hash: [u8; 32],
        },
        /// Units went from a coldkey into a slot.
        StakeAdded {
            market: MarketId,
            uid: Uid,
            amount: u64,
        },
        /// Units went from a slot back to its coldkey.
        StakeRemoved {
            market: MarketId,
            uid: Uid,
            amount: u64,
        },
        /// Somebody bought shares of the pool behind a neuron, for `amount` units.
        Delegated {
            market: MarketId,
            uid: Uid,
            pool: PoolId,
            delegator: T::AccountId,
            shares: u64,
            amount: u64,
        },
        /// Somebody sold shares of a pool, for `amount` units.
        Undelegated {
            pool: PoolId,
            delegator: T::AccountId,
            shares: u64,
            amount: u64,
        },
        /// The neuron of a pool left its slot. The pool earns no more; `undelegate` gives back what lies in it.
        PoolClosed {
            market: MarketId,
            uid: Uid,
            pool: PoolId,
            value: u64,
        },
        /// The owner of a neuron set the part that it takes of what its pool earns. It holds for epochs that
        /// begin in block `from` or later.
        TakeSet {
            market: MarketId,
            uid: Uid,
            take: Share,
            from: BlockNumber,
        },
        /// An epoch was finished. `minted` is 0 where the market was not in consensus, unless its
        /// `consensus_gate` is off.
        EpochFinished {
            market: MarketId,
            epoch: u64,
            loss: SignedShare,
            in_consensus: bool,
            minted: u64,
        },
        /// An epoch was given up, since what was kept of it between two blocks cannot be read. It paid
        /// nobody.
        EpochDropped { market: MarketId, epoch: u64 },
        /// Governance opened a market.
        MarketCreated {
            market: MarketId,
            modality: Modality,
            emission_share: Share,
        },
        /// Governance decided on rules of a market (`PendingRules`), which its next epoch brings into force.
        ParametersScheduled { market: MarketId },
        /// Rules that governance had decided on are in force, from this block on.
        ParametersSet { market: MarketId },
    }

    /// Why a call was refused. The first sentences are shown by wallets, so each says what to do.
    ///
    /// The transaction pool refuses free calls with `InvalidTransaction::Custom(i)`, `i` the index
    /// of the error in this list.
    #[pallet::error]
    pub enum Error<T> {
        /// No market has this id: read the markets that exist from `Markets`.
        UnknownMarket,
        /// This hotkey has no slot in this market: register it first.
        NotRegistered,
        /// A row was set too recently: wait for `weights_rate_limit` blocks after the last one.
        WeightsTooEarly,
        /// The endpoint was changed too recently: wait for `weights_rate_limit` blocks.
        ServeTooEarly,
        /// The row has more edges than the market has neurons: send one edge a uid at most.
        TooManyWeights,
        /// The row has fewer edges than `min_weights`: add positive weights.
        TooFewWeights,
        /// Uids must strictly increase: sort them and remove duplicates.
        WeightsUnsorted,
        /// The row names a uid whose slot is empty: read the metagraph again.
        UnknownUid,
        /// All weights are zero: at least one must be positive.
        AllWeightsZero,
        /// One edge has more than `max_weight` of the row: spread the weights.
        WeightTooLarge,
        /// This market does not count weights on oneself: leave your own uid out.
        SelfWeight,
        /// The endpoint is not a printable `host:port` of at most 128 bytes.
        EndpointInvalid,
        /// All slots are taken, and by neurons that cannot be replaced yet (`immunity`): try later.
        MarketFull,
        /// This hotkey already has a slot in this market.
        AlreadyRegistered,
        /// A registration costs more than `max_cost` now: wait until it falls or offer more.
        CostAboveMaximum,
        /// Only the coldkey that registered the neuron moves its stake or gives up or changes its key.
        NotOwner,
        /// The slot holds less stake of its owner's than that: take out less.
        InsufficientStake,
        /// The account's free balance does not suffice.
        InsufficientBalance,
        /// The amount must be positive.
        AmountZero,
        /// This market hides weights: call `commit_weights`, and `reveal_weights` `reveal_period`
        /// epochs later.
        CommitFirst,
        /// This market takes weights in the clear: call `set_weights`.
        WeightsInTheClear,
        /// No commitment of this neuron waits for this row and salt: show what was committed to.
        NothingCommitted,
        /// Weights are shown `reveal_period` epochs after the commitment: wait for that epoch.
        RevealTooEarly,
        /// The epoch in which this row was to be shown is over: commit to a new one.
        RevealTooLate,
        /// While an epoch is running nobody delegates, and only so many neurons leave: try again a few blocks
        /// later.
        EpochRunning,
        /// A delegation is of at least `MinDelegation` units, and of one share: offer more. Who takes out a part
        /// must leave as much: take out less, or all.
        DelegationTooSmall,
        /// You hold fewer shares of this pool than that: read `Delegations`.
        InsufficientShares,
        /// A take is at most 18 %, that is 180000000000000000 parts of 10^18: set a lower one.
        TakeTooHigh,
        /// There are as many markets as there can be (`MaxMarkets`): change one that exists.
        TooManyMarkets,
        /// `emission_share`: those of all markets, with those that are scheduled, would exceed 1. Offer no
        /// more than the others leave, or lower one of theirs first and wait for its next epoch.
        EmissionShareOutOfBounds,
        /// `rho` must be above 0 and at most 100, in parts of 10^9.
        RhoOutOfBounds,
        /// `kappa` must be between 0 and 1, in parts of 10^18.
        KappaOutOfBounds,
        /// `lambda` must be between 0 and 1, in parts of 10^18.
        LambdaOutOfBounds,
        /// `alpha` must be between 0 and 1, in parts of 10^18.
        AlphaOutOfBounds,
        /// `trust_threshold` must be between 0 and 1, in parts of 10^18.
        TrustThresholdOutOfBounds,
        /// `quorum` must be between 0 and 1, in parts of 10^18.
        QuorumOutOfBounds,
        /// `tempo` must be 1 to 100800 blocks.
        TempoOutOfBounds,
        /// `capacity` must be 1 to 4096, and that of a market never falls.
        CapacityOutOfBounds,
        /// `min_weights` must be below `capacity`.
        MinWeightsOutOfBounds,
        /// `max_weight` must be at least 1 / `capacity` and at most 1, in parts of 10^18.
        MaxWeightOutOfBounds,
        /// `weights_rate_limit` must be 1 to `activity_cutoff` blocks.
        WeightsRateLimitOutOfBounds,
        /// `activity_cutoff` must be at least (`reveal_period` + 1) * `tempo` blocks.
        ActivityCutoffOutOfBounds,
        /// `reveal_period` must be at most 10 epochs.
        RevealPeriodOutOfBounds,
        /// `registration_cost` must be at most 21 million NOE.
        RegistrationCostOutOfBounds,
        /// `registration_cost_floor` must be at least 4 units and at most `registration_cost`.
        RegistrationCostFloorOutOfBounds,
        /// `response_dim` must be 1 to 65536.
        ResponseDimOutOfBounds,
    }

    #[pallet::extra_constants]
    impl<T: Config> Pallet<T> {
        /// The largest take, and that of an owner who has set none.
        #[pallet::constant_name(MaxTake)]
        fn max_take() -> Share {
            MAX_TAKE
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        /// Runs the epochs that are due or running, as far as the budget of a block goes.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            Self::run_epochs(now.into())
        }

        fn integrity_test() {
            assert!(
                T::HalvingInterval::get() > 0,
                "the reward must halve at some time"
            );
            let slots = market_primitives::MAX_CAPACITY.into();
            let pieces = [
                T::WeightInfo::epoch_count_row(slots),
                T::WeightInfo::epoch_verdict(slots),
                T::WeightInfo::epoch_renew_row(slots * 2), // and what arrived meanwhile
                T::WeightInfo::epoch_finish(slots),
            ];
            let taken_up =
                T::WeightInfo::epoch_begin(slots).max(T::WeightInfo::epoch_resume(slots));
            for piece in pieces {
                assert!(
                    taken_up
                        .saturating_mul(2)
                        .saturating_add(piece)
                        .all_lte(T::EpochBudget::get()),
                    "an epoch of the largest market would never end: EpochBudget is too small"
                );
            }
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_invariants()
        }
    }

    /// What clients read. The runtime's API answers with the same.
    #[pallet::view_functions]
    impl<T: Config> Pallet<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        /// The results of the last finished epoch of a market and its neurons as they stand; `None`
        /// where there is no such market.
        pub fn metagraph(market: MarketId) -> Option<Metagraph<T::AccountId>> {
            Self::read_metagraph(market)
        }

        /// One neuron as in the metagraph; `None` where there is no such market or the slot is free.
        pub fn neuron(
            market: MarketId,
            uid: Uid,
        ) -> Option<market_primitives::Neuron<T::AccountId>> {
            Self::read_neuron(market, uid)
        }

        /// The row of weights that a neuron set last, as pairs of uid and weight in rising order of uid;
        /// `None` where there is no such neuron.
        pub fn weights(market: MarketId, uid: Uid) -> Option<Vec<(Uid, u16)>> {
            Self::read_weights(market, uid)
        }

        /// The bonds that a neuron holds, as pairs of uid and its share of all bonds in that neuron;
        /// `None` where there is no such neuron.
        pub fn bonds(market: MarketId, uid: Uid) -> Option<Vec<(Uid, Share)>> {
            Self::read_bonds(market, uid)
        }

        /// All rules of a market; `None` where there is no such market.
        pub fn parameters(market: MarketId) -> Option<Parameters> {
            Some(Markets::<T>::get(market)?.parameters)
        }

        /// All that governance decides for a market, and what of it waits for the next epoch; `None` where
        /// there is no such market.
        pub fn governance(market: MarketId) -> Option<market_primitives::Governance<Parameters>> {
            Self::read_governance(market)
        }

        /// Units that a registration costs now; `None` where there is no such market.
        pub fn registration_cost(market: MarketId) -> Option<u64> {
            let parameters = Markets::<T>::get(market)?.parameters;
            Some(Self::cost_in_block(market, &parameters, Self::now()))
        }

        /// What the metagraph will be after the running epoch, or else the next, if nothing changes
        /// until then; of an epoch that is overdue as if it came at the next boundary. `None` where there
        /// is no such market.
        pub fn preview_epoch(market: MarketId) -> Option<Metagraph<T::AccountId>> {
            Self::read_preview(market)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        /// Burns the current registration cost, never more than `max_cost`, from the signing
        /// coldkey and takes a slot of `market` for `hotkey`: a free one, or in a full market that of
        /// the neuron outside immunity that was paid least by the last epoch that paid anybody, whose
        /// owner's stake goes back to its coldkey.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register())]
        pub fn register(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
            max_cost: u128,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_register(market, hotkey, coldkey, max_cost)
        }

        /// Publishes where the signing hotkey serves: `host:port`, and the BLAKE3 fingerprint of its
        /// TLS certificate where it has one. Free within the rate limit.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::serve())]
        #[pallet::feeless_if(|origin: &OriginFor<T>, market: &MarketId, _: &Vec<u8>, _: &Option<[u8; 32]>| -> bool { Pallet::<T>::is_registered(origin, *market) })]
        pub fn serve(
            origin: OriginFor<T>,
            market: MarketId,
            endpoint: Vec<u8>,
            certificate: Option<[u8; 32]>,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_serve(market, hotkey, endpoint, certificate)
        }

        /// Replaces the signing hotkey's row of weights: pairs of uid and weight, uids strictly
        /// increasing. Only proportions count. Free within the rate limit.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::set_weights(weights.len() as u32))]
        #[pallet::feeless_if(|origin: &OriginFor<T>, market: &MarketId, _: &Vec<(Uid, u16)>| -> bool { Pallet::<T>::is_registered(origin, *market) })]
        pub fn set_weights(
            origin: OriginFor<T>,
            market: MarketId,
            weights: Vec<(Uid, u16)>,
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_set_weights(market, hotkey, weights)
        }

        /// Moves `amount` units from the signing coldkey's balance into its neuron's slot.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::add_stake())]
        pub fn add_stake(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
            amount: u128,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_add_stake(market, hotkey, coldkey, amount)
        }

        /// Moves `amount` units from the slot of the signing coldkey's neuron back to its balance.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::remove_stake())]
        pub fn remove_stake(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
            amount: u128,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_remove_stake(market, hotkey, coldkey, amount)
        }

        /// Gives up the slot of the signing coldkey's neuron. Its own stake goes back to the coldkey; what
        /// the registration cost does not.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::deregister())]
        pub fn deregister(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_deregister(market, hotkey, coldkey)
        }

        /// Lets another hotkey speak for the signing coldkey's neuron, which keeps all that it has.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::swap_hotkey())]
        pub fn swap_hotkey(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
            new_hotkey: T::AccountId,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_swap_hotkey(market, hotkey, new_hotkey, coldkey)
        }

        /// Commits the signing hotkey to a row of weights that it will reveal `reveal_period` epochs
        /// later: `hash` is the BLAKE2b-256 hash of the SCALE encoding of market, uid, row and salt.
        /// Free within the rate limit.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::commit_weights())]
        #[pallet::feeless_if(|origin: &OriginFor<T>, market: &MarketId, _: &[u8; 32]| -> bool { Pallet::<T>::is_registered(origin, *market) })]
        pub fn commit_weights(
            origin: OriginFor<T>,
            market: MarketId,
            hash: [u8; 32],
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_commit_weights(market, hotkey, hash)
        }

        /// Shows the row of weights that the signing hotkey committed to `reveal_period` epochs ago.
        /// It counts as set when it was committed to. Free.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::reveal_weights(weights.len() as u32))]
        #[pallet::feeless_if(|origin: &OriginFor<T>, market: &MarketId, _: &Vec<(Uid, u16)>, _: &[u8; 32]| -> bool { Pallet::<T>::is_registered(origin, *market) })]
        pub fn reveal_weights(
            origin: OriginFor<T>,
            market: MarketId,
            weights: Vec<(Uid, u16)>,
            salt: [u8; 32],
        ) -> DispatchResult {
            let hotkey = ensure_signed(origin)?;
            Self::do_reveal_weights(market, hotkey, weights, salt)
        }

        /// Opens a market, from this block on. Its share of the emission must be one that the others leave.
        /// By governance.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::create_market(T::MaxMarkets::get().into()))]
        pub fn create_market(origin: OriginFor<T>, market: Market) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Self::do_create_market(market)
        }

        /// Decides on a market's share of the emission and its parameters, from its next epoch on: the
        /// block in which that begins is the first under them, and what that pays for the last one without.
        /// Takes the place of what was decided before and is not in force. By governance.
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::set_parameters(T::MaxMarkets::get().into()))]
        pub fn set_parameters(
            origin: OriginFor<T>,
            market: MarketId,
            emission_share: Share,
            parameters: Parameters,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Self::do_set_parameters(
                market,
                Rules {
                    emission_share,
                    parameters,
                },
            )
        }

        /// Buys shares of the pool behind `hotkey` for at most `amount` units of the signing account's balance:
        /// whole shares, for what they cost. They count as the neuron's stake, and earn of its dividends
        /// what they are a part of its stake, less the owner's take.
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::delegate())]
        pub fn delegate(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
            amount: u128,
        ) -> DispatchResult {
            let delegator = ensure_signed(origin)?;
            Self::do_delegate(market, hotkey, delegator, amount)
        }

        /// Sells shares of a pool that the signing account holds (`Delegations`), for what they are worth now.
        /// It does not matter whether the neuron is still there.
        #[pallet::call_index(12)]
        #[pallet::weight(T::WeightInfo::undelegate())]
        pub fn undelegate(origin: OriginFor<T>, pool: PoolId, shares: u64) -> DispatchResult {
            let delegator = ensure_signed(origin)?;
            Self::do_undelegate(pool, delegator, shares)
        }

        /// Sets the part that the signing coldkey takes of what others' units earn behind its neuron, at most
        /// 18 %, in parts of 10^18: a lower one from now on, a higher one `TakeNotice` blocks from now. Takes the
        /// place of one that was announced.
        #[pallet::call_index(13)]
        #[pallet::weight(T::WeightInfo::set_take())]
        pub fn set_take(
            origin: OriginFor<T>,
            market: MarketId,
            hotkey: T::AccountId,
            take: Share,
        ) -> DispatchResult {
            let coldkey = ensure_signed(origin)?;
            Self::do_set_take(market, hotkey, coldkey, take)
        }
    }
}
