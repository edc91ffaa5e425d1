//! What a validator's gradients do, over real gRPC on loopback and on the King James text: a miner that follows them
//! becomes the better by its own measure, and is worth more to the validator.

// The configuration lets tests unwrap, and does not take their helpers for tests.
#![allow(clippy::unwrap_used)]

mod common;

use common::{data, held_out, model, refuses, settings, Market, ALONE, BEGUN};
use noesis_miner::{FeedbackRules, Keeping, OwnTraining, Settings as MinerSettings};
use noesis_model::{tch::Device, NetworkConfig, Split, Trainer, TrainingConfig, TransformerConfig};
use noesis_validator::{
    backward::Treated,
    validator::{Settings, Validator},
};
use std::{collections::HashMap, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

/// What became of gradients, by the peers' slots.
#[derive(Debug, Default)]
struct Gradients(HashMap<(u16, Treated), u32>);

impl Gradients {
    /// Takes down those of a validator's next step.
    async fn step(&mut self, validator: &mut Validator, market: &Market) {
        let step = validator.step(&market.candidates).await.unwrap();
        for gradient in step.gradients {
            *self.0.entry(gradient).or_default() += 1;
        }
    }

    fn count(&self, uid: u16, how: Treated) -> u32 {
        self.0.get(&(uid, how)).copied().unwrap_or(0)
    }

    fn taken(&self, uid: u16) -> u32 {
        self.count(uid, Treated::Applied) + self.count(uid, Treated::Queued)
    }
}

/// A small local model and plenty of text: what is gained is gained by the peers.
fn depends_on_peers(seed: u64) -> Settings {
    let mut settings = Settings {
        own_data: 1 << 20,
        ..settings(seed)
    };
    settings.learner.model = NetworkConfig::Transformer(TransformerConfig {
        width: 16,
        layers: 1,
        ..TransformerConfig::default()
    });
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn gradients_make_a_miners_contribution_better() {
    let _alone = ALONE.lock().await;
    let mut market = Market::new();
    let eager = FeedbackRules {
        quota: 10_000,
        ..FeedbackRules::default()
    };
    let learns = market.add(model(BEGUN), None, eager).await;
    let refuses = market.add(model(BEGUN), None, refuses()).await;
    let tokens = held_out();
    let before = market.answers(&[learns, refuses], &tokens).await;
    assert_eq!(before[0].1, before[1].1, "they begin as twins");

    let mut validator = market.validator(depends_on_peers(2));
    let mut gradients = Gradients::default();
    for _ in 0..600 {
        gradients.step(&mut validator, &market).await;
    }
    assert!(gradients.taken(0) > 50, "{gradients:?}");
    assert!(
        gradients.taken(1) == 0 && gradients.count(1, Treated::Refused) > 50,
        "{gradients:?}"
    );

    let after = market.answers(&[learns, refuses], &tokens).await;
    assert_eq!(before[1].1, after[1].1, "who refuses stays as it was");
    assert_ne!(before[0].1, after[0].1);
    let loss = |place: usize| {
        validator
            .learner()
            .evaluate(&tokens, &after[place..=place])
            .0
    };
    let (with_learner, with_refuser) = (loss(0), loss(1));
    let ablation = |peer| validator.ledger().get(peer).unwrap().evidence;
    let (first, second) = (ablation(&learns), ablation(&refuses));
    println!(
        "{gradients:?}; \
         held-out loss with the one that learns {with_learner:.3}, with its twin {with_refuser:.3}; \
         ablations {:.3} ± {:.3} and {:.3} ± {:.3}",
        first.mean(),
        first.error(),
        second.mean(),
        second.error()
    );
    assert!(with_learner < with_refuser - 0.02);
    let error = first.error().hypot(second.error());
    assert!(first.mean() - second.mean() > 2.0 * error);
}

/// Two miners that train by themselves, on the same data and by the same seed, so that they would be one and the same
/// model at the end, but that one of them takes gradients, by the rules that a miner has unless it is told others, of
/// anybody whatever the stake.
///
/// It is ahead while both are young: 2.44 nats a byte where its twin has 2.67. After 50 more steps of their own, which no
/// gradients go with, they are as good as each other, 2.37 and 2.35.
#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_miner_that_takes_gradients_falls_faster_at_first_than_its_twins() {
    /// Steps of its own training that each takes.
    const OWN_STEPS: u64 = 30;
    /// Gradients that one of them takes meanwhile.
    const ENOUGH: u32 = 400;
    /// Steps of the validator that it may need for that.
    const STEPS: u32 = 3000;

    let _alone = ALONE.lock().await;
    noesis_model::set_threads(1);
    let (data, folder) = (data(), tempfile::tempdir().unwrap());
    let sizes = NetworkConfig::Transformer(TransformerConfig {
        width: 32,
        layers: 1,
        heads: 2,
        ..TransformerConfig::default()
    });
    let training = TrainingConfig {
        warmup_steps: 10,
        seed: 1,
        ..TrainingConfig::default()
    };
    let trainer =
        |path: &Path| Trainer::resume(path, &sizes, training.clone(), Device::Cpu).unwrap();
    let paths = ["fed", "refuses", "alone"].map(|name| folder.path().join(name));
    let [fed, refuser, alone] = &paths;

    let mut market = Market::new();
    for (path, feedback) in [(fed, FeedbackRules::default()), (refuser, refuses())] {
        let settings = MinerSettings {
            feedback,
            training: Some(OwnTraining {
                data: Arc::new(data.clone()),
                until_step: OWN_STEPS,
                // So little that the steps are spread over the whole time.
                duty: 0.03,
            }),
            keeping: Some(Keeping {
                path: path.clone(),
                every: Duration::from_secs(3600), // at the end, that is
            }),
            ..MinerSettings::default()
        };
        market.add_with(trainer(path), None, settings).await;
    }
    let mut validator = market.validator(Settings {
        // Whoever is so young is hardly worth anything yet, and would be left out most of the time.
        assess_every: u64::MAX,
        ..depends_on_peers(13)
    });
    let mut gradients = Gradients::default();
    for _ in 0..STEPS {
        gradients.step(&mut validator, &market).await;
        if gradients.taken(0) >= ENOUGH {
            break;
        }
    }
    drop(validator);
    let taken: Vec<u64> = market
        .workers
        .drain(..)
        .map(|worker| worker.stop().unwrap())
        .collect();

    // What is left of its own steps each takes now, and somebody who never met the validator all of them.
    let [fed, refuser, alone] = [fed, refuser, alone].map(|path| {
        let mut trainer = trainer(path);
        let go_on = |_| ControlFlow::Continue(());
        trainer.train(&data, OWN_STEPS, go_on).unwrap();
        assert_eq!(trainer.step_count(), OWN_STEPS);
        let evaluation = trainer.evaluate(&data, Split::Evaluation, 32);
        evaluation.unwrap().loss
    });
    println!(
        "{gradients:?}; own steps meanwhile {taken:?} of {OWN_STEPS}; \
         held-out nats a byte: fed {fed:.3}, its twin {refuser:.3}, alone {alone:.3}"
    );
    assert!(gradients.taken(0) >= ENOUGH, "{gradients:?}");
    assert_eq!(gradients.taken(1), 0, "{gradients:?}");
    assert!(
        (refuser - alone).abs() < 1e-3,
        "nothing else than gradients makes a difference"
    );
    assert!(fed < refuser - 0.05);
}
