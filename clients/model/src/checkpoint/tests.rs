use tch::Device;

use super::*;

fn tensors() -> Vec<(String, Tensor)> {
    vec![
        (
            "weights".into(),
            Tensor::randn([3, 4], (Kind::Float, Device::Cpu)),
        ),
        ("counts".into(), Tensor::from_slice(&[1i64, -2, i64::MAX])),
        ("scalar".into(), Tensor::from(0.5f32)),
        (
            "nothing".into(),
            Tensor::zeros([0, 7], (Kind::Float, Device::Cpu)),
        ),
    ]
}

fn zeros() -> Vec<(String, Tensor)> {
    let zeros = tensors().into_iter();
    zeros
        .map(|(name, tensor)| (name, tensor.zeros_like()))
        .collect()
}

#[test]
fn what_is_written_is_read_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/on/the/way/model.safetensors");
    assert!(load(&path).unwrap().is_none());
    let written = tensors();
    save(&path, 17, &("some", "config"), &written).unwrap();
    let read = load(&path).unwrap().unwrap();
    assert_eq!(read.step, 17);
    assert_eq!(read.config::<(String, String)>().unwrap().1, "config");
    let targets = zeros();
    read.restore(&targets).unwrap();
    assert_eq!(targets, written);
}

#[test]
fn it_is_a_safetensors_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let written = tensors();
    save(&path, 1, &(), &written).unwrap();
    let mut read = Tensor::read_safetensors(&path).unwrap();
    read.sort_by(|a, b| a.0.cmp(&b.0));
    let mut written = written;
    written.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(read, written);
}

#[test]
fn the_one_before_is_kept_and_nothing_is_left_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for step in 1..=3 {
        save(&path, step, &(), &tensors()).unwrap();
    }
    let previous = folder.path().join("model.previous");
    assert_eq!(load(&path).unwrap().unwrap().step, 3);
    assert_eq!(load(&previous).unwrap().unwrap().step, 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn every_cut_and_every_flipped_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    save(&path, 9, &"config", &tensors()).unwrap();
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        matches!(load(&path), Err(CheckpointError::Damaged { .. }))
    };
    for length in 0..whole.len() {
        assert!(refused(&whole[..length]), "cut to {length}");
    }
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x10;
        assert!(refused(&flipped), "flipped at {place}");
    }
    assert!(refused(&[&whole[..], b"more"].concat()));
}

#[test]
fn a_damaged_one_falls_back_to_the_one_before_and_never_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let previous = folder.path().join("model.previous");
    for step in 1..=2 {
        save(&path, step, &(), &tensors()).unwrap();
    }
    let mut flipped = fs::read(&path).unwrap();
    *flipped.last_mut().unwrap() ^= 0x10;
    // A tensor that is another, in a file that is as long as it was, and one that was cut.
    for damaged in [&flipped[..], b"half a checkp"] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().step, 1);
        save(&path, 3, &(), &tensors()).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().step, 3);
        assert_eq!(load(&previous).unwrap().unwrap().step, 1);
    }

    fs::write(&path, b"half a checkp").unwrap();
    fs::write(&previous, b"and half another").unwrap();
    assert!(matches!(load(&path), Err(CheckpointError::Damaged { .. })));
}

#[test]
fn one_that_is_gone_falls_back_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let previous = folder.path().join("model.previous");
    for step in 1..=2 {
        save(&path, step, &(), &tensors()).unwrap();
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(load(&path).unwrap().unwrap().step, 1);
    save(&path, 3, &(), &tensors()).unwrap();
    assert_eq!(load(&previous).unwrap().unwrap().step, 1);

    fs::remove_file(&path).unwrap();
    fs::write(&previous, b"half a checkp").unwrap();
    let words = load(&path).unwrap_err().to_string();
    assert!(words.contains("gone") && words.contains("move"), "{words}");
    fs::remove_file(&previous).unwrap();
    assert!(load(&path).unwrap().is_none());
}

#[test]
fn one_before_that_cannot_be_read_is_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    // No file that the system reads, whoever asks.
    let previous = folder.path().join("model.previous");
    fs::create_dir(&previous).unwrap();
    for newest in [None, Some(b"half a checkp")] {
        if let Some(bytes) = newest {
            fs::write(&path, bytes).unwrap();
        }
        let error = load(&path).unwrap_err();
        assert!(
            matches!(&error, CheckpointError::File { path, .. } if *path == previous),
            "{error}"
        );
    }
}

#[test]
fn a_foreign_file_is_refused_by_name_and_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    fs::write(&path, b"not a checkpoint, but words that go on for a while").unwrap();
    let words = load(&path).unwrap_err().to_string();
    assert!(
        words.contains(path.to_str().unwrap()) && words.contains(".previous"),
        "{words}"
    );
    // A safetensors file of someone else's.
    Tensor::write_safetensors(&tensors()[..1], &path).unwrap();
    assert!(matches!(load(&path), Err(CheckpointError::Damaged { .. })));
}

#[test]
fn another_models_checkpoint_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    save(&path, 9, &"config", &tensors()).unwrap();
    let checkpoint = load(&path).unwrap().unwrap();
    let mut targets = zeros();
    targets[3].1 = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
    let mismatch = checkpoint.restore(&targets).unwrap_err();
    assert!(mismatch.to_string().contains("`nothing`"), "{mismatch}");
    assert_eq!(targets[0].1, zeros()[0].1, "not even the first was copied");
    let unknown = [("other".to_owned(), Tensor::from(1f32))];
    assert!(matches!(
        checkpoint.restore(&unknown),
        Err(CheckpointError::Mismatch { .. })
    ));
    assert!(matches!(
        checkpoint.config::<u8>(),
        Err(CheckpointError::Mismatch { .. })
    ));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = save(&file.join("model"), 1, &(), &tensors()).unwrap_err();
    assert!(matches!(
        error,
        CheckpointError::File {
            verb: "written",
            ..
        }
    ));
}
