//! What a neuron and its callers hold on to. A program of its own, since others would be counted too.

mod common;

use common::{limits, start, tokens, validator, Mood, Toy, DIM, SOON};
use noesis_neuron::{Limits, Modality, Tensor};

/// Pages of this process in memory.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).expect("the second number");
    pages.parse().expect("a number")
}

#[tokio::test]
async fn calls_leave_nothing_behind() {
    const CALLS: usize = 3000;
    let answer = Tensor::f32([1, 64, DIM as usize], vec![0.5; 64 * DIM as usize]).expect("fits");
    let toy = Toy {
        mood: Mood::Says(answer),
        ..Toy::default()
    };
    // Requests are remembered for half a minute, two hundred bytes each: that is not what is looked for.
    let limits = Limits {
        replay_capacity_per_caller: 3 * CALLS,
        ..limits()
    };
    let neuron = start(toy, limits).await;
    let (client, peer, inputs) = (validator(), neuron.peer(), tokens([1, 64]));
    let mut found = Vec::new();
    for _ in 0..3 {
        for _ in 0..CALLS {
            let answer = client.forward(&peer, Modality::Text, &inputs, SOON);
            answer.await.expect("answered");
        }
        found.push(resident());
    }
    let remembered = (CALLS * 200 / 4096) as f64;
    assert!(found[2] < found[0] * 1.05 + 2.0 * remembered, "{found:?}");
}
