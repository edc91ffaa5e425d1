use super::*;
use crate::ledger::Standing;
use noesis_model::{Modality, TransformerConfig};

const PEER: Hotkey = [1; 32];

#[tokio::test]
async fn who_is_left_out_is_tried_again_though_nobody_else_is_there() {
    noesis_model::set_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "in the beginning was the word. ".repeat(2000)).unwrap();
    let data = DataSet::load(Modality::Text, &path, 8).unwrap();
    let model = TransformerConfig {
        width: 8,
        heads: 2,
        layers: 1,
        context: 8,
        response_dim: 4,
        ..TransformerConfig::default()
    };
    let settings = Settings {
        learner: LearnerConfig {
            model: model.into(),
            ..LearnerConfig::default()
        },
        assess_every: 2,
        ..Settings::default()
    };
    let key = noesis_chain::keypair("//Validator").unwrap();
    let client = Client::new(key, [0; 32]);
    let validator = Validator::new(settings, client, &data, Device::Cpu, Events::default());
    let mut validator = validator.unwrap();

    let mut standing = serde_json::to_value(Standing::default()).unwrap();
    standing["absent_for"] = 3.into();
    let standing: Standing = serde_json::from_value(standing).unwrap();
    validator.ledger = Ledger::restore([(PEER, standing)]);
    let alone = Candidate {
        uid: 0,
        hotkey: PEER,
        endpoint: "127.0.0.1:1".into(),
        certificate: None,
        incentive: 0.0,
        registered_at: 0,
    };
    let may_train = |validator: &Validator| validator.ledger().may_train(&PEER);
    for _ in 0..5 {
        validator.step(std::slice::from_ref(&alone)).await.unwrap();
        assert!(!may_train(&validator));
    }
    // After three times the steps between two assessments.
    validator.step(std::slice::from_ref(&alone)).await.unwrap();
    assert!(may_train(&validator));
}
