//! Measures what the calls and the epoch cost.

use crate::{pallet::*, types::*, Parameters};
use alloc::{vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::{traits::fungible::Mutate, BoundedVec};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use market_primitives::{MarketId, Modality, Share, Uid, NOE};

const MARKET: MarketId = 0;

/// Rows in the market whose edges are measured, and edges in its longest row.
const ROWS: u32 = 64;

#[benchmarks(where BlockNumberFor<T>: Into<u32>)]
mod benchmarks {
    use super::*;

    /// A market with `neurons` neurons, each with a little stake and an endpoint.
    fn market<T: Config>(neurons: u32)
    where
        BlockNumberFor<T>: Into<u32>,
    {
        Markets::<T>::insert(
            MARKET,
            Market {
                modality: Modality::Text,
                emission_share: Share::ONE,
                parameters: Parameters::default(),
            },
        );
        for uid in 0..neurons as Uid {
            let hotkey: T::AccountId = account("hotkey", uid.into(), 0);
            frame_system::Pallet::<T>::inc_sufficients(&hotkey);
            Uids::<T>::insert(MARKET, &hotkey, uid);
            Slots::<T>::insert(
                MARKET,
                uid,
                Slot {
                    hotkey,
                    coldkey: coldkey::<T>(),
                    registered_at: 0,
                },
            );
            Stakes::<T>::insert(MARKET, uid, NOE);
        }
        NeuronCount::<T>::insert(MARKET, neurons as Uid);
        let staked = u128::from(NOE) * u128::from(neurons);
        T::Currency::set_balance(&Pallet::<T>::stake_account(), staked);
        T::Currency::set_balance(&coldkey::<T>(), u128::from(1_000 * NOE));
    }

    fn coldkey<T: Config>() -> T::AccountId {
        account("coldkey", 0, 0)
    }

    fn hotkey<T: Config>(uid: u32) -> T::AccountId {
        account("hotkey", uid, 0)
    }

    /// A row to every neuron but 0.
    fn row(edges: u32) -> Vec<(Uid, u16)> {
        (1..=edges as Uid).map(|uid| (uid, uid)).collect()
    }

    #[benchmark]
    fn register() {
        market::<T>(1);
        #[extrinsic_call]
        _(
            RawOrigin::Signed(coldkey::<T>()),
            MARKET,
            hotkey::<T>(1),
            u128::MAX,
        );
        assert_eq!(NeuronCount::<T>::get(MARKET), 2);
    }

    #[benchmark]
    fn serve() {
        market::<T>(1);
        let endpoint = [vec![b'a'; 122], b":65535".to_vec()].concat();
        #[extrinsic_call]
        _(
            RawOrigin::Signed(hotkey::<T>(0)),
            MARKET,
            endpoint,
            Some([1; 32]),
        );
        assert!(Endpoints::<T>::contains_key(MARKET, 0));
    }

    #[benchmark]
    fn set_weights(e: Linear<1, 4095>) {
        market::<T>(4096);
        #[extrinsic_call]
        _(RawOrigin::Signed(hotkey::<T>(0)), MARKET, row(e));
        assert!(Weights::<T>::contains_key(MARKET, 0));
    }

    #[benchmark]
    fn add_stake() {
        market::<T>(1);
        #[extrinsic_call]
        _(
            RawOrigin::Signed(coldkey::<T>()),
            MARKET,
            hotkey::<T>(0),
            u128::from(NOE),
        );
        assert_eq!(Stakes::<T>::get(MARKET, 0), 2 * NOE);
    }

    #[benchmark]
    fn remove_stake() {
        market::<T>(1);
        #[extrinsic_call]
        _(
            RawOrigin::Signed(coldkey::<T>()),
            MARKET,
            hotkey::<T>(0),
            u128::from(NOE),
        );
        assert_eq!(Stakes::<T>::get(MARKET, 0), 0);
    }

    /// An epoch of `n` neurons whose rows are empty.
    #[benchmark]
    fn epoch_neurons(n: Linear<1, 1024>) {
        market::<T>(n);
        let market = Markets::<T>::get(MARKET).expect("it was just inserted");
        #[block]
        {
            Pallet::<T>::run_epoch(MARKET, &market, 100);
        }
        assert_eq!(Epochs::<T>::get(MARKET).epoch, 1);
    }

    /// An epoch of few neurons with `e` edges, one half of them weights and the other half bonds.
    #[benchmark]
    fn epoch_edges(e: Linear<0, { 2 * ROWS * ROWS }>) {
        market::<T>(ROWS);
        let mut rest = e / 2;
        for uid in 0..ROWS as Uid {
            let count = rest.min(ROWS);
            rest -= count;
            let edges: Vec<(Uid, u16)> = (0..count as Uid).map(|to| (to, to + 1)).collect();
            let held = edges.iter().map(|(to, _)| (*to, 1 << 30)).collect();
            let edges = BoundedVec::truncate_from(edges);
            Weights::<T>::insert(MARKET, uid, WeightRow { set_at: 1, edges });
            Bonds::<T>::insert(MARKET, uid, BondRow::truncate_from(held));
        }
        let market = Markets::<T>::get(MARKET).expect("it was just inserted");
        #[block]
        {
            Pallet::<T>::run_epoch(MARKET, &market, 100);
        }
        assert_eq!(Epochs::<T>::get(MARKET).epoch, 1);
    }

    impl_benchmark_test_suite!(
        Pallet,
        crate::mock::chain_with(crate::mock::rules()),
        crate::mock::Test
    );
}
