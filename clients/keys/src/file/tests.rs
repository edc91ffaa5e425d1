use super::*;

/// What `@polkadot/keyring` 13.5 wrote of //Charlie//hotkey.
const THEIRS: &str = include_str!("from-polkadot-js.json");
const THEIR_PASSWORD: &str = "over the hills";

fn parse(text: &str) -> Result<KeyFile, KeyFileError> {
    KeyFile::parse(Path::new("key.json"), text.into())
}

#[test]
fn a_file_of_polkadot_js_opens_and_a_wrong_password_does_not_open_it() {
    let key = parse(THEIRS).unwrap();
    assert_eq!(key.name(), Some("from polkadot-js"));
    let pair = key.open(THEIR_PASSWORD).unwrap();
    let expected = noesis_chain::keypair("//Charlie//hotkey").unwrap();
    assert_eq!(pair.public_key().0, expected.public_key().0);
    assert_eq!(key.account(), AccountId(expected.public_key().0));

    for wrong in ["over the hill", ""] {
        let error = key.open(wrong).unwrap_err();
        assert!(
            matches!(error, KeyFileError::WrongPassword { .. }),
            "{error}"
        );
    }
}

#[test]
fn what_is_written_opens_again_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main").join("coldkey.json");
    let uri = "//Alice//soft/hard";
    let key = KeyFile::seal(uri, "main", "a password").unwrap();
    key.write(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    // No secret stands in it in the clear, and nothing lies beside it.
    assert!(!fs::read_to_string(&path).unwrap().contains("Alice"));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    let pair = KeyFile::read(&path).unwrap().open("a password").unwrap();
    let expected = noesis_chain::keypair(uri).unwrap();
    assert_eq!(pair.public_key().0, expected.public_key().0);

    let other = KeyFile::seal("//Bob", "main", "a password").unwrap();
    let error = other.write(&path).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert_eq!(KeyFile::read(&path).unwrap().account(), key.account());
}

#[test]
fn a_file_that_others_can_read_is_refused_with_what_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    fs::write(&path, THEIRS).unwrap();
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = KeyFile::read(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 '{}'", path.display())));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    KeyFile::read(&path).unwrap();
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_in_words() {
    let text = THEIRS.trim_end();
    for length in 0..text.len() {
        let error = parse(&text[..length]).unwrap_err();
        assert!(
            matches!(error, KeyFileError::Damaged { .. }),
            "{length}: {error}"
        );
    }
    // Whole JSON whose sealed bytes are cut off.
    let encoded = THEIRS.split('"').nth(3).unwrap();
    for length in (0..encoded.len()).step_by(4) {
        let error = parse(&THEIRS.replace(encoded, &encoded[..length])).unwrap_err();
        assert!(
            matches!(error, KeyFileError::Damaged { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn what_is_no_key_of_ours_is_named() {
    for (from, to, words) in [
        ("\"sr25519\"", "\"ed25519\"", "no sr25519 key"),
        ("\"3\"", "\"2\"", "another version"),
        ("\"scrypt\"", "\"none\"", "not encrypted"),
        ("\"meta\"", "\"accounts\"", "several accounts"),
    ] {
        let error = parse(&THEIRS.replace(from, to)).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("polkadot-js"),
            "{error}"
        );
    }
    // Another's address over this key: never taken for that account.
    let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    let theirs = "5E5MmTv3xS9MmtCV7C5UsEhJtGFq3sHCDFpF1WkUbPiLExV2";
    let swapped = parse(&THEIRS.replace(theirs, alice)).unwrap();
    assert!(matches!(
        swapped.open(THEIR_PASSWORD),
        Err(KeyFileError::Damaged { .. })
    ));
    // A cost that would take the machine's memory is not tried.
    let encoded = THEIRS.split('"').nth(3).unwrap();
    let mut sealed = STANDARD.decode(encoded).unwrap();
    sealed[32..36].copy_from_slice(&(1u32 << 30).to_le_bytes());
    let costly = parse(&THEIRS.replace(encoded, &STANDARD.encode(sealed))).unwrap();
    assert!(costly.open(THEIR_PASSWORD).is_err());
}

#[test]
fn no_key_is_sealed_without_a_password() {
    assert!(matches!(
        KeyFile::seal("//Alice", "main", ""),
        Err(KeyFileError::EmptyPassword)
    ));
}
