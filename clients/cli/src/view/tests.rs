//! What a reader finds on a screen of 100 by 30 characters.

use super::*;
use crate::row::{rows, tests::market, Answers, Names};
use noesis_chain::NOE;
use ratatui::{backend::TestBackend, Terminal};

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
            ready: true,
        },
        ProcessState {
            name: "late".into(),
            doing: "registering".into(),
            ready: false,
        },
    ];
    view.hints = vec!["logs in /tmp/x/logs   q or Ctrl-C ends everything".into()];
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
        "consens.",
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
    let training = line_with(&lines, "123");
    for number in ["4.50", "2.125", "2.200", "3.300"] {
        assert!(training.contains(number), "{number}: {training}");
    }
    line_with(&lines, "logs in /tmp/x/logs");
    assert!(line_with(&lines, "node up").contains("late registering"));
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
    assert!(lines[0].contains("starting the node"));
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
    line_with(&lines, "more: noesis metagraph shows all");
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
