//! The program as it is used: answers, formats, pictures, errors.

#![allow(clippy::unwrap_used)] // a test may

use std::process::{Command, Output};

fn lab(flags: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_noesis-lab"))
        .args(flags.split_whitespace())
        .output()
        .unwrap()
}

fn printed(flags: &str) -> String {
    let output = lab(flags);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{flags}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Each experiment, with flags that make it short, and the header of its table.
const EXPERIMENTS: [(&str, &str); 12] = [
    ("cabal --epochs 3", "epoch,cabal_share,loss,minted"),
    (
        "sweep --epochs 3 --cabal-stakes 0.4,0.6 --connectivity 0.5,1",
        "cabal_stake,honest_edges,loss,minted_epochs,final_share,fate",
    ),
    (
        "self-weight --stakes 0.1,0.2",
        "stake,valued_honest,valued_allowed,valued_banned,valued_two_keys,\
         worthless_honest,worthless_allowed,worthless_banned,worthless_two_keys",
    ),
    ("self-dealing --peers 4", "dealers,honest_pay,dealer_pay"),
    (
        "epsilon-edges --honest-peers 5 --cabal-peers 5",
        "bribed_stake,dust_no_threshold,dust,priced",
    ),
    (
        "copying --epochs 5 --runs 1 --reveal-periods 0,2",
        "reveal_period,return_ratio,misplaced",
    ),
    (
        "sybils --keys 1,2",
        "keys,valued_honest,valued_own,worthless_honest,worthless_own",
    ),
    (
        "turncoat --epochs 10 --turn 2 --notices 0,2",
        "notice,share_at_turn,peak_share,final_share,minted_epochs,critical_stake",
    ),
    (
        "bribery --epochs 3 --idle-peers 4",
        "bribed_stake,share_of_votes,bribed_pay,final_share,minted_epochs,\
         counted_bribed_pay,counted_final_share,counted_minted_epochs",
    ),
    (
        "silent-miners --epochs 5 --voting 0,1",
        "voting_miners,final_share_of_votes,final_share,minted_epochs,\
         holds_from_gate_on,wins_from_gate_off",
    ),
    (
        "hedging --cabal-stakes 0.2 --on-honest 0,1",
        "cabal_stake,on_honest,pay_ratio",
    ),
    (
        "halting --stakes 0.2,0.4",
        "stake,loss_scattered,loss_together",
    ),
];

#[test]
fn every_experiment_states_its_question_and_answers_it_in_each_format() {
    for (flags, header) in EXPERIMENTS {
        let text = printed(flags);
        let question = text.lines().next().unwrap();
        assert!(question.ends_with('?'), "{flags}: {question}");
        let answer = text.lines().nth(2).unwrap();
        assert!(
            answer.ends_with('.') && answer.contains(|c: char| c.is_ascii_digit()),
            "{flags}: {answer}"
        );

        let csv = printed(&format!("{flags} --format csv"));
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some(header));
        let columns = header.split(',').count();
        assert!(lines.all(|line| line.split(',').count() == columns));

        let json: serde_json::Value =
            serde_json::from_str(&printed(&format!("{flags} --format json"))).unwrap();
        assert_eq!(json["question"], question);
        assert_eq!(json["answer"], answer);
        assert_eq!(
            json["rows"].as_array().unwrap().len(),
            csv.lines().count() - 1
        );
    }
}

#[test]
fn every_experiment_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, _) in EXPERIMENTS {
        let name = flags.split(' ').next().unwrap();
        let out = folder.path().join(name);
        printed(&format!("plot {flags} --out {}", out.display()));
        let svg = std::fs::read_to_string(out.with_extension("svg")).unwrap();
        let tree = resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).unwrap();
        assert!(tree.size().width() > 900.0);
        assert!(svg.matches(r#"<g class="series""#).count() >= 1, "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        // The title fits into the width.
        let title = svg
            .split("<title>")
            .nth(1)
            .unwrap()
            .split("</title>")
            .next()
            .unwrap();
        assert!(title.len() <= 62, "{name}: {title}");
        let png = std::fs::read(out.with_extension("png")).unwrap();
        let pixels = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
        assert_eq!(pixels.width(), 1920, "{name}");
    }
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    for (flags, words) in [
        ("cabal --cabal-stake 1.5", "from 0 to 1"),
        ("cabal --honest-peers 0", "1..=2048"),
        ("cabal --honest-edges 52", "from 1 to 51"),
        ("cabal --honest-edges 0", "1..="),
        ("cabal --rate 2", "from 0 to 1"),
        ("cabal --epochs 0", "1..=10000"),
        ("cabal --epochs 1000", "at most 216 epochs"),
        ("cabal --rho 200", "from 0.000000001 to 100"),
        ("sweep --cabal-stakes 0:2:1", "from 0 to 1"),
        ("sybils --keys 0", "1..=2000"),
        ("copying --reveal-periods 200", "0..=100"),
        (
            "copying --epochs 10000 --validators 100 --miners 1000",
            "at most 20000000",
        ),
        ("turncoat --turn 100", "from 0 to 99"),
        ("replay --epoch 0", "1.."),
        ("replay --url localhost", "no address of a node"),
        ("plot halting --out here.pdf", ".svg or .png"),
        ("plot halting --out /absent/folder/x.svg", "another path"),
    ] {
        let output = lab(flags);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{flags}");
        assert!(error.contains(words), "{flags}: {error}");
        assert!(!error.contains("panicked"), "{flags}: {error}");
    }
}

#[test]
fn extreme_flags_have_an_answer_all_the_same() {
    for flags in [
        "cabal --cabal-stake 0 --epochs 2",
        "cabal --cabal-stake 1 --epochs 2 --honest-peers 1 --cabal-peers 1",
        "cabal --rate 0 --epochs 2",
        "cabal --rate 1 --epochs 20 --activity-cutoff 0 --kappa 1 --lambda 1 --alpha 1 --quorum 1",
        "sweep --cabal-stakes 0,1 --connectivity 0,1 --epochs 1",
        "self-weight --stakes 0,1",
        "epsilon-edges --cabal-stake 1 --trust-threshold 1",
        "epsilon-edges --cabal-stake 0 --honest-peers 1",
        "sybils --stake 0 --keys 1 --max-weight 0",
        "self-dealing --peers 2 --on-itself 0",
        "hedging --cabal-stakes 0,1 --cabal-peers 1",
        "bribery --honest-stake 0 --cabal-stake 1 --epochs 2 --idle-peers 2",
        "bribery --honest-stake 0 --cabal-stake 0 --epochs 2 --idle-peers 2",
        "turncoat --worth 0 --cabal-stake 0 --turn 1 --epochs 3 --notices 4000000000",
        "silent-miners --cabal-stake 0 --epochs 2 --voting 0",
        "halting --stakes 0,1",
        "copying --turnover 1 --noise 1 --epochs 2 --runs 1 --miners 2 --validators 1",
    ] {
        let text = printed(flags);
        assert!(
            !text.contains("NaN") && !text.contains("inf"),
            "{flags}: {text}"
        );
    }
}
