use tch::{nn::VarStore, no_grad, Device};

use super::*;

const DIM: i64 = 12;

fn configs() -> [NetworkConfig; 3] {
    [
        NetworkConfig::Transformer(TransformerConfig {
            width: 16,
            heads: 2,
            context: 8,
            response_dim: DIM,
            ..TransformerConfig::default()
        }),
        NetworkConfig::Patches(PatchesConfig {
            channels: 3,
            height: 13,
            width: 8,
            filters: 4,
            response_dim: DIM,
            ..PatchesConfig::default()
        }),
        NetworkConfig::Perceptron(PerceptronConfig {
            dim: 5,
            context: 3,
            response_dim: DIM,
            ..PerceptronConfig::default()
        }),
    ]
}

fn network(config: &NetworkConfig) -> (VarStore, Network) {
    let store = VarStore::new(Device::Cpu);
    let network = crate::seeded(5, || Network::new(&store.root(), config)).unwrap();
    (store, network)
}

/// Targets for inputs of this modality: random classes.
fn targets(config: &NetworkConfig, batch: i64) -> Tensor {
    let kind = (Kind::Int64, Device::Cpu);
    match config.modality() {
        Modality::Text => Tensor::randint(config.classes(), [batch, 8], kind),
        Modality::Image | Modality::Tensor => Tensor::randint(config.classes(), [batch], kind),
    }
}

#[test]
fn every_network_answers_a_position_of_the_response_dimension() {
    for config in configs() {
        let (_store, network) = network(&config);
        let inputs = config.inputs().random(3, Device::Cpu);
        let answer = no_grad(|| network.represent(&inputs));
        let positions = config.positions(&inputs.size());
        assert_eq!(answer.size(), [3, positions, DIM], "{config:?}");
        let summary = summary(config.modality(), &answer);
        assert_eq!(summary.size(), [3, DIM]);
        assert_eq!(network.logits(&summary).size(), [3, config.classes()]);
    }
    let [_, patches, _] = configs();
    assert_eq!(patches.positions(&[1, 3, 13, 8]), 6, "three rows of two");
}

#[test]
fn an_untrained_network_guesses_evenly_at_the_size_of_a_trained_one() {
    for config in configs() {
        let (_store, network) = network(&config);
        let answer = no_grad(|| network.represent(&config.inputs().random(64, Device::Cpu)));
        let loss = network
            .loss(&answer, &targets(&config, 64))
            .double_value(&[]);
        let even = (config.classes() as f64).ln();
        assert!((loss - even).abs() < 0.1, "{config:?}: {loss}, not {even}");
        let size = answer.square().mean(Kind::Double).sqrt().double_value(&[]);
        assert!((0.3..3.0).contains(&size), "{config:?}: {size}");
    }
}

#[test]
fn the_same_seed_makes_the_same_network() {
    for config in configs() {
        let parameters = |seed| {
            let store = VarStore::new(Device::Cpu);
            crate::seeded(seed, || Network::new(&store.root(), &config)).unwrap();
            crate::optimizer::trainable(&store)
        };
        assert_eq!(parameters(1), parameters(1));
        assert_ne!(parameters(1), parameters(2));
    }
}

/// Scores are taken where the loss is: for a text at the last position alone, else at the mean.
#[test]
fn the_loss_at_the_summary_is_the_loss_there() {
    for config in configs() {
        let (_store, network) = network(&config);
        let modality = config.modality();
        let inputs = config.inputs().random(4, Device::Cpu);
        let (answer, targets) = no_grad(|| (network.represent(&inputs), targets(&config, 4)));
        let at = |x: &Tensor, targets: &Tensor| {
            cross_entropy(&network.logits(x), targets).double_value(&[])
        };
        let there = at(
            &summary(modality, &answer),
            &summary_targets(modality, &targets),
        );
        let expected = match modality {
            Modality::Text => at(&answer.narrow(1, 7, 1), &targets.narrow(1, 7, 1)),
            _ => network.loss(&answer, &targets).double_value(&[]),
        };
        assert!((there - expected).abs() < 1e-5, "{there}, not {expected}");
    }
}

/// Peers' answers are summarised before they are joined: that must be the same as after.
#[test]
fn the_summary_is_linear() {
    for modality in [Modality::Text, Modality::Image, Modality::Tensor] {
        let random = || Tensor::randn([2, 5, 4], (Kind::Float, Device::Cpu));
        let (one, other) = (random(), random());
        let joined = summary(modality, &(&one * 0.3 + &other * 2.0));
        let apart = summary(modality, &one) * 0.3 + summary(modality, &other) * 2.0;
        assert!(joined.allclose(&apart, 1e-5, 1e-6, false));
    }
}

#[test]
fn sizes_that_describe_no_network_are_refused() {
    let store = VarStore::new(Device::Cpu);
    let wrong = [
        NetworkConfig::Patches(PatchesConfig {
            height: 3,
            ..PatchesConfig::default()
        }),
        NetworkConfig::Patches(PatchesConfig {
            filters: 0,
            ..PatchesConfig::default()
        }),
        NetworkConfig::Perceptron(PerceptronConfig {
            dim: -1,
            ..PerceptronConfig::default()
        }),
        NetworkConfig::Transformer(TransformerConfig {
            layers: 1 << 40,
            ..TransformerConfig::default()
        }),
    ];
    for config in wrong {
        let refused = Network::new(&store.root(), &config);
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("choose one from"), "{words}");
    }
    assert!(store.is_empty(), "nothing was made for them");
}
