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
