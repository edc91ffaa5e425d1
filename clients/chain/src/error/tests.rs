//! Each error has words of its own, and the words say what to do.

use std::collections::HashSet;

use super::*;

/// The pallet's, as this client knows them: of another, its own words are shown.
const PALLET_ERRORS: [&str; 46] = [
    "UnknownMarket",
    "MarketFull",
    "NotRegistered",
    "AlreadyRegistered",
    "CostAboveMaximum",
    "NotOwner",
    "InsufficientStake",
    "InsufficientBalance",
    "TooManyWeights",
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
    "CommitFirst",
    "WeightsInTheClear",
    "NothingCommitted",
    "RevealTooEarly",
    "RevealTooLate",
    "EpochRunning",
    "DelegationTooSmall",
    "InsufficientShares",
    "TakeTooHigh",
    "TooManyMarkets",
    "EmissionShareOutOfBounds",
    "RhoOutOfBounds",
    "KappaOutOfBounds",
    "LambdaOutOfBounds",
    "AlphaOutOfBounds",
    "TrustThresholdOutOfBounds",
    "QuorumOutOfBounds",
    "TempoOutOfBounds",
    "CapacityOutOfBounds",
    "MinWeightsOutOfBounds",
    "MaxWeightOutOfBounds",
    "WeightsRateLimitOutOfBounds",
    "ActivityCutoffOutOfBounds",
    "RevealPeriodOutOfBounds",
    "RegistrationCostOutOfBounds",
    "RegistrationCostFloorOutOfBounds",
    "ResponseDimOutOfBounds",
];

#[test]
fn every_error_that_this_client_knows_has_its_own_words() {
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
fn a_parameter_that_is_out_of_bounds_is_named_with_them() {
    let words = MarketError::from_name("MaxWeightOutOfBounds").unwrap();
    assert_eq!(
        words.to_string(),
        "max_weight is out of its bounds: it must be 1 / capacity to 1"
    );
}

#[test]
fn who_is_not_root_is_told_who_is() {
    let error = of_pallet(SUDO, "RequireSudo", &[]);
    assert!(error.to_string().contains("only the sudo key"), "{error}");
    let root = Some(AccountId([7; 32]));
    let error = ChainError::NotRoot { root }.to_string();
    assert!(error.ends_with(&AccountId([7; 32]).to_string()), "{error}");
}

#[test]
fn too_early_names_the_block() {
    let error = MarketError::WeightsTooEarly { next: Some(42) };
    assert!(error.to_string().ends_with("from block 42 on"));
}

#[test]
fn the_pools_codes_become_the_rules_they_stand_for() {
    let refused = |rule: Option<ChainError>| {
        let data = Some("\"Custom error: 2\"");
        of_pool(1010, "Invalid Transaction", data, |index| {
            assert_eq!(index, 2);
            rule
        })
    };
    let known = of_pallet(PALLET, "WeightsTooEarly", &[]);
    assert!(matches!(
        refused(Some(known)),
        ChainError::Market(MarketError::WeightsTooEarly { next: None })
    ));
    assert!(matches!(refused(None), ChainError::Invalid(words) if words.contains("error: 2")));
}

#[test]
fn an_error_of_a_newer_runtime_keeps_the_runtimes_words() {
    let docs = [" The moon is full:".into(), " wait.".into()];
    let error = of_pallet(PALLET, "MoonFull", &docs);
    assert!(matches!(&error, ChainError::Refused(_)));
    assert!(error.to_string().contains("Market.MoonFull"), "{error}");
    assert!(error.to_string().contains("wait."), "{error}");
}

#[test]
fn priority_too_low_says_to_wait() {
    let error = of_pool(
        1014,
        "Priority is too low: (1 vs 1)",
        Some("\"...\""),
        |_| None,
    );
    assert!(error.to_string().contains("already waiting"));
    assert!(error.retryable());
}

#[test]
fn a_transaction_that_arrived_twice_is_not_signed_anew() {
    let error = of_pool(1013, "Transaction is already imported", None, |_| None);
    assert!(matches!(error, ChainError::Uncertain(_)), "{error}");
}

#[test]
fn an_empty_account_is_told_to_get_some_noe() {
    let error = of_pool(
        1010,
        "Invalid Transaction",
        Some("\"Inability to pay some fees (e.g. account balance too low)\""),
        |_| None,
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
    assert!(ChainError::Market(MarketError::RevealTooEarly).retryable());
    assert!(!ChainError::Market(MarketError::RevealTooLate).retryable());
    assert!(!ChainError::Uncertain("the connection was lost".into()).retryable());
    assert!(!ChainError::Market(MarketError::CostAboveMaximum).retryable());
}
