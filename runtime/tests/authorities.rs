//! The set of authorities over sessions, and what becomes of those that equivocate, of Aura's and
//! GRANDPA's kind: in the native runtime, block by block.

#![allow(deprecated)] // the trait by which FRAME checks transactions that nobody signs

use codec::Encode;
use finality_grandpa::{Message, Prevote};
use frame_support::{
    assert_noop, assert_ok,
    traits::{Hooks, KeyOwnerProofSystem, OnRuntimeUpgrade},
};
use noesis_runtime::{
    genesis_presets::get_preset, migrations::Migrations, AccountId, Aura, Authorities, Grandpa,
    Hash, Header, Historical, Runtime, RuntimeCall, RuntimeGenesisConfig, RuntimeOrigin, Session,
    SessionKeys, System,
};
use pallet_authorities::{Error, Offenders, SessionLength};
use sp_consensus_aura::{
    digests::CompatibleDigestItem, sr25519::AuthoritySignature, Slot, AURA_ENGINE_ID,
};
use sp_consensus_grandpa::{Equivocation, EquivocationProof as VotesProof};
use sp_consensus_slots::EquivocationProof as BlocksProof;
use sp_io::TestExternalities;
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::{
    key_types::AURA,
    traits::{Dispatchable, Header as _, ValidateUnsigned},
    transaction_validity::{InvalidTransaction, TransactionSource},
    BuildStorage, Digest, DigestItem,
};
use sp_session::MembershipProof;

/// Blocks in a session of these tests.
const SESSION: u32 = 5;

/// The genesis of the preset with two authorities.
fn genesis() -> RuntimeGenesisConfig {
    let name = sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET.into();
    let patch = get_preset(&name).expect("the preset exists");
    let patch: serde_json::Value = serde_json::from_slice(&patch).expect("it is JSON");
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).expect("it is plain");
    merge(&mut config, patch);
    serde_json::from_value(config).expect("the preset fits")
}

/// The chain of that genesis, after its first block.
fn chain() -> TestExternalities {
    let storage = genesis().build_storage();
    let mut chain = TestExternalities::new(storage.expect("the genesis is valid"));
    chain.execute_with(|| {
        SessionLength::<Runtime>::put(SESSION);
        run_to(1);
    });
    chain
}

/// Puts a patch over a value, as genesis builders do.
fn merge(value: &mut serde_json::Value, patch: serde_json::Value) {
    match (value, patch) {
        (serde_json::Value::Object(value), serde_json::Value::Object(patch)) => {
            for (key, patch) in patch {
                merge(value.entry(key).or_insert(serde_json::Value::Null), patch);
            }
        }
        (value, patch) => *value = patch,
    }
}

/// Goes on to a block; each has the slot of its number.
fn run_to(number: u32) {
    while System::block_number() < number {
        let next = System::block_number() + 1;
        let slot = Slot::from(u64::from(next));
        let digest = Digest {
            logs: vec![DigestItem::PreRuntime(AURA_ENGINE_ID, slot.encode())],
        };
        System::reset_events();
        System::initialize(&next, &Default::default(), &digest);
        Aura::on_initialize(next);
        Session::on_initialize(next);
        Grandpa::on_finalize(next);
    }
}

fn account(who: Sr25519Keyring) -> AccountId {
    who.to_account_id()
}

/// Gives an account the session keys of its name, as genesis does.
fn set_keys(who: Sr25519Keyring, grandpa: Ed25519Keyring) {
    let keys = SessionKeys {
        aura: who.public().into(),
        grandpa: grandpa.public().into(),
    };
    let account = account(who);
    assert_ok!(<Session as pallet_session::SessionInterface>::set_keys(
        &account, keys
    ));
}

/// Who makes and finalizes blocks now; the two never differ.
fn authorities() -> Vec<AccountId> {
    let aura = pallet_aura::Authorities::<Runtime>::get();
    let grandpa = Grandpa::grandpa_authorities();
    let owner = |kind, key: &[u8]| Session::key_owner(kind, key).expect("it has keys");
    let of_aura: Vec<_> = aura.iter().map(|key| owner(AURA, key.as_ref())).collect();
    let of_grandpa: Vec<_> = grandpa
        .iter()
        .map(|(key, _)| owner(sp_consensus_grandpa::KEY_TYPE, key.as_ref()))
        .collect();
    assert_eq!(of_aura, of_grandpa);
    of_aura
}

