//! Markets of machine intelligence: registration, stake, weights, bonds, epoch and emission.
//!
//! A *market* has slots; a slot holds a *neuron*, which is a hotkey that serves and sets weights and
//! a coldkey that owns and pays. Every `tempo` blocks the pallet hands stake, weights and bonds to
//! [`market_mechanism`], which computes rank, trust, consensus, incentive, dividends and pay. What the
//! pallet computes itself is the price of a slot and the schedule of issuance.
//!
//! Modules by domain: [`registration`] (slots and their price), [`serving`] (endpoints), [`staking`],
//! [`weight_setting`], [`epoch`], [`issuance`] (how much may be minted), [`snapshot`] (what clients
//! read), [`extension`] (what the transaction pool refuses) and [`invariants`].

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod epoch;
pub mod extension;
pub mod invariants;
pub mod issuance;
pub mod parameters;
pub mod registration;
pub mod serving;
pub mod snapshot;
pub mod staking;
pub mod types;
pub mod weight_setting;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use extension::CheckMarketCall;
pub use pallet::*;
pub use parameters::Parameters;
pub use weights::WeightInfo;

/// The pallet.
// The macros generate items that no comment of ours can reach.
#[allow(missing_docs)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use crate::types::*;
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
    use market_primitives::{BlockNumber, MarketId, SignedShare, Uid};

    /// What the runtime decides.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>, Hash: Default> {
        /// The currency that is staked, burned and minted.
        type Currency: Inspect<Self::AccountId, Balance = u128> + Mutate<Self::AccountId>;
        /// Measured weights of the calls and of the epoch.
        type WeightInfo: WeightInfo;
        /// Most markets there can be.
        #[pallet::constant]
        type MaxMarkets: Get<MarketId>;
        /// Names the one account that holds all stake.
        #[pallet::constant]
        type PalletId: Get<PalletId>;
        /// Units minted by a block before the first halving, for all markets together.
        #[pallet::constant]
        type BlockReward: Get<u64>;
        /// Blocks from one halving of the reward to the next.
        #[pallet::constant]
        type HalvingInterval: Get<BlockNumber>;
    }

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// The markets: what each trades, its share of the emission and its parameters.
    #[pallet::storage]
    pub type Markets<T> = StorageMap<_, Identity, MarketId, Market>;

    /// How many slots of a market are taken; they are the uids below this number.
    #[pallet::storage]
    pub type NeuronCount<T> = StorageMap<_, Identity, MarketId, Uid, ValueQuery>;

    /// The neuron in each slot.
    #[pallet::storage]
    pub type Slots<T: Config> =
        StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Slot<T::AccountId>>;

    /// The slot of each hotkey.
    #[pallet::storage]
    pub type Uids<T: Config> =
        StorageDoubleMap<_, Identity, MarketId, Blake2_128Concat, T::AccountId, Uid>;

    /// Where each neuron serves.
    #[pallet::storage]
    pub type Endpoints<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Endpoint>;

    /// Units of stake in each slot. The pallet's account holds exactly their sum.
    #[pallet::storage]
    pub type Stakes<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, u64, ValueQuery>;

    /// The row of weights that each neuron set last.
    #[pallet::storage]
    pub type Weights<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, WeightRow>;

    /// The bonds that each neuron holds.
    #[pallet::storage]
    pub type Bonds<T> = StorageDoubleMap<_, Identity, MarketId, Identity, Uid, BondRow, ValueQuery>;

    /// What the last finished epoch gave each neuron.
    #[pallet::storage]
    pub type Outcomes<T> =
        StorageDoubleMap<_, Identity, MarketId, Identity, Uid, Outcome, ValueQuery>;

    /// The last finished epoch of each market.
    #[pallet::storage]
    pub type Epochs<T> = StorageMap<_, Identity, MarketId, EpochSummary, ValueQuery>;

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
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                self.markets.len() <= usize::from(T::MaxMarkets::get()),
                "genesis has more markets than the runtime allows (MaxMarkets)"
            );
            assert!(
                T::Currency::total_balance(&Pallet::<T>::stake_account()) == 0,
                "the genesis endows the account that holds all stake; stake goes in by add_stake"
            );
            let mut shares = 0u128;
            for (id, market) in (0..).zip(&self.markets) {
                if let Err(reason) = market.parameters.validate() {
                    panic!("genesis market {id}: {reason}");
                }
                shares = shares.saturating_add(u128::from(market.emission_share.0));
                Markets::<T>::insert(id, market);
            }
            assert!(
                shares <= u128::from(market_mechanism::ONE),
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
        /// An epoch was finished. `minted` is 0 where the market was not in consensus.
        EpochFinished {
            market: MarketId,
            epoch: u64,
            loss: SignedShare,
            in_consensus: bool,
            minted: u64,
        },
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
        /// All slots of this market are taken: choose another market.
        MarketFull,
        /// This hotkey already has a slot in this market.
        AlreadyRegistered,
        /// A registration costs more than `max_cost` now: wait until it falls or offer more.
        CostAboveMaximum,
        /// Only the coldkey that registered the neuron moves its stake.
        NotOwner,
        /// The slot holds less stake than that.
        InsufficientStake,
        /// The account's free balance does not suffice.
        InsufficientBalance,
        /// The amount must be positive.
        AmountZero,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        /// Runs the epoch of every market that is due, on what stood at the end of the last block.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            Self::run_due_epochs(now.into())
        }

        fn integrity_test() {
            assert!(
                T::HalvingInterval::get() > 0,
                "the reward must halve at some time"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_invariants()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T>
    where
        BlockNumberFor<T>: Into<u32>,
    {
        /// Burns the current registration cost, never more than `max_cost`, from the signing
        /// coldkey and takes a free slot of `market` for `hotkey`.
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
    }
}
