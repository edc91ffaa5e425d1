//! What a reader finds on a screen.

use std::collections::BTreeMap;

use super::{draw::heights, *};
use crate::row::{
    rows,
    tests::{market, pool},
    with_pools, Names, Role,
};
use noesis_chain::{Pool, NOE};
use ratatui::{backend::TestBackend, style::Color, Terminal};

/// The screen's lines after drawing `view`.
fn screen(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    let buffer = terminal.backend().buffer();
    (0..height)
        .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect())
        .collect()
}

fn running() -> View {
    let names = Names::from([
        ([0; 32], ("validator-1".into(), Role::Validator)),
        ([1; 32], ("trained".into(), Role::Miner)),
    ]);
    let answers = Answers::from([(1, "ok 12 ms".into())]);
    let metagraph = market(3, 10 * NOE);
    let mut view = View::new("text market at ws://127.0.0.1:9900".into());
    view.stage.clear();
    view.paid_epochs = 2;
    view.show(34, &metagraph, rows(&metagraph, &names, &answers));
    view.trainings = vec![Training {
        name: "validator-1".into(),
        step: 123,
        rate: Some(4.5),
        losses: vec![5.0, 3.0, 2.125],
        joined: Some(2.2),
        alone: Some(3.3),
    }];
    view.processes = vec![
        ProcessState {
            name: "node".into(),
            doing: "up".into(),
            stage: Stage::Ready,
        },
        ProcessState {
            name: "late".into(),
            doing: "registering".into(),
            stage: Stage::Starting,
        },
    ];
    view.hints = vec![
        "q or Ctrl-C ends everything".into(),
        "logs in /tmp/x/logs".into(),
        "/root/.cache/noesis/target/release/noesis watch --url ws://127.0.0.1:9900".into(),
    ];
    view
}

/// The line with `text`, whose words are then looked at one by one.
fn line_with<'a>(lines: &'a [String], text: &str) -> &'a str {
    lines
        .iter()
        .find(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no `{text}` in\n{}", lines.join("\n")))
}

#[test]
fn every_column_is_legible_at_100_by_30() {
    let lines = screen(&running(), 100, 30);
    let header = line_with(&lines, "uid");
    for column in [
        "who",
        "stake NOE",
        "rank",
        "trust",
        "consensus",
        "incentive",
        "dividend",
        "pay NOE",
        "last answer",
    ] {
        assert!(header.contains(column), "{column}: {header}");
    }
    let miner: Vec<&str> = line_with(&lines, "ok 12 ms").split_whitespace().collect();
    assert_eq!(
        miner,
        [
            "│", "1", "trained", "0.000", "0.750", "0.750", "0.750", "0.750", "-", "5.000", "ok",
            "12", "ms", "│"
        ]
    );
    assert!(line_with(&lines, "1,000.000").contains("validator-1"));
    assert!(line_with(&lines, "next epoch in").contains("6 blocks"));
    assert!(line_with(&lines, "consensus loss").contains("-0.250 (in consensus)"));
    line_with(&lines, "kept-apart loss alone");
    let training = line_with(&lines, "123");
    for number in ["4.50", "2.125", "2.200", "3.300"] {
        assert!(training.contains(number), "{number}: {training}");
    }
    line_with(&lines, "logs in /tmp/x/logs");
    assert!(line_with(&lines, "node up").contains("late registering"));
    line_with(&lines, "rank: what the validators' stake says");
}

/// The local network: four miners and two validators, all running.
fn local_network() -> View {
    let mut view = running();
    let (mut metagraph, mut names, mut answers) =
        (market(3, 10 * NOE), Names::new(), Answers::new());
    let two = std::mem::take(&mut metagraph.neurons);
    for (uid, name) in (0..).zip(MEMBERS) {
        let role = match name.starts_with("validator") {
            true => Role::Validator,
            false => Role::Miner,
        };
        let mut neuron = two[usize::from(role == Role::Miner)].clone();
        neuron.uid = uid;
        neuron.hotkey.0 = [uid as u8; 32];
        metagraph.neurons.push(neuron);
        names.insert([uid as u8; 32], (name.into(), role));
        answers.insert(uid, "ok 1234 ms".into());
    }
    view.show(1234, &metagraph, rows(&metagraph, &names, &answers));
    view.trainings.push(view.trainings[0].clone());
    view.processes = MEMBERS
        .into_iter()
        .map(|name| ProcessState {
            name: name.into(),
            doing: "validating".into(),
            stage: Stage::Ready,
        })
        .collect();
    view
}