/// Asks governance for a set.
fn set(authorities: &[Sr25519Keyring]) -> sp_runtime::DispatchResult {
    let authorities = authorities.iter().copied().map(account).collect();
    Authorities::set_authorities(RuntimeOrigin::root(), authorities)
}

use Sr25519Keyring::{Alice, Bob, Charlie};

#[test]
fn what_governance_wants_is_in_force_after_the_next_session() {
    chain().execute_with(|| {
        assert_eq!(authorities(), [Alice, Bob].map(account));
        set_keys(Charlie, Ed25519Keyring::Charlie);
        assert_ok!(set(&[Alice, Bob, Charlie]));
        run_to(2 * SESSION - 1);
        assert_eq!(authorities(), [Alice, Bob].map(account));
        run_to(2 * SESSION);
        assert_eq!(authorities(), [Alice, Bob, Charlie].map(account));
        assert_ok!(set(&[Charlie]));
        run_to(4 * SESSION);
        assert_eq!(authorities(), [account(Charlie)]);
        // Nothing changes: GRANDPA's set stays the one it is.
        let id = Grandpa::current_set_id();
        run_to(10 * SESSION);
        assert_eq!(authorities(), [account(Charlie)]);
        assert_eq!(Grandpa::current_set_id(), id);
    });
}

#[test]
fn a_set_without_keys_and_sessions_out_of_order_are_noticed() {
    use pallet_authorities::SessionStarts;
    chain().execute_with(|| {
        let sound = || Authorities::check_invariants().is_ok();
        run_to(4 * SESSION + 1);
        assert_ok!(Authorities::check_invariants());

        let wanted = pallet_authorities::Authorities::<Runtime>::take();
        assert!(!sound(), "nobody makes blocks");
        pallet_authorities::Authorities::<Runtime>::put(&wanted);
        let keys = pallet_session::NextKeys::<Runtime>::take(account(Bob));
        assert!(!sound(), "Bob has no keys");
        pallet_session::NextKeys::<Runtime>::set(account(Bob), keys);
        assert!(sound());

        let start = SessionStarts::<Runtime>::get(2);
        SessionStarts::<Runtime>::insert(2, Slot::from(u64::from(10 * SESSION)));
        assert!(!sound(), "the third session began after the fourth");
        SessionStarts::<Runtime>::set(2, start);
        assert!(sound());
        SessionStarts::<Runtime>::insert(5, Slot::from(u64::from(10 * SESSION)));
        assert!(!sound(), "the sixth session has not begun");
    });
}

#[test]
fn a_set_that_no_chain_could_have_is_refused() {
    chain().execute_with(|| {
        assert_noop!(set(&[]), Error::<Runtime>::NoAuthorities);
        assert_noop!(set(&[Alice, Alice]), Error::<Runtime>::DuplicateAuthority);
        assert_noop!(set(&[Alice, Charlie]), Error::<Runtime>::NoSessionKeys);
        let many = (0..33).map(|id| AccountId::new([id; 32])).collect();
        assert_noop!(
            Authorities::set_authorities(RuntimeOrigin::root(), many),
            Error::<Runtime>::TooManyAuthorities
        );
        let signed = RuntimeOrigin::signed(account(Alice));
        assert!(Authorities::set_authorities(signed.clone(), vec![account(Alice)]).is_err());
        let purge = RuntimeCall::Session(pallet_session::Call::purge_keys {});
        assert!(purge.dispatch(signed).is_err());
    });
}

#[test]
#[should_panic(expected = "slot_duration must be 1000 to 60000 milliseconds")]
fn slots_too_short_for_what_a_block_may_compute_are_refused() {
    let mut genesis = genesis();
    genesis.authorities.slot_duration = 999;
    let _ = genesis.build_storage();
}

/// A block of a slot, sealed by a key.
fn block(author: Sr25519Keyring, slot: u64, content: u8) -> Header {
    let mut header = Header::new(
        7,
        Hash::repeat_byte(content),
        Default::default(),
        Default::default(),
        Digest {
            logs: vec![
                <DigestItem as CompatibleDigestItem<AuthoritySignature>>::aura_pre_digest(
                    slot.into(),
                ),
            ],
        },
    );
    let signature = AuthoritySignature::from(author.sign(header.hash().as_ref()));
    header.digest_mut().push(DigestItem::aura_seal(signature));
    header
}

/// That Bob made two blocks of a slot.
fn two_blocks(slot: u64) -> BlocksProof<Header, sp_consensus_aura::sr25519::AuthorityId> {
    BlocksProof {
        offender: Bob.public().into(),
        slot: slot.into(),
        first_header: block(Bob, slot, 1),
        second_header: block(Bob, slot, 2),
    }
}

