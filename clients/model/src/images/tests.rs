use std::{collections::HashSet, path::Path};

use rand::{rngs::StdRng, SeedableRng};

use super::*;

const SPLITS: [Split; 3] = [Split::Training, Split::Validation, Split::Evaluation];

fn idx(sizes: &[u32], bytes: Vec<u8>) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    file
}

/// Images of 4 x 4 pixels: the first two pixels are the image's number in its file, the third is 0 or 255
/// for training or evaluation, and label `n mod 3` brightens the row below by as much.
fn write(folder: &Path, name: &str, count: u32, mark: u8) {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for number in 0..count {
        let label = (number % 3) as u8;
        let mut image = [0u8; 16];
        image[0] = (number >> 8) as u8;
        image[1] = number as u8;
        image[2] = mark;
        image[4..8].fill(100 * label);
        image[8 + usize::from(label)] = 255;
        pixels.extend(image);
        labels.push(label);
    }
    let images = idx(&[count, 4, 4], pixels);
    std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
    let labels = idx(&[count], labels);
    std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
}

/// A small data set: images of three classes that are easy to tell apart.
pub(crate) fn folder(training: u32, evaluation: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "train", training, 0);
    write(folder.path(), "t10k", evaluation, 255);
    folder
}

#[test]
fn splits_share_no_image_and_leave_none_out() {
    let place = folder(127, 20);
    let images = Images::load(place.path()).unwrap();
    assert_eq!(
        (images.height(), images.width(), images.classes()),
        (4, 4, 3)
    );
    assert_eq!(SPLITS.map(|split| images.count(split)), [117, 10, 20]);
    let mut seen = HashSet::new();
    for split in SPLITS {
        let numbers: Vec<usize> = (0..images.count(split)).collect();
        let batch = images.examples(split, &numbers);
        let count = numbers.len() as i64;
        assert_eq!(batch.inputs.size(), [count, 1, 4, 4]);
        let bytes = (batch.inputs.view([-1, 16]) * 255.0).round();
        let labels = Vec::<i64>::try_from(batch.targets).unwrap();
        for (row, label) in Vec::<Vec<f64>>::try_from(bytes).unwrap().iter().zip(labels) {
            let number = row[0] as i64 * 256 + row[1] as i64;
            let evaluation = row[2] > 0.0;
            assert_eq!(evaluation, split == Split::Evaluation);
            assert_eq!(split == Split::Validation, !evaluation && number % 12 == 11);
            assert_eq!(label, number % 3, "each image has its own label");
            assert!(seen.insert((evaluation, number)), "{number} twice");
        }
    }
    assert_eq!(seen.len(), 147);
}

#[test]
fn a_sample_repeats_with_its_seed_and_stays_in_its_split() {
    let place = folder(127, 20);
    let images = Images::load(place.path()).unwrap();
    let draw = |seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        images.sample(Split::Validation, 30, &mut rng).inputs
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    let numbers = Vec::<f64>::try_from((draw(3).select(3, 1).select(2, 0) * 255.0).view(-1));
    let numbers = numbers.unwrap().into_iter();
    assert!(numbers
        .map(|number| number.round())
        .all(|number| number % 12.0 == 11.0));
}

#[test]
fn files_that_are_missing_or_do_not_belong_together_are_told_in_words() {
    let place = folder(120, 20);
    let told = || Images::load(place.path()).unwrap_err().to_string();
    write(place.path(), "train", 11, 0);
    assert!(told().contains("too few"), "{}", told());
    write(place.path(), "train", 120, 0);
    let labels = place.path().join("train-labels-idx1-ubyte");
    std::fs::write(&labels, idx(&[119], vec![0; 119])).unwrap();
    assert!(told().contains("120 images and 119 labels"), "{}", told());
    std::fs::write(&labels, "no such thing").unwrap();
    assert!(told().contains("train-labels-idx1-ubyte is no IDX file"));
    let images = place.path().join("t10k-images-idx3-ubyte");
    std::fs::write(&images, idx(&[20, 2, 8], vec![0; 320])).unwrap();
    write(place.path(), "train", 120, 0);
    assert!(told().contains("two sizes"), "{}", told());
    std::fs::remove_file(&images).unwrap();
    assert!(
        told().contains("t10k-images-idx3-ubyte.gz") && told().contains("--data"),
        "{}",
        told()
    );
    let words = Images::load("/nonexistent/images").unwrap_err().to_string();
    assert!(words.contains("/nonexistent/images"), "{words}");
}

#[test]
fn the_real_data_set_has_ten_classes_of_known_sizes() {
    let images = Images::load(crate::cache::data("fashion-mnist")).unwrap();
    assert_eq!(
        (images.height(), images.width(), images.classes()),
        (28, 28, 10)
    );
    assert_eq!(
        SPLITS.map(|split| images.count(split)),
        [55_000, 5_000, 10_000]
    );
}
