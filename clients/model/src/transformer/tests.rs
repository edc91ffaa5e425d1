use tch::{nn::VarStore, no_grad, Device, Kind};

use super::*;

fn small() -> TransformerConfig {
    TransformerConfig {
        width: 16,
        heads: 2,
        context: 8,
        response_dim: 12,
        ..TransformerConfig::default()
    }
}

#[test]
fn shapes_are_those_of_the_configuration() {
    let store = VarStore::new(Device::Cpu);
    let model = Transformer::new(&store.root(), &small()).unwrap();
    let tokens = Tensor::randint(VOCABULARY, [3, 5], (Kind::Int64, Device::Cpu));
    let representation = no_grad(|| model.represent(&tokens));
    assert_eq!(representation.size(), [3, 5, 12]);
    assert_eq!(model.logits(&representation).size(), [3, 5, VOCABULARY]);
}

#[test]
fn a_position_does_not_see_later_tokens() {
    let store = VarStore::new(Device::Cpu);
    let model = Transformer::new(&store.root(), &small()).unwrap();
    let one = Tensor::from_slice(&[1i64, 2, 3, 4, 5, 6]).view([1, 6]);
    let other = Tensor::from_slice(&[1i64, 2, 3, 9, 9, 9]).view([1, 6]);
    let (one, other) = no_grad(|| (model.represent(&one), model.represent(&other)));
    let difference = |from: i64, length: i64| {
        let difference = one.narrow(1, from, length) - other.narrow(1, from, length);
        difference.abs().max().double_value(&[])
    };
    assert!(difference(0, 3) < 1e-6);
    assert!(difference(3, 1) > 1e-3);
}

#[test]
fn an_untrained_model_guesses_evenly() {
    let store = VarStore::new(Device::Cpu);
    let model = crate::seeded(5, || Transformer::new(&store.root(), &small())).unwrap();
    let tokens = Tensor::randint(VOCABULARY, [8, 8], (Kind::Int64, Device::Cpu));
    let loss = no_grad(|| next_token_loss(&model.forward(&tokens), &tokens)).double_value(&[]);
    assert!((loss - (VOCABULARY as f64).ln()).abs() < 0.1, "{loss}");
}

#[test]
fn the_same_seed_makes_the_same_model() {
    let parameters = |seed| {
        let store = VarStore::new(Device::Cpu);
        crate::seeded(seed, || Transformer::new(&store.root(), &small())).unwrap();
        crate::optimizer::trainable(&store)
    };
    assert_eq!(parameters(1), parameters(1));
    assert_ne!(parameters(1), parameters(2));
}

#[test]
fn sizes_that_describe_no_model_are_refused() {
    let store = VarStore::new(Device::Cpu);
    let zero = TransformerConfig {
        layers: 0,
        ..small()
    };
    assert!(matches!(
        Transformer::new(&store.root(), &zero),
        Err(ConfigError::OutOfRange { value: 0, .. })
    ));
    let uneven = TransformerConfig {
        heads: 3,
        ..small()
    };
    assert!(matches!(
        Transformer::new(&store.root(), &uneven),
        Err(ConfigError::Heads { .. })
    ));
    assert!(store.is_empty(), "nothing was made for them");
}

#[test]
fn tokens_that_are_no_input_are_refused() {
    let config = small();
    assert_eq!(
        config.check_tokens(&[2, 3], &[0, 1, 2, 255, 256, 257]),
        Ok(())
    );
    for (shape, count) in [
        (vec![6], 6),
        (vec![2, 2], 6),
        (vec![0, 3], 0),
        (vec![usize::MAX, 2], 6),
        (vec![1, 2, 3], 6),
    ] {
        assert!(matches!(
            config.check_tokens(&shape, &vec![0; count]),
            Err(TokenError::Shape { .. })
        ));
    }
    assert_eq!(
        config.check_tokens(&[1, 9], &[0; 9]),
        Err(TokenError::TooLong {
            sequence: 9,
            context: 8
        })
    );
    for token in [-1, VOCABULARY, i64::MIN, i64::MAX] {
        assert!(matches!(
            config.check_tokens(&[1, 2], &[0, token]),
            Err(TokenError::Unknown { .. })
        ));
    }
}