/// That a key is an authority's now.
fn ownership(who: Sr25519Keyring) -> MembershipProof {
    Authorities::prove_key_ownership(who.public().into()).expect("it is an authority")
}

/// Reports two blocks, by way of the pool's check.
fn report(
    equivocation: BlocksProof<Header, sp_consensus_aura::sr25519::AuthorityId>,
    key_owner: MembershipProof,
) -> Result<(), InvalidTransaction> {
    let call = pallet_authorities::Call::report_equivocation_unsigned {
        equivocation: Box::new(equivocation),
        key_owner,
    };
    Authorities::validate_unsigned(TransactionSource::External, &call)
        .expect_err("reports come from authors alone");
    match Authorities::validate_unsigned(TransactionSource::Local, &call) {
        Ok(_) => {}
        Err(sp_runtime::transaction_validity::TransactionValidityError::Invalid(reason)) => {
            let refused = RuntimeCall::Authorities(call).dispatch(RuntimeOrigin::none());
            assert!(refused.is_err(), "the block takes what the pool refuses");
            return Err(reason);
        }
        Err(other) => panic!("{other:?}"),
    }
    assert_ok!(RuntimeCall::Authorities(call).dispatch(RuntimeOrigin::none()));
    Ok(())
}

/// Bob is known as an offender, and the next set but one is without it.
fn expect_bob_to_go(session: u32) {
    assert_eq!(Offenders::<Runtime>::get(account(Bob)), Some(session));
    assert_eq!(
        pallet_offences::Reports::<Runtime>::iter_values()
            .map(|details| details.offender.0)
            .collect::<Vec<_>>(),
        [account(Bob)]
    );
    run_to((Session::current_index() + 2) * SESSION);
    assert_eq!(authorities(), [account(Alice)]);
}

#[test]
fn who_makes_two_blocks_of_a_slot_is_recorded_once_and_leaves_the_set() {
    chain().execute_with(|| {
        run_to(SESSION + 3);
        let slot = u64::from(SESSION) + 2;
        let key_owner = ownership(Bob);
        // It is reported in the session after.
        run_to(2 * SESSION + 1);
        assert_eq!(report(two_blocks(slot), key_owner.clone()), Ok(()));
        assert_eq!(
            report(two_blocks(slot), key_owner),
            Err(InvalidTransaction::Stale)
        );
        expect_bob_to_go(1);
    });
}

#[test]
fn authorities_of_a_chain_without_sessions_go_on_in_sessions() {
    chain().execute_with(|| {
        // As version 100 had them: known to Aura and to GRANDPA, and to nobody else.
        for pallet in ["Authorities", "Historical", "Session"] {
            let prefix = sp_io::hashing::twox_128(pallet.as_bytes());
            let _ = frame_support::storage::unhashed::clear_prefix(&prefix, None, None);
        }
        assert_eq!(Session::validators(), []);
        Migrations::on_runtime_upgrade();
        assert_eq!(authorities(), [Alice, Bob].map(account));
        assert_eq!(Session::validators(), [Alice, Bob].map(account));
        SessionLength::<Runtime>::put(SESSION);

        // What sessions are for: a set that changes, and one who offends.
        set_keys(Charlie, Ed25519Keyring::Charlie);
        assert_ok!(set(&[Alice, Bob, Charlie]));
        // Once and no more: what governance wants is not taken back.
        Migrations::on_runtime_upgrade();
        run_to(2 * SESSION);
        assert_eq!(authorities(), [Alice, Bob, Charlie].map(account));
        assert_ok!(set(&[Alice, Bob]));
        run_to(4 * SESSION + 2);
        let slot = u64::from(4 * SESSION) + 1;
        assert_eq!(report(two_blocks(slot), ownership(Bob)), Ok(()));
        expect_bob_to_go(4);
        assert_ok!(Authorities::check_invariants());
    });
}

