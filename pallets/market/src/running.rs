//! What is kept of an epoch that runs over several blocks, and what the calls of those blocks ask it.
//!
//! An epoch works on a [`View`] of the market as it was when the epoch began. Calls go on meanwhile,
//! and change nothing in it:
//!
//! * Stake moves and neurons come in `Slots`, of which the view is a copy.
//! * A row of weights that the epoch has yet to read stays; the new one waits in `Arrivals` until the
//!   epoch has renewed the bonds of that row, which is the last time it looks at it.
//! * So does the row of a neuron that leaves. Its pay goes to its coldkey, noted in `Departures`.

use crate::{pallet::*, pools::DelegatedBySlot, types::*, Parameters};
use alloc::{boxed::Box, vec::Vec};
use codec::{Decode, Encode, MaxEncodedLen};
use frame_support::{ensure, storage::StorageMap, traits::ConstU32, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use market_mechanism as mechanism;
use market_primitives::{BlockNumber, MarketId, Uid};
use scale_info::TypeInfo;

/// Most neurons of its view that can leave while an epoch is running.
pub const MAX_DEPARTURES: u32 = 64;

/// The same, as a bound.
pub type MaxDepartures = ConstU32<MAX_DEPARTURES>;

/// Where a running epoch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Cursor {
    /// Its number in the market, from 1.
    pub epoch: u64,
    /// The block at whose start it began.
    pub began: BlockNumber,
    /// Slots of the market then.
    pub slots: u16,
    /// What it does with the rows.
    pub pass: Pass,
    /// The row that is next.
    pub next: Uid,
}

/// A pass of an epoch over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Pass {
    /// Votes are counted.
    Counting,
    /// Bonds are renewed, and dividends added up.
    Renewing,
    /// The epoch was dropped: rows are cleared up after it.
    Clearing,
}

impl Cursor {
    /// Whether the epoch is done with the row of `uid`, or never had to do with it, so that it may change.
    pub fn is_past(&self, uid: Uid) -> bool {
        uid >= self.slots || self.pass != Pass::Counting && uid < self.next
    }
}

/// The market as it was when the epoch began, but for the rows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct View {
    /// Its rules.
    pub parameters: Parameters,
    /// Units to be minted.
    pub emission: u64,
    /// Its slots, by uid.
    pub slots: BySlot<Option<Slot>>,
    /// What of their stake is others'.
    pub delegated: DelegatedBySlot,
}

/// Votes counted so far: the mechanism's [`Votes`](mechanism::Votes).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Votes {
    /// Rank and trust of each neuron.
    pub tallies: BySlot<(u64, u64)>,
    /// The sum of each row.
    pub row_sums: BySlot<u32>,
    /// Stake that votes.
    pub stake: u128,
}

impl From<mechanism::Votes> for Votes {
    fn from(votes: mechanism::Votes) -> Self {
        let tallies = votes.tallies.iter().map(|tally| (tally.rank, tally.trust));
        Self {
            tallies: BoundedVec::truncate_from(tallies.collect()),
            row_sums: BoundedVec::truncate_from(votes.row_sums),
            stake: votes.stake,
        }
    }
}

impl From<Votes> for mechanism::Votes {
    fn from(votes: Votes) -> Self {
        let tallies = votes.tallies.into_iter();
        let tallies = tallies.map(|(rank, trust)| mechanism::Tally { rank, trust });
        Self {
            tallies: tallies.collect(),
            row_sums: votes.row_sums.into_inner(),
            stake: votes.stake,
        }
    }
}

/// What the votes said: the mechanism's [`Verdict`](mechanism::Verdict). Shares by uid, in parts of
/// 10^18.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Verdict {
    /// R.
    pub rank: BySlot<u64>,
    /// T.
    pub trust: BySlot<u64>,
    /// C.
    pub consensus: BySlot<u64>,
    /// I.
    pub incentive: BySlot<u64>,
    /// L.
    pub loss: i64,
    /// Share of all stake that votes.
    pub voting: u64,
    /// Whether the market is in consensus.
    pub in_consensus: bool,
}

impl From<mechanism::Verdict> for Verdict {
    fn from(verdict: mechanism::Verdict) -> Self {
        Self {
            rank: BoundedVec::truncate_from(verdict.rank),
            trust: BoundedVec::truncate_from(verdict.trust),
            consensus: BoundedVec::truncate_from(verdict.consensus),
            incentive: BoundedVec::truncate_from(verdict.incentive),
            loss: verdict.loss,
            voting: verdict.voting,
            in_consensus: verdict.in_consensus,
        }
    }
}

impl From<Verdict> for mechanism::Verdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            rank: verdict.rank.into_inner(),
            trust: verdict.trust.into_inner(),
            consensus: verdict.consensus.into_inner(),
            incentive: verdict.incentive.into_inner(),
            loss: verdict.loss,
            voting: verdict.voting,
            in_consensus: verdict.in_consensus,
        }
    }
}

