//! The program itself, where no chain is needed: training offline, and bad input told in words.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = std::fs::File::create(folder.path().join("text")).unwrap();
        for line in 0..400 {
            writeln!(text, "line {line} of words that come again and again").unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, data: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noesis-miner"));
        command
            .arg("--data")
            .arg(self.path(data))
            .arg("--checkpoint")
            .arg(self.path("kept"))
            .args(["--device", "cpu", "--batch", "2"])
            .args(flags)
            .stdin(Stdio::null());
        command
    }

    /// With a folder for the checkpoint named in the flags.
    fn run_bare(&self, data: &str, flags: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noesis-miner"));
        command.arg("--data").arg(self.path(data)).args(flags);
        command.args(["--device", "cpu"]).output().unwrap()
    }

    fn run(&self, data: &str, flags: &[&str]) -> Output {
        self.command(data, flags).output().unwrap()
    }

    /// What a run that must fail says.
    fn fails(&self, data: &str, flags: &[&str]) -> String {
        let output = self.run(data, flags);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(!words.contains("panicked"), "{words}");
        words
    }
}

const TRAIN: [&str; 3] = ["--train-only", "--steps", "3"];
/// At the end of a run only: how many come between depends on how fast the machine writes.
const ONE_CHECKPOINT: [&str; 2] = ["--checkpoint-every", "3600"];
const SERVE: [&str; 4] = ["--coldkey", "//Charlie", "--hotkey", "//Charlie//hotkey"];

fn serve_with<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    SERVE.into_iter().chain(flags.iter().copied()).collect()
}

fn checkpoint(place: &Place) -> PathBuf {
    place.path("kept").join("model.safetensors")
}

#[test]
fn it_trains_offline_goes_on_and_knows_when_there_is_nothing_left() {
    let place = Place::new();
    let events = place.path("events");
    let flags = [&TRAIN[..], &["--events", events.to_str().unwrap()]].concat();
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = said(place.run("text", &flags));
    assert!(
        first.contains("after 3 steps") && first.contains("held-out"),
        "{first}"
    );
    assert!(checkpoint(&place).exists());
    let again = said(place.run("text", &flags));
    assert!(again.contains("nothing to train"), "{again}");
    let more = said(place.run("text", &["--train-only", "--steps", "5"]));
    assert!(more.contains("after 5 steps"), "{more}");
    let lines = std::fs::read_to_string(events).unwrap();
    assert_eq!(
        lines
            .lines()
            .filter(|line| line.contains("\"train\""))
            .count(),
        3
    );
}

#[test]
fn bad_data_is_told_in_words() {
    let place = Place::new();
    assert!(place.fails("nowhere", &TRAIN).contains("does not exist"));
    std::fs::write(place.path("empty"), "\n").unwrap();
    assert!(place.fails("empty", &TRAIN).contains("is empty"));
    std::fs::write(place.path("short"), "a few words").unwrap();
    assert!(place.fails("short", &TRAIN).contains("at least"));
}

