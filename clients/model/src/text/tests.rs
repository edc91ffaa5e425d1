use std::{collections::HashSet, io::Write};

use rand::{rngs::StdRng, SeedableRng};

use super::*;

const SPLITS: [Split; 3] = [Split::Training, Split::Validation, Split::Evaluation];

/// A file of twelve books; every byte of book `n` is the letter `a + n`.
fn twelve_books() -> Vec<u8> {
    let mut content = Vec::new();
    for number in 0..12u8 {
        for verse in 1..=10 {
            let words = String::from(char::from(b'a' + number)).repeat(60);
            writeln!(content, "{}Bk{verse}:{verse} {words}", number + 1).unwrap();
        }
    }
    content
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

#[test]
fn splits_share_no_book_and_leave_none_out() {
    let text = Text::load(file(&twelve_books()).path()).unwrap();
    assert_eq!(text.books(Split::Validation), ["5Bk"]);
    assert_eq!(text.books(Split::Evaluation), ["10Bk"]);
    let all: Vec<&str> = SPLITS.iter().flat_map(|split| text.books(*split)).collect();
    let different: HashSet<&str> = all.iter().copied().collect();
    assert_eq!((all.len(), different.len()), (12, 12));
    let bytes: usize = SPLITS.iter().map(|split| text.length(*split)).sum();
    assert_eq!(
        bytes,
        12 * 10 * 61,
        "a verse of 60 letters and its line end"
    );
}

#[test]
fn a_sample_holds_bytes_of_its_own_split_and_of_one_book() {
    let text = Text::load(file(&twelve_books()).path()).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let mut seen = [HashSet::new(), HashSet::new(), HashSet::new()];
    for (split, letters) in SPLITS.into_iter().zip(&mut seen) {
        let sample = text.sample(split, 64, 80, &mut rng).unwrap();
        assert_eq!(sample.size(), [64, 80]);
        for row in Vec::<Vec<i64>>::try_from(sample).unwrap() {
            let of_row: HashSet<i64> = row
                .into_iter()
                .filter(|byte| *byte != i64::from(b'\n'))
                .collect();
            assert_eq!(of_row.len(), 1, "a piece crosses the border of a book");
            letters.extend(of_row);
        }
    }
    let [training, validation, evaluation] = seen;
    assert_eq!(validation, HashSet::from([i64::from(b'a' + 4)]));
    assert_eq!(evaluation, HashSet::from([i64::from(b'a' + 9)]));
    assert_eq!(training.len(), 10);
    assert!(training.is_disjoint(&validation) && training.is_disjoint(&evaluation));
}

#[test]
fn a_sample_repeats_with_its_seed() {
    let text = Text::load(file(&twelve_books()).path()).unwrap();
    let draw = |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        text.sample(Split::Training, 8, 32, &mut rng).unwrap()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
}

#[test]
fn a_text_without_references_is_cut_into_parts_that_make_up_the_whole() {
    for line in ["some words without any reference\n", "no line end "] {
        let content = line.repeat(600);
        let text = Text::load(file(content.as_bytes()).path()).unwrap();
        assert_eq!(text.books(Split::Training).len(), 8);
        let bytes: usize = SPLITS.iter().map(|split| text.length(*split)).sum();
        assert_eq!(bytes, content.len());
        for split in SPLITS {
            assert!(text.length(split) > content.len() / 20, "{split:?}");
        }
    }
}

#[test]
fn references_are_told_from_words() {
    assert_eq!(reference(b"Ge1:1 In the"), Some(("Ge", &b"In the"[..])));
    assert_eq!(reference(b"1Sm31:13 And\r"), Some(("1Sm", &b"And"[..])));
    for words in [
        "In the beginning",
        "12:30 noon",
        "note: this",
        "Ge:1 x",
        "Ge1: x",
        "",
    ] {
        assert_eq!(reference(words.as_bytes()), None, "{words}");
    }
}

#[test]
fn a_missing_file_an_empty_one_and_a_short_one_are_told_apart() {
    let missing = Text::load("/nonexistent/text").unwrap_err();
    assert!(matches!(missing, DataError::Missing { .. }));
    assert!(missing.to_string().contains("/nonexistent/text"));
    let empty = file(b"\n  \n");
    assert!(matches!(
        Text::load(empty.path()),
        Err(DataError::Empty { .. })
    ));
    let short = file(b"Ge1:1 In the beginning");
    assert!(matches!(
        Text::load(short.path()),
        Err(DataError::TooShort { bytes: 17, .. })
    ));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Text::load(folder.path()),
        Err(DataError::Unreadable { .. })
    ));
}

#[test]
fn a_sample_longer_than_every_book_is_refused() {
    let text = Text::load(file(&twelve_books()).path()).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    assert!(text.sample(Split::Validation, 1, 610, &mut rng).is_ok());
    assert!(matches!(
        text.sample(Split::Validation, 1, 611, &mut rng),
        Err(DataError::SampleTooLong { longest: 610, .. })
    ));
}
