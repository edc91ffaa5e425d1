//! A miner whose model is another process: its answers, its failures, and what never reaches it.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

mod common;

use std::time::Duration;

use common::{settings, Mode, Running, DIM};
use noesis_miner::{events::Events, FeedbackRules, Remote, RemoteConfig, RemoteError, Settings};
use noesis_model::{Modality, NetworkConfig};
use noesis_neuron::{Caller, Failure, Model, Tensor, Treatment};
use tokio::net::TcpListener;

fn caller() -> Caller {
    Caller {
        hotkey: [1; 32],
        stake: 0,
    }
}

fn tokens() -> Tensor {
    Tensor::i64(vec![1, 2], vec![4, 250]).unwrap()
}

#[tokio::test]
async fn its_answers_are_passed_on_under_the_miners_name() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    let answer = remote.forward(caller(), tokens()).await.unwrap();
    let expected = vec![4.0, 4.0, 4.0, 250.0, 250.0, 250.0];
    assert_eq!(answer, Tensor::f32(vec![1, 2, DIM], expected).unwrap());
    let description = remote.describe();
    assert_eq!(description.sequence_limit, 6);
    assert!(description.model.contains("stand-in"));
}

#[tokio::test]
async fn nonsense_is_a_failure_of_one_call() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    for mode in [
        Mode::Short,
        Mode::Nan,
        Mode::Cut,
        Mode::Nothing,
        Mode::Fail,
        Mode::Panic,
    ] {
        process.turns(mode);
        let answer = remote.forward(caller(), tokens()).await;
        assert!(
            matches!(answer, Err(Failure::Internal(_))),
            "{mode:?}: {answer:?}"
        );
        process.turns(Mode::Honest);
        let answer = remote.forward(caller(), tokens()).await;
        assert!(answer.is_ok(), "after {mode:?}: {answer:?}");
    }
}

#[tokio::test]
async fn each_call_that_reached_it_is_an_event() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("events");
    let settings = Settings {
        events: Events::open(&file).unwrap(),
        ..settings()
    };
    let remote = Remote::connect(process.config(), &settings).await.unwrap();
    let many = Tensor::i64(vec![7, 3], vec![0; 21]).unwrap();
    assert!(remote.forward(caller(), many).await.is_err());
    assert!(remote.forward(caller(), tokens()).await.is_ok());
    let gradient = Tensor::f32(vec![1, 2, DIM], vec![0.5; 2 * DIM]).unwrap();
    assert!(remote.backward(caller(), tokens(), gradient).await.is_ok());
    process.turns(Mode::Nan);
    assert!(remote.forward(caller(), tokens()).await.is_err());

    let lines = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, (method, outcome)) in lines.iter().zip([
        ("forward", "\"outcome\":\"ok\""),
        ("backward", "refused: the model takes no gradients"),
        ("forward", "nonsense: not finite"),
    ]) {
        assert!(line.contains("\"event\":\"served\""), "{line}");
        assert!(line.contains(method) && line.contains(outcome), "{line}");
        assert!(line.contains(&"01".repeat(32)), "{line}");
    }
}

#[tokio::test]
async fn a_process_that_hangs_costs_each_call_its_time() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let config = RemoteConfig {
        patience: Duration::from_secs(1),
        ..process.config()
    };
    let remote = Remote::connect(config, &settings()).await.unwrap();
    process.turns(Mode::Waits);
    let call = || {
        let remote = remote.clone();
        tokio::spawn(async move { remote.forward(caller(), tokens()).await })
    };
    // It is asked one, and as many wait as may.
    let asked = call();
    process.asked(1).await;
    for call in [asked, call(), call()] {
        assert_eq!(call.await.unwrap(), Err(Failure::Deadline));
    }
    process.turns(Mode::Honest);
    assert!(remote.forward(caller(), tokens()).await.is_ok());
}

#[tokio::test]
async fn a_process_that_died_is_told_and_found_again_when_it_is_back() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    let address = process.address.to_string();
    process.ends().await;
    for _ in 0..3 {
        let gone = remote.forward(caller(), tokens()).await;
        assert!(matches!(gone, Err(Failure::Internal(_))), "{gone:?}");
    }
    let _again = Running::start(&address, Mode::Honest).await;
    let mut answer = remote.forward(caller(), tokens()).await;
    // The connection is made anew by the first call that finds it broken.
    if answer.is_err() {
        answer = remote.forward(caller(), tokens()).await;
    }
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn inputs_that_are_no_tokens_or_too_many_never_reach_it() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    process.turns(Mode::Panic);
    let unknown = Tensor::i64(vec![1, 2], vec![0, 258]).unwrap();
    let refused = remote.forward(caller(), unknown).await;
    assert!(matches!(refused, Err(Failure::BadShape(_))), "{refused:?}");
    let many = Tensor::i64(vec![7, 3], vec![0; 21]).unwrap();
    let refused = remote.forward(caller(), many).await;
    assert!(matches!(refused, Err(Failure::TooLarge(_))), "{refused:?}");
}