#[test]
fn a_forged_report_of_blocks_is_refused() {
    chain().execute_with(|| {
        run_to(SESSION + 3);
        let slot = u64::from(SESSION) + 2;
        let bad = Err(InvalidTransaction::BadProof);
        let proof = || two_blocks(slot);

        let mut same = proof();
        same.second_header = same.first_header.clone();
        assert_eq!(report(same, ownership(Bob)), bad);
        // Sealed anew, it is the same block.
        let mut resealed = proof();
        resealed.second_header = block(Bob, slot, 1);
        assert_eq!(report(resealed, ownership(Bob)), bad);
        let mut unsigned = proof();
        unsigned.second_header.digest_mut().pop();
        assert_eq!(report(unsigned, ownership(Bob)), bad);
        let mut others = proof();
        others.second_header = block(Alice, slot, 2);
        assert_eq!(report(others, ownership(Bob)), bad);
        let mut slots = proof();
        slots.second_header = block(Bob, slot + 1, 2);
        assert_eq!(report(slots, ownership(Bob)), bad);
        // A slot of the session before, in which the key may have been somebody else's.
        let early = u64::from(SESSION);
        assert_eq!(report(two_blocks(early), ownership(Bob)), bad);
        assert_eq!(report(proof(), ownership(Alice)), bad);
        let mut session = ownership(Bob);
        session.session += 7;
        assert_eq!(report(proof(), session), bad);
        let mut count = ownership(Bob);
        count.validator_count = 1;
        assert_eq!(report(proof(), count), bad);

        assert_eq!(Offenders::<Runtime>::iter().count(), 0);
        assert_eq!(report(proof(), ownership(Bob)), Ok(()));
    });
}

#[test]
fn the_last_authority_stays_whatever_it_did() {
    chain().execute_with(|| {
        assert_ok!(set(&[Bob]));
        run_to(2 * SESSION + 2);
        let slot = u64::from(2 * SESSION) + 1;
        assert_eq!(report(two_blocks(slot), ownership(Bob)), Ok(()));
        run_to(5 * SESSION);
        assert_eq!(authorities(), [account(Bob)]);
        assert_eq!(Offenders::<Runtime>::get(account(Bob)), Some(2));
    });
}

/// That Bob voted for two blocks in a round, if the second vote is signed by `signer`.
fn two_votes(signer: Ed25519Keyring) -> VotesProof<Hash, u32> {
    let (round, set_id) = (3, Grandpa::current_set_id());
    let vote = |signer: Ed25519Keyring, content| {
        let vote = Prevote {
            target_hash: Hash::repeat_byte(content),
            target_number: 6,
        };
        let message = Message::Prevote(vote.clone());
        let payload = sp_consensus_grandpa::localized_payload(round, set_id, &message);
        (vote, signer.sign(&payload).into())
    };
    VotesProof::new(
        set_id,
        Equivocation::Prevote(finality_grandpa::Equivocation {
            round_number: round,
            identity: Ed25519Keyring::Bob.public().into(),
            first: vote(Ed25519Keyring::Bob, 1),
            second: vote(signer, 2),
        }),
    )
}

#[test]
fn who_votes_twice_in_a_round_is_recorded_and_leaves_the_set_but_not_for_a_forged_vote() {
    chain().execute_with(|| {
        run_to(SESSION + 3);
        let key = (
            sp_consensus_grandpa::KEY_TYPE,
            sp_consensus_grandpa::AuthorityId::from(Ed25519Keyring::Bob.public()),
        );
        let key_owner = Historical::prove(key).expect("it is an authority");
        let report = |signer| {
            RuntimeCall::Grandpa(pallet_grandpa::Call::report_equivocation_unsigned {
                equivocation_proof: Box::new(two_votes(signer)),
                key_owner_proof: key_owner.clone(),
            })
            .dispatch(RuntimeOrigin::none())
        };
        assert!(report(Ed25519Keyring::Alice).is_err(), "it is forged");
        assert_eq!(Offenders::<Runtime>::iter().count(), 0);
        assert_ok!(report(Ed25519Keyring::Bob));
        assert!(report(Ed25519Keyring::Bob).is_err(), "it is known");
        assert!(!pallet_offences::ConcurrentReportsIndex::<Runtime>::iter()
            .collect::<Vec<_>>()
            .is_empty());
        expect_bob_to_go(1);
    });
}

#[test]
fn what_is_kept_of_old_sessions_is_forgotten_in_time() {
    use frame_support::traits::Get;
    let kept: u32 = <Runtime as pallet_authorities::Config>::SessionsKept::get();
    chain().execute_with(|| {
        run_to((kept + 20) * SESSION);
        let starts = pallet_authorities::SessionStarts::<Runtime>::iter().count() as u32;
        assert!(starts <= kept + 2, "{starts} sessions are kept");
        assert_ok!(Authorities::check_invariants());
        let (first, last) =
            pallet_session::historical::StoredRange::<Runtime>::get().expect("some are kept");
        assert!(last - first <= kept + 3, "{first} to {last}");
    });
}