const MEMBERS: [&str; 6] = [
    "validator-1",
    "trained",
    "scratch",
    "noise",
    "late",
    "validator-2",
];

/// That every neuron is there with its pay and its last answer, under whole headers.
fn assert_neurons(lines: &[String]) {
    let header = line_with(lines, "who");
    for column in ["incentive", "dividend", "pay NOE", "last answer"] {
        assert!(header.contains(column), "{column}: {header}");
    }
    for name in MEMBERS {
        let neuron = |line: &&String| line.contains(name) && line.contains("ok 1234 ms");
        assert!(
            lines.iter().any(|line| neuron(&line)),
            "no {name} in\n{}",
            lines.join("\n")
        );
    }
}

#[test]
fn at_80_by_24_everything_is_there_and_nothing_cut() {
    let lines = screen(&local_network(), 80, 24);
    assert_neurons(&lines);
    for column in ["uid", "rank", "trust", "consensus"] {
        assert!(line_with(&lines, "who").contains(column), "{column}");
    }
    line_with(&lines, "paid epochs 2");
    line_with(&lines, "next epoch in");
    assert!(line_with(&lines, "steps/s").contains("alone"));
    line_with(&lines, "processes");
    line_with(&lines, "noesis watch --url ws://127.0.0.1:9900");
}

#[test]
fn what_others_put_behind_a_neuron_has_a_column_where_there_is_room() {
    let metagraph = market(3, 10 * NOE);
    let view = |pools: BTreeMap<u16, Pool>| {
        let mut view = View::new("text market".into());
        let rows = rows(&metagraph, &Names::new(), &Answers::new());
        view.show(34, &metagraph, with_pools(rows, &pools));
        view
    };
    let (none, one) = (
        view(BTreeMap::new()),
        view(BTreeMap::from([(0, pool(250 * NOE))])),
    );
    let lines = screen(&one, 100, 30);
    assert!(line_with(&lines, "uid").contains("delegated NOE"));
    assert!(line_with(&lines, "1,000.000").contains("250.000"));
    let lines = screen(&none, 100, 30);
    assert!(!line_with(&lines, "uid").contains("delegated NOE"));
    let [none, one] = [none, one].map(|view| screen(&view, 80, 24));
    assert_eq!(line_with(&none, "uid"), line_with(&one, "uid"));
}

#[test]
fn at_60_by_15_the_neurons_are_what_remains() {
    let lines = screen(&local_network(), 60, 15);
    assert_neurons(&lines);
    line_with(&lines, "paid epochs 2");
    assert!(!lines.iter().any(|line| line.contains("processes")));
    assert!(!lines.iter().any(|line| line.contains("steps/s")));
}

#[test]
fn what_is_awaited_is_wrapped_not_cut() {
    let mut view = local_network();
    view.stage = "no node answers at ws://127.0.0.1:9944 (nothing within 5 seconds): start one \
        (noesis-node --dev), or give the address of one that runs"
        .into();
    let lines = screen(&view, 80, 24);
    assert_neurons(&lines);
    let text: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    assert!(text.join(" ").contains(&view.stage), "{}", lines.join("\n"));
}

#[test]
fn no_consensus_alarms_only_after_there_was_one() {
    let mut view = running();
    let metagraph = market(3, 0);
    view.show(34, &metagraph, Vec::new());
    for (paid_epochs, colour) in [(0, Color::Yellow), (1, Color::Red)] {
        view.paid_epochs = paid_epochs;
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| draw(frame, &view)).unwrap();
        let cells = terminal.backend().buffer().content();
        assert_eq!(
            cells.iter().any(|cell| cell.fg == Color::Red),
            paid_epochs > 0
        );
        assert!(cells.iter().any(|cell| cell.fg == colour));
    }
}

#[test]
fn what_is_left_on_the_terminal_is_the_table_and_a_line() {
    let plain = local_network().plain(usize::MAX).unwrap();
    let lines: Vec<&str> = plain.lines().collect();
    assert_eq!(lines.len(), 1 + MEMBERS.len() + 1);
    assert!(lines[1].contains("1,000.000") && lines[1].ends_with("ok 1234 ms"));
    let end = "block 1234, epoch 3, consensus loss -0.250 (in consensus), minted 10.000 NOE";
    assert!(lines[7].ends_with(end), "{}", lines[7]);
    assert_eq!(View::new("text market".into()).plain(80), None);
}