/// A running epoch, in memory.
pub(crate) struct Run {
    pub cursor: Cursor,
    pub view: View,
    /// The slots of the view, as the mechanism sees them.
    pub slots: Vec<Option<mechanism::Slot>>,
    pub votes: mechanism::Votes,
    /// Since the votes are counted.
    pub renewing: Option<Renewing>,
}

/// What is found of an epoch that was put by.
pub(crate) enum Resumed {
    /// All of it.
    Running(Box<Run>),
    /// It was dropped, and this is how far it is cleared up.
    Dropped(Cursor),
    /// Not all that it needs to go on.
    Lost,
}

/// The second pass of an epoch, in memory.
pub(crate) struct Renewing {
    pub verdict: mechanism::Verdict,
    pub renewal: mechanism::Renewal,
}

impl Run {
    /// An epoch at its beginning.
    pub fn new(cursor: Cursor, view: View) -> Self {
        let slots = view.slots.iter().map(|slot| slot.map(Into::into)).collect();
        let mut run = Self {
            cursor,
            view,
            slots,
            votes: Default::default(),
            renewing: None,
        };
        run.votes = mechanism::Votes::new(&run.market());
        run
    }

    /// The view, as the mechanism sees it.
    pub fn market(&self) -> mechanism::Market<'_> {
        market(&self.cursor, &self.view, &self.slots)
    }
}

/// The view, as the mechanism sees it; apart from [`Run`], so that the rest of it may change.
pub(crate) fn market<'a>(
    cursor: &Cursor,
    view: &View,
    slots: &'a [Option<mechanism::Slot>],
) -> mechanism::Market<'a> {
    let clock = mechanism::Clock {
        epoch: cursor.epoch,
        // The last moment before the block.
        now: Moment::start_of(cursor.began).time().saturating_sub(1),
    };
    mechanism::Market::new(view.parameters.mechanism(), slots, clock)
}

impl From<Slot> for mechanism::Slot {
    fn from(slot: Slot) -> Self {
        Self {
            stake: slot.stake,
            registered_at: slot.registered_at.time(),
        }
    }
}

/// Where columns are kept: `Columns` those of the last epoch, `NextColumns` those of the running one.
pub(crate) trait ColumnStorage:
    StorageMap<MarketId, BySlot<Column>, Query = BySlot<Column>>
{
}

