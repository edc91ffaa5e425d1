//! Each error has words of its own, and the words say what to do.

use std::collections::HashSet;

use super::*;

const PALLET_ERRORS: [&str; 18] = [
    "UnknownMarket",
    "MarketFull",
    "NotRegistered",
    "AlreadyRegistered",
    "CostAboveMaximum",
    "NotOwner",
    "InsufficientStake",
    "InsufficientBalance",
    "TooFewWeights",
    "WeightsUnsorted",
    "UnknownUid",
    "AllWeightsZero",
    "WeightTooLarge",
    "SelfWeight",
    "WeightsTooEarly",
    "ServeTooEarly",
    "EndpointInvalid",
    "AmountZero",
];

#[test]
fn every_error_of_the_pallet_has_its_own_words() {
    let words: HashSet<String> = PALLET_ERRORS
        .iter()
        .map(|name| MarketError::from_name(name).expect(name).to_string())
        .collect();
    assert_eq!(words.len(), PALLET_ERRORS.len());
    for text in words {
        // What is wrong, a colon, what to do.
        let (wrong, advice) = text.split_once(": ").expect(&text);
        assert!(wrong.len() > 10 && advice.len() > 10, "{text}");
    }
    assert_eq!(MarketError::from_name("SomethingNew"), None);
}

#[test]
fn too_early_names_the_block() {
    let error = MarketError::WeightsTooEarly { next: Some(42) };
    assert!(error.to_string().ends_with("from block 42 on"));
}

#[test]
fn the_pools_codes_become_the_rules_they_stand_for() {
    let custom = |code: u8| {
        of_pool(
            1010,
            "Invalid Transaction",
            Some(&format!("\"Custom error: {code}\"")),
        )
    };
    assert!(matches!(
        custom(1),
        ChainError::Market(MarketError::NotRegistered)
    ));
    assert!(matches!(
        custom(2),
        ChainError::Market(MarketError::WeightsTooEarly { next: None })
    ));
    assert!(matches!(
        custom(3),
        ChainError::Market(MarketError::ServeTooEarly)
    ));
    assert!(matches!(custom(200), ChainError::Refused(words) if words.contains("200")));
}

#[test]
fn priority_too_low_says_to_wait() {
    let error = of_pool(1014, "Priority is too low: (1 vs 1)", Some("\"...\""));
    assert!(error.to_string().contains("already waiting"));
    assert!(error.retryable());
}

#[test]
fn an_empty_account_is_told_to_get_some_noe() {
    let error = of_pool(
        1010,
        "Invalid Transaction",
        Some("\"Inability to pay some fees (e.g. account balance too low)\""),
    );
    assert!(matches!(error, ChainError::CannotPayFee));
    assert!(!error.retryable());
}

#[test]
fn only_what_does_no_harm_is_retryable() {
    assert!(ChainError::Unreachable {
        url: "ws://127.0.0.1:1".into(),
        reason: "refused".into()
    }
    .retryable());
    assert!(ChainError::Market(MarketError::WeightsTooEarly { next: None }).retryable());
    assert!(!ChainError::Uncertain("the connection was lost".into()).retryable());
    assert!(!ChainError::Market(MarketError::CostAboveMaximum).retryable());
}