#[test]
fn what_is_left_on_the_terminal_fits_it() {
    let mut unanswered = local_network();
    unanswered.answer(&Answers::new());
    for (view, last) in [(local_network(), true), (unanswered, false)] {
        for width in [60, 80] {
            let plain = view.plain(width).unwrap();
            for line in plain.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert_eq!(plain.contains("last answer"), last, "{width}\n{plain}");
            assert!(plain.contains("pay NOE"), "{plain}");
            assert!(plain.contains("minted 10.000 NOE"), "{plain}");
        }
    }
}

#[test]
fn silence_is_told_with_its_length_until_the_next_block() {
    let mut view = running();
    let silent = |view: &View| {
        let lines = screen(view, 80, 30);
        lines.iter().find(|line| line.contains("no block")).cloned()
    };
    assert_eq!(silent(&view), None);
    let pulse = view.pulse.as_mut().unwrap();
    pulse.at -= Duration::from_secs(14);
    assert!(silent(&view).unwrap().contains("for 14 s"));
    assert!(view
        .plain(80)
        .unwrap()
        .contains("no block has become final for 14 s"));
    // A node that is asked tells of the same block again.
    let metagraph = market(3, 10 * NOE);
    view.show(34, &metagraph, Vec::new());
    assert!(silent(&view).is_some());
    view.show(35, &metagraph, Vec::new());
    assert_eq!(silent(&view), None);
    // Where blocks come this slowly, seven seconds are not silence.
    view.pulse.as_mut().unwrap().at -= Duration::from_secs(7);
    assert_eq!(silent(&view), None);
}

#[test]
fn that_all_weights_are_too_old_is_said_in_words() {
    let mut view = running();
    let mut metagraph = market(3, 0);
    metagraph.rules.activity_cutoff = 37;
    view.show(34, &metagraph, Vec::new());
    assert!(view.warnings(Instant::now()).is_empty(), "they still count");
    metagraph.rules.activity_cutoff = 36;
    view.show(35, &metagraph, Vec::new());
    let text = screen(&view, 80, 30).join(" ");
    let text: Vec<_> = text.split_whitespace().collect();
    let words =
        "the newest weights are of block 3: at the next epoch all are older than activity_cutoff";
    assert!(text.join(" ").contains(words), "{text:?}");
    // Nobody has voted yet: nothing has stopped.
    metagraph.neurons[0].last_update = None;
    view.show(36, &metagraph, Vec::new());
    assert!(view.warnings(Instant::now()).is_empty());
}

#[test]
fn earning_and_failing_have_their_colours() {
    let mut view = running();
    view.answer(&Answers::from([(1, "late".into())]));
    let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    terminal.draw(|frame| draw(frame, &view)).unwrap();
    let buffer = terminal.backend().buffer();
    let colour_of = |text: &str| {
        let first = text.chars().next().unwrap().to_string();
        (0..30)
            .flat_map(|y| (0..100 - text.len() as u16).map(move |x| (x, y)))
            .find(|&(x, y)| {
                let there: String = (0..text.len() as u16)
                    .map(|offset| buffer[(x + offset, y)].symbol())
                    .collect();
                buffer[(x, y)].symbol() == first && there == text
            })
            .map(|at| buffer[at].fg)
    };
    assert_eq!(colour_of("trained"), Some(Color::Green));
    assert_eq!(colour_of("late"), Some(Color::Red));
}

#[test]
fn before_the_first_snapshot_it_says_what_it_waits_for() {
    let mut view = View::new("text market".into());
    view.stage = "starting the node".into();
    let lines = screen(&view, 100, 30);
    line_with(&lines, "starting the node");
    line_with(&lines, "nobody has registered yet");
}

#[test]
fn a_small_terminal_and_a_large_market_do_no_harm() {
    let mut view = running();
    let mut metagraph = market(3, NOE);
    let one = metagraph.neurons[1].clone();
    metagraph.neurons = vec![one; 4096];
    view.show(
        34,
        &metagraph,
        rows(&metagraph, &Names::new(), &Answers::new()),
    );
    let lines = screen(&view, 100, 30);
    line_with(&lines, "more: noesis market metagraph shows all");
    for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
        screen(&view, width, height);
    }
}

#[test]
fn bars_show_the_fall_of_a_loss() {
    assert_eq!(heights(&[3.0, 2.0, 1.0], 2), [1001, 1]);
    assert_eq!(heights(&[], 5), [0_u64; 0]);
    assert_eq!(heights(&[f64::NAN], 5), [1]);
}