/// Images of 4 x 4 pixels, in four IDX files: those of label 1 are bright.
fn images(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for (name, count) in [("train", 120u32), ("t10k", 24)] {
        let labels: Vec<u8> = (0..count).map(|number| (number % 2) as u8).collect();
        let pixels = labels.iter().flat_map(|label| [200 * label; 16]);
        let count = count.to_be_bytes();
        let side = 4u32.to_be_bytes();
        let mut images = [&[0, 0, 8, 3][..], &count, &side, &side].concat();
        images.extend(pixels);
        let labels = [&[0, 0, 8, 1][..], &count, &labels].concat();
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn it_trains_on_images_and_on_vectors() {
    let place = Place::new();
    images(&place.path("images"));
    for market in ["image", "tensor"] {
        let kept = place.path(market);
        let flags = [
            "--train-only",
            "--seed",
            "1",
            "--steps",
            "40",
            "--market",
            market,
            "--checkpoint",
            kept.to_str().unwrap(),
        ];
        let output = place.run_bare("images", &flags);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("held-out images, 100.0 % right"), "{said}");
    }
    let flags = [&TRAIN[..], &["--market", "image"]].concat();
    let words = place.fails("text", &flags);
    assert!(words.contains("train-images-idx3-ubyte"), "{words}");
}

#[test]
fn models_that_cannot_be_served_are_told_before_anything_is_paid() {
    let place = Place::new();
    let text = place.path("text");
    let script = ["--model", "torchscript", text.to_str().unwrap()];
    let words = place.fails("text", &serve_with(&script));
    assert!(words.contains("no TorchScript module"), "{words}");
    assert!(!place.path("kept").exists(), "nothing is left behind");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let remote = ["--model", "remote", &free.to_string()];
    let words = place.fails("text", &serve_with(&remote));
    assert!(words.contains("start the process"), "{words}");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let place = Place::new();
    let train = [&TRAIN[..], &ONE_CHECKPOINT].concat();
    assert!(place.run("text", &train).status.success());
    let more = [&["--train-only", "--steps", "5"][..], &ONE_CHECKPOINT].concat();
    assert!(place.run("text", &more).status.success());
    std::fs::write(checkpoint(&place), "half a checkp").unwrap();
    let output = place.run("text", &more);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert!(
        words.contains("is damaged") && words.contains("of step 3"),
        "{words}"
    );
}

#[test]
fn a_damaged_checkpoint_is_told_in_words_and_left_as_it_is() {
    let place = Place::new();
    let train = [&TRAIN[..], &ONE_CHECKPOINT].concat();
    assert!(place.run("text", &train).status.success());
    let file = checkpoint(&place);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let words = place.fails("text", &train);
    assert!(
        words.contains("is damaged") && words.contains(file.to_str().unwrap()),
        "{words}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    // Nor one of another size.
    std::fs::remove_file(&file).unwrap();
    assert!(place.run("text", &train).status.success());
    let other = [&train[..], &["--response-dim", "32"]].concat();
    assert!(place
        .fails("text", &other)
        .contains("does not fit this model"));
}

#[test]
fn a_port_in_use_is_told_before_anything_is_paid() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = place.fails("text", &serve_with(&["--listen", &address]));
    assert!(
        words.contains(&address) && words.contains("--listen"),
        "{words}"
    );
    assert!(!place.path("kept").exists(), "nothing is left behind");
}

#[test]
fn a_node_that_is_not_there_is_told_in_words() {
    let place = Place::new();
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("ws://{free}");
    let words = place.fails(
        "text",
        &serve_with(&["--listen", "127.0.0.1:0", "--chain", &url]),
    );
    assert!(words.contains(&url), "{words}");
}

#[test]
fn bad_keys_are_told_without_showing_them() {
    let place = Place::new();
    let flags = ["--coldkey", "no such secret words", "--hotkey", "//Charlie"];
    let words = place.fails("text", &flags);
    assert!(
        words.contains("--coldkey") && !words.contains("no such secret"),
        "{words}"
    );
}

fn wait_for(what: &Path, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !what.exists() {
        assert!(Instant::now() < end, "{} never came", what.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tell_to_end(child: &Child) {
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
}

#[test]
fn a_folder_has_one_owner_whom_a_signal_lets_keep_what_was_learned() {
    let place = Place::new();
    let flags = [
        "--train-only",
        "--steps",
        "1000000",
        "--checkpoint-every",
        "1",
    ];
    let mut child = place
        .command("text", &flags)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&checkpoint(&place), 120);
    // Meanwhile the folder is the first one's alone.
    let words = place.fails("text", &TRAIN);
    assert!(
        words.contains("another program") && words.contains("--checkpoint"),
        "{words}"
    );
    tell_to_end(&child);
    let status = child.wait().unwrap();
    let mut words = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut words).unwrap();
    assert_eq!(status.code(), Some(1), "{words}");
    assert!(words.contains("goes on from there"), "{words}");
    // Whole, and more than nothing: training for one step has nothing left to do.
    let again = place.run("text", &["--train-only", "--steps", "1"]);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.contains("nothing to train"), "{said}");
}

#[test]
fn a_second_signal_ends_at_once_what_does_not_end_by_itself() {
    let place = Place::new();
    // It waits for a model that says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let mut child = place
        .command("text", &serve_with(&["--model", "remote", &address]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _line = silent.accept().unwrap();
    tell_to_end(&child);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("once more")));
    tell_to_end(&child);
    let status = child.wait().unwrap();
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert_eq!(status.code(), Some(143), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("told twice")),
        "{rest:?}"
    );
}