impl<T: Config> ColumnStorage for Columns<T> {}
impl<T: Config> ColumnStorage for NextColumns<T> {}

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Brings an epoch back from storage.
    pub(crate) fn resume_epoch(market: MarketId) -> Resumed {
        match EpochCursors::<T>::get(market) {
            Some(cursor) if cursor.pass == Pass::Clearing => Resumed::Dropped(cursor),
            Some(cursor) => Self::resume_run(market, cursor)
                .map_or(Resumed::Lost, |run| Resumed::Running(Box::new(run))),
            None => Resumed::Lost,
        }
    }

    /// Brings a running epoch back; `None` where a part of it is missing or not of its size.
    fn resume_run(market: MarketId, cursor: Cursor) -> Option<Run> {
        let whole = |slots: usize| slots == usize::from(cursor.slots);
        let view = EpochViews::<T>::get(market).filter(|view| whole(view.slots.len()))?;
        let votes = EpochVotes::<T>::get(market)
            .filter(|votes| whole(votes.tallies.len()) && whole(votes.row_sums.len()))?;
        let mut run = Run::new(cursor, view);
        run.votes = votes.into();
        if cursor.pass == Pass::Renewing {
            let verdict = EpochVerdicts::<T>::get(market).filter(|verdict| {
                [
                    &verdict.rank,
                    &verdict.trust,
                    &verdict.consensus,
                    &verdict.incentive,
                ]
                .iter()
                .all(|shares| whole(shares.len()))
            })?;
            let verdict = mechanism::Verdict::from(verdict);
            let sums: Vec<u64> = NextColumns::<T>::get(market)
                .iter()
                .map(|column| column.sum)
                .collect();
            let dividends = EpochDividends::<T>::get(market).into_inner();
            if !whole(sums.len()) || !whole(dividends.len()) {
                return None;
            }
            let renewal = mechanism::Renewal::resume(
                &run.market(),
                &run.votes,
                &verdict.incentive,
                &Self::columns(market),
                &sums,
                dividends,
            );
            run.renewing = Some(Renewing { verdict, renewal });
        }
        Some(run)
    }

    /// Puts an epoch by until the next block. The view never changes, and neither do the votes once they
    /// have led to a verdict: those are written once.
    pub(crate) fn put_epoch_by(market: MarketId, run: Run) {
        EpochCursors::<T>::insert(market, run.cursor);
        if !EpochViews::<T>::contains_key(market) {
            EpochViews::<T>::insert(market, run.view);
        }
        let counted = EpochVerdicts::<T>::contains_key(market);
        if !counted {
            EpochVotes::<T>::insert(market, Votes::from(run.votes));
        }
        if let Some(Renewing { verdict, renewal }) = run.renewing {
            if !counted {
                EpochVerdicts::<T>::insert(market, Verdict::from(verdict));
            }
            Self::store_columns::<NextColumns<T>>(market, renewal.columns());
            EpochDividends::<T>::insert(market, BoundedVec::truncate_from(renewal.dividends));
        }
    }

    /// Forgets an epoch that is finished.
    pub(crate) fn forget_epoch(market: MarketId) {
        EpochCursors::<T>::remove(market);
        EpochViews::<T>::remove(market);
        EpochVotes::<T>::remove(market);
        EpochVerdicts::<T>::remove(market);
        NextColumns::<T>::remove(market);
        EpochDividends::<T>::remove(market);
        Departures::<T>::remove(market);
    }

    /// Epochs begun so far, the running one included.
    pub(crate) fn epochs_begun(market: MarketId) -> u64 {
        match EpochCursors::<T>::get(market) {
            Some(cursor) => cursor.epoch,
            None => Epochs::<T>::get(market).epoch,
        }
    }

    /// Whether the row of `uid` may change: no epoch has yet to read it.
    pub(crate) fn row_is_free(market: MarketId, uid: Uid) -> bool {
        EpochCursors::<T>::get(market).is_none_or(|cursor| cursor.is_past(uid))
    }

    /// Stores a neuron's weights beside its bonds, or keeps them until the running epoch is done with
    /// the row.
    pub(crate) fn store_weights(
        market: MarketId,
        uid: Uid,
        set_at: Moment,
        weights: &[(Uid, u16)],
    ) {
        if Self::row_is_free(market, uid) {
            let edges = Self::row(market, uid).edges.with_weights(weights);
            Self::store_row(market, uid, set_at, edges);
        } else {
            // Checked: no longer than there are slots.
            let weights = BoundedVec::truncate_from(weights.to_vec());
            Arrivals::<T>::insert(market, uid, Arrival { set_at, weights });
        }
    }

    /// Whether a neuron may leave: few enough of a running epoch have.
    pub(crate) fn check_departure(market: MarketId) -> Result<(), Error<T>> {
        let left = Departures::<T>::decode_len(market).unwrap_or(0);
        ensure!(left < MAX_DEPARTURES as usize, Error::<T>::EpochRunning);
        Ok(())
    }

    /// Takes a leaving neuron's row away: its weights, the bonds that it holds and those held in it.
    /// What a running epoch has yet to read stays until it has.
    pub(crate) fn remove_row(market: MarketId, uid: Uid, slot: &Slot, coldkey: &T::AccountId) {
        Arrivals::<T>::remove(market, uid);
        let Some(cursor) = EpochCursors::<T>::get(market) else {
            Self::withdraw_bonds::<Columns<T>>(market, uid);
            Columns::<T>::mutate(market, |columns| {
                if let Some(column) = columns.get_mut(usize::from(uid)) {
                    *column = Column::default();
                }
            });
            return;
        };
        let was_there = slot.registered_at < Moment::start_of(cursor.began);
        if was_there && cursor.pass != Pass::Clearing {
            // Checked: there is room.
            let _ = Departures::<T>::try_append(market, (uid, coldkey.clone()));
        }
        if uid >= cursor.slots {
            Rows::<T>::remove(market, uid); // which the epoch knows nothing of, and without bonds
        } else if cursor.is_past(uid) {
            Self::withdraw_bonds::<NextColumns<T>>(market, uid);
        }
    }

    /// Removes a row, and its bonds from the sums of their columns.
    fn withdraw_bonds<Kept: ColumnStorage>(market: MarketId, uid: Uid) {
        let edges = Rows::<T>::take(market, uid).map(Row::edges);
        let mut columns: Vec<_> = Kept::get(market).into_iter().map(Into::into).collect();
        mechanism::bonds::withdraw(&mut columns, &edges.unwrap_or_default());
        Self::store_columns::<Kept>(market, columns);
    }

    /// The columns as the last epoch left them.
    pub(crate) fn columns(market: MarketId) -> Vec<mechanism::Column> {
        Columns::<T>::get(market)
            .into_iter()
            .map(Into::into)
            .collect()
    }

    /// Stores columns.
    pub(crate) fn store_columns<Kept: ColumnStorage>(
        market: MarketId,
        columns: impl IntoIterator<Item = mechanism::Column>,
    ) {
        let columns = columns.into_iter().map(Into::into).collect();
        Kept::insert(market, BoundedVec::truncate_from(columns));
    }

    /// A neuron's row as the epoch reads it; an empty one where it has neither weights nor bonds.
    pub(crate) fn row(market: MarketId, uid: Uid) -> mechanism::Row {
        Rows::<T>::get(market, uid).map_or_else(Default::default, |row| mechanism::Row {
            set_at: row.set_at.time(),
            edges: row.edges(),
        })
    }

    /// Stores a row; an empty one takes no room.
    pub(crate) fn store_row(market: MarketId, uid: Uid, set_at: Moment, edges: mechanism::Edges) {
        if edges.is_empty() {
            Rows::<T>::remove(market, uid);
        } else {
            Rows::<T>::insert(market, uid, Row::new(set_at, edges));
        }
    }
}
