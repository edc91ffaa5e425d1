use noesis_model::tch::{CModule, Kind, Tensor};

use super::*;

fn parse(flags: &str) -> Result<Config, clap::Error> {
    let always = "noesis-miner --data text --checkpoint folder ";
    Config::read((always.to_owned() + flags).split_whitespace())
}

const KEYS: &str = "--coldkey //Charlie --hotkey //Charlie//hotkey ";

#[test]
fn keys_are_needed_to_serve_and_not_to_train() {
    let served = parse(KEYS).unwrap();
    served.check().unwrap();
    assert_eq!(served.until_step(), u64::MAX);
    let trained = parse("--train-only --steps 9").unwrap();
    assert_eq!(trained.until_step(), 9);
    let words = parse("").unwrap_err().to_string();
    assert!(
        words.contains("--coldkey") && words.contains("--hotkey"),
        "{words}"
    );
}

#[test]
fn flags_that_make_no_sense_are_refused_in_words() {
    for (flags, said) in [
        ("--duty 0", "--duty"),
        ("--duty nan", "--duty"),
        ("--duty 0.001", "--duty"),
        ("--duty 1.5", "--duty"),
        ("--batch 0", "--batch"),
        ("--gradient-rate=-1", "--gradient-rate"),
        ("--listen 0.0.0.0:9101", "--endpoint"),
        ("--response-dim 0", "--response-dim"),
        ("--fault leak --market image", "leak"),
        ("--model other", "torchscript FILE"),
        ("--model torchscript", "torchscript FILE"),
        ("--model builtin more", "torchscript FILE"),
        ("--model remote nowhere", "address of this machine"),
        ("--model remote 10.0.0.1:80", "address of this machine"),
        ("--model remote 0.0.0.0:80", "address of this machine"),
        ("--model remote 127.0.0.1:80 --fault noise", "--fault"),
        ("--model remote 127.0.0.1:80 --steps 3", "--steps"),
        ("--model remote 127.0.0.1:80 --device cuda", "--device"),
        ("--modality image", "--market text"),
    ] {
        let flags = KEYS.to_owned() + flags;
        let words = parse(&flags).unwrap().check().unwrap_err().to_string();
        assert!(words.contains(said), "{flags}: {words}");
    }
    for flags in [
        "--fault lie",
        "--device gpu",
        "--listen nowhere",
        "--sequence 0",
        "--queue 0",
        "--queue 129",
        "--checkpoint-every 18446744073709551615",
        "--modality smell",
    ] {
        assert!(parse(&(KEYS.to_owned() + flags)).is_err(), "{flags}");
    }
}

#[test]
fn each_model_needs_what_it_learns_from_and_where_it_is_kept() {
    let check = |flags: &str| {
        let flags = format!("noesis-miner {KEYS} {flags}");
        let config = Config::try_parse_from(flags.split_whitespace()).unwrap();
        config.check().map_err(|error| error.to_string())
    };
    assert_eq!(check("--data d --checkpoint c"), Ok(()));
    assert_eq!(check("--model torchscript net.pt --checkpoint c"), Ok(()));
    assert_eq!(check("--model remote localhost:9201"), Ok(()));
    assert_eq!(check("--model remote [::1]:9201"), Ok(()));
    assert_eq!(check("--model remote [::1]:9201 --device cpu"), Ok(()));
    for (flags, said) in [
        ("", "--data"),
        ("--data d", "--checkpoint"),
        ("--model torchscript net.pt", "--checkpoint"),
        (
            "--model torchscript net.pt --checkpoint c --steps 9",
            "--data",
        ),
        (
            "--model torchscript net.pt --checkpoint c --evaluate 9",
            "--data",
        ),
        ("--model remote 127.0.0.1:1 --evaluate 9", "--evaluate"),
    ] {
        let words = check(flags).unwrap_err();
        assert!(words.contains(said), "{flags}: {words}");
    }
}

#[test]
fn the_modality_is_the_markets_unless_that_is_a_number() {
    let modality = |flags: &str| parse(&(KEYS.to_owned() + flags)).unwrap().modality();
    assert_eq!(modality(""), Modality::Text);
    assert_eq!(modality("--market image"), Modality::Image);
    assert_eq!(modality("--market tensor"), Modality::Tensor);
    assert_eq!(modality("--market 3"), Modality::Text);
    assert_eq!(modality("--market 3 --modality image"), Modality::Image);
}

#[test]
fn the_endpoint_is_where_it_listens_unless_said() {
    let bound = "127.0.0.1:9101".parse().unwrap();
    let config = parse(KEYS).unwrap();
    assert_eq!(config.published_endpoint(bound), "127.0.0.1:9101");
    let told = parse(&(KEYS.to_owned() + "--endpoint example.org:1 --listen 0.0.0.0:1")).unwrap();
    told.check().unwrap();
    assert_eq!(told.published_endpoint(bound), "example.org:1");
}

#[test]
fn tls_is_on_where_others_could_listen_in() {
    for (flags, on) in [
        ("", false),
        ("--listen [::1]:1", false),
        ("--listen 192.0.2.1:1", true),
        ("--listen 192.0.2.1:1 --tls off", false),
        ("--tls on", true),
    ] {
        let config = parse(&(KEYS.to_owned() + flags)).unwrap();
        assert_eq!(config.serves_tls(), on, "{flags}");
    }
}

#[test]
fn a_module_that_answers_an_image_elsewhere_than_at_its_patches_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("eye.pt");
    let flags = format!(
        "{KEYS} --market image --response-dim 3 --checkpoint c --model torchscript {}",
        file.display()
    );
    let words = ["noesis-miner"].into_iter().chain(flags.split_whitespace());
    let config = Config::read(words).unwrap();
    let images = [Tensor::zeros([2, 1, 28, 28], (Kind::Float, Device::Cpu))];
    let load = |positions: i64| {
        // The first three pixels of each part of the image.
        let mut answer = |inputs: &[Tensor]| {
            let parts = inputs[0].reshape([-1, positions, 28 * 28 / positions]);
            vec![parts.narrow(2, 0, 3)]
        };
        let traced = CModule::create_by_tracing("Eye", "forward", &images, &mut answer);
        traced.unwrap().save(&file).unwrap();
        config.load(Device::Cpu)
    };
    assert!(load(49).is_ok());
    for positions in [1, 196] {
        let words = load(positions).unwrap_err().to_string();
        let said =
            format!("{positions} positions to an image, and the market's validators take 49");
        assert!(words.contains(&said), "{words}");
    }
}

#[test]
fn the_command_line_is_sound() {
    Config::command().debug_assert();
}

#[test]
fn whoever_waits_is_admitted_and_by_default_no_more_than_a_server_admits_by_itself() {
    let limits = |flags: &str| parse(&(KEYS.to_owned() + flags)).unwrap().limits();
    let (ours, default) = (limits(""), Limits::default());
    assert_eq!(
        (ours.calls, ours.calls_per_caller),
        (default.calls, default.calls_per_caller)
    );
    for queue in [1, 128] {
        assert!(limits(&format!("--queue {queue}")).calls > queue);
    }
    assert_eq!(default.caller_stake, ours.caller_stake);
    assert_eq!(limits("--caller-stake 3").caller_stake, 3 * NOE);
    // As the help of --queue says.
    assert_eq!(ours.message_bytes * 8, 128 << 20);
}
