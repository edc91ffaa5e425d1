//! When a row is shown, when it is given up, and that it outlives the program.

use super::*;

const NONE: [u64; 0] = [];

fn promise(epoch: u64) -> Promise {
    Promise {
        epoch,
        weights: vec![(1, 65_535), (4, 7)],
        salt: [epoch as u8; 32],
        in_doubt: false,
    }
}

fn promises(epochs: &[u64]) -> Promises {
    let mut promises = Promises::default();
    epochs
        .iter()
        .for_each(|epoch| promises.add(promise(*epoch)));
    promises
}

fn epochs(promises: &[Promise]) -> Vec<u64> {
    promises.iter().map(|promise| promise.epoch).collect()
}

#[test]
fn a_row_is_due_when_the_period_is_over_and_until_it_was_shown() {
    let mut kept = promises(&[3, 4, 5]);
    let due = |kept: &Promises, begun, period| epochs(&kept.due(begun, period));
    assert_eq!(due(&kept, 4, 2), NONE);
    assert_eq!(due(&kept, 5, 2), [3]);
    assert_eq!(due(&kept, 5, 1), [3, 4]);
    kept.remove(&promise(3));
    assert_eq!(due(&kept, 5, 2), NONE);
    assert_eq!(due(&kept, 6, 2), [4]);
    assert_eq!(due(&promises(&[u64::MAX]), 6, 2), NONE);
}

#[test]
fn one_an_epoch() {
    let kept = promises(&[3, 5]);
    assert!(kept.has(3) && !kept.has(4) && kept.has(5));
}

#[test]
fn a_row_is_given_up_when_no_epoch_can_take_it_any_more() {
    let mut kept = promises(&[3, 4, 9]);
    // The row of epoch 3, counted in 4 at the latest, is due in 6 at the latest.
    assert_eq!(epochs(&kept.give_up(6, 2)), NONE);
    assert_eq!(epochs(&kept.give_up(7, 2)), [3]);
    assert_eq!(epochs(&kept.give_up(7, 2)), NONE);
    assert_eq!(kept, promises(&[4, 9]));
}

#[test]
fn what_can_still_be_shown_is_kept() {
    let market = |error| Refused::by(&ChainError::Market(error), false);
    assert_eq!(market(MarketError::RevealTooEarly), Refused::Early);
    assert_eq!(market(MarketError::RevealTooLate), Refused::Lost);
    assert_eq!(market(MarketError::NothingCommitted), Refused::Lost);
    assert_eq!(market(MarketError::NotRegistered), Refused::Lost);
    let gone = ChainError::Uncertain("the node fell silent".into());
    assert_eq!(Refused::by(&gone, false), Refused::Again);
    assert_eq!(
        Refused::by(&ChainError::AlreadyPending, false),
        Refused::Again
    );
}

/// The answer to the first call was lost, and the second is refused for the first one's sake.
#[test]
fn a_row_that_was_shown_though_nobody_said_so_is_not_lost() {
    let again = |error| Refused::by(&ChainError::Market(error), true);
    assert_eq!(again(MarketError::NothingCommitted), Refused::Shown);
    assert_eq!(again(MarketError::RevealTooEarly), Refused::Early);
    assert_eq!(again(MarketError::RevealTooLate), Refused::Lost);
}

#[test]
fn commitments_outlive_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commitments.json");
    let mut kept = Kept::open(path.clone()).unwrap();
    assert_eq!(kept.promises(), &Promises::default());
    kept.change(|kept| {
        kept.add(promise(3));
        kept.add(promise(4));
    });
    let mut again = Kept::open(path.clone()).unwrap();
    assert_eq!(again.promises(), &promises(&[3, 4]));
    again.change(|kept| {
        kept.remove(&promise(3));
        kept.doubt(&promise(4));
    });
    let shown = Promise {
        in_doubt: true,
        ..promise(4)
    };
    assert_eq!(
        Kept::open(path.clone()).unwrap().promises().due(9, 1),
        std::slice::from_ref(&shown),
        "that it may have been shown is not forgotten"
    );
    again.change(|kept| kept.remove(&shown));
    assert_eq!(Kept::open(path.clone()).unwrap().promises(), &promises(&[]));
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["commitments.json"], "nothing is left beside it");
}

#[test]
fn a_file_that_is_damaged_or_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commitments.json");
    fs::write(&path, "[{").unwrap();
    let mut kept = Kept::open(path.clone()).unwrap();
    assert_eq!(kept.promises(), &Promises::default());
    kept.change(|kept| kept.add(promise(3)));
    assert_eq!(Kept::open(path).unwrap().promises(), &promises(&[3]));

    let mut nowhere = Kept::open(folder.path().join("missing/commitments.json")).unwrap();
    nowhere.change(|kept| kept.add(promise(3)));
    assert_eq!(nowhere.promises(), &promises(&[3]));
}

/// It may hold rows that are still to be shown, and would be written over.
#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Kept::open(folder.path().to_path_buf()).is_err());
}