#[tokio::test]
async fn a_caller_without_stake_cannot_keep_it_from_the_others_for_long() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let settings = Settings {
        feedback: FeedbackRules {
            stake: 10,
            ..FeedbackRules::default()
        },
        ..Settings::default()
    };
    let remote = Remote::connect(process.config(), &settings).await.unwrap();
    let ask = async |stake: u64, count: usize| {
        let caller = Caller {
            hotkey: [1; 32],
            stake,
        };
        let inputs = Tensor::i64(vec![count, 4], vec![7; 4 * count]).unwrap();
        remote.forward(caller, inputs).await
    };
    assert!(ask(9, 64).await.is_ok());
    let refused = ask(9, 65).await;
    let Err(Failure::TooLarge(words)) = refused else {
        panic!("{refused:?}");
    };
    assert!(words.contains("256 are the most"), "{words}");
    // As many positions as a validator's questions have with its default batch, and half as many more for its student.
    assert!(ask(10, 24 * 16).await.is_ok());
}

#[tokio::test]
async fn nor_can_it_with_images_larger_than_the_markets() {
    let process = Running::start("127.0.0.1:0", Mode::Images(49)).await;
    let config = RemoteConfig {
        network: NetworkConfig::builtin(Modality::Image, 64, DIM as i64),
        ..process.config()
    };
    let settings = Settings {
        feedback: FeedbackRules {
            stake: 10,
            ..FeedbackRules::default()
        },
        ..Settings::default()
    };
    let remote = Remote::connect(config, &settings).await.unwrap();
    let ask = async |stake: u64, count: usize, side: usize| {
        let caller = Caller {
            hotkey: [1; 32],
            stake,
        };
        let shape = vec![count, 1, side, side];
        let brightness = vec![0.5; shape.iter().product()];
        let inputs = Tensor::f32(shape, brightness).unwrap();
        remote.forward(caller, inputs).await
    };
    // As many of the market's as 256 positions allow, or as many pixels as they have.
    assert!(ask(9, 5, 28).await.is_ok());
    assert!(ask(9, 1, 64).await.is_ok());
    let refused = ask(9, 1, 65).await;
    let Err(Failure::TooLarge(words)) = refused else {
        panic!("{refused:?}");
    };
    assert!(words.contains("4096 are the most"), "{words}");
    assert!(ask(10, 1, 65).await.is_ok());
}

#[tokio::test]
async fn gradients_that_it_does_not_take_are_refused_in_words() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let remote = process.connect().await.unwrap();
    let gradient = || Tensor::f32(vec![1, 2, DIM], vec![0.5; 2 * DIM]).unwrap();
    for said in ["takes no gradients", "takes no gradients", "quota"] {
        let treated = remote.backward(caller(), tokens(), gradient()).await;
        let Ok(Treatment::Refused(words)) = treated else {
            panic!("{treated:?}");
        };
        assert!(words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn its_certificate_is_kept_in_a_folder_that_is_made() {
    let process = Running::start("127.0.0.1:0", Mode::Honest).await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("made/on/the/way");
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", free.local_addr().unwrap());
    drop(free);
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_noesis-miner"));
    command
        .kill_on_drop(true)
        .args(["--model", "remote", &process.address.to_string()])
        .args(["--response-dim", &DIM.to_string(), "--sequence", "6"])
        .args(["--coldkey", "//Charlie", "--hotkey", "//Charlie//hotkey"])
        .args(["--listen", "127.0.0.1:0", "--tls", "on", "--chain", &url])
        .arg("--checkpoint")
        .arg(&folder);
    let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let ended = ended.expect("it does not wait for a chain").unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert!(words.contains(&url), "it got as far as the chain: {words}");
    assert!(folder.join("tls.pem").exists());
}

#[tokio::test]
async fn what_is_no_model_of_the_market_is_told_at_the_start() {
    let process = Running::start("127.0.0.1:0", Mode::OtherModality).await;
    let told = |error: RemoteError| error.to_string();
    let words = told(process.connect().await.unwrap_err());
    assert!(words.contains("MODALITY_IMAGE"), "{words}");
    process.turns(Mode::Fail);
    let words = told(process.connect().await.unwrap_err());
    assert!(words.contains("out of memory"), "{words}");
    process.turns(Mode::Honest);
    let wider = RemoteConfig {
        network: NetworkConfig::builtin(Modality::Text, 64, 64),
        ..process.config()
    };
    let words = told(Remote::connect(wider, &settings()).await.unwrap_err());
    assert!(words.contains("--response-dim"), "{words}");
    let config = process.config();
    process.ends().await;
    let words = told(Remote::connect(config, &settings()).await.unwrap_err());
    assert!(words.contains("start the process"), "{words}");
}

#[tokio::test]
async fn an_image_counts_as_the_positions_of_its_answer_which_are_those_that_callers_take() {
    let process = Running::start("127.0.0.1:0", Mode::Images(1)).await;
    let config = RemoteConfig {
        network: NetworkConfig::builtin(Modality::Image, 64, DIM as i64),
        ..process.config()
    };
    let settings = Settings {
        positions_a_call: 2 * 49,
        ..settings()
    };
    let refused = Remote::connect(config.clone(), &settings).await;
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("take 49"), "{words}");
    process.turns(Mode::Images(49));
    let remote = Remote::connect(config, &settings).await.unwrap();
    let images = |count: usize| {
        let brightness = vec![0.5; count * 28 * 28];
        Tensor::f32(vec![count, 1, 28, 28], brightness).unwrap()
    };
    let answer = remote.forward(caller(), images(2)).await.unwrap();
    assert_eq!(answer.shape, [2, 49, DIM]);
    let refused = remote.forward(caller(), images(3)).await;
    assert!(matches!(refused, Err(Failure::TooLarge(_))), "{refused:?}");
}
