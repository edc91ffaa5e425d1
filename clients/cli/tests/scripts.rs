//! The scripts answer before they do anything.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs a script whose folders are all `folder`, for some seconds at most.
fn run(script: &str, argument: &str, folder: &Path) -> Output {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    Command::new("timeout")
        .arg("20")
        .arg(scripts.join(script))
        .arg(argument)
        .env("NOESIS_CACHE", folder)
        .env("CARGO_TARGET_DIR", folder)
        .output()
        .unwrap()
}

#[test]
fn help_is_given_and_nothing_begun() {
    let folder = tempfile::tempdir().unwrap();
    for script in ["setup", "check", "test", "localnet", "experiment"] {
        for argument in ["--help", "-h"] {
            let output = run(script, argument, folder.path());
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{script} {argument}");
            assert!(said.starts_with(&format!("Usage: scripts/{script}")));
        }
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn the_experiments_help_names_every_market() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("experiment", "--help", folder.path());
    let said = String::from_utf8(output.stdout).unwrap();
    let usage = said.lines().next().unwrap();
    assert!(usage.contains("[text|image|tensor]"), "{usage}");
}

#[test]
fn an_argument_that_is_not_known_is_named_and_nothing_begun() {
    let folder = tempfile::tempdir().unwrap();
    for script in ["setup", "check", "test"] {
        for argument in ["--quick", "--", ""] {
            let output = run(script, argument, folder.path());
            let words = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{script} {argument}");
            let named = format!("error: unknown argument {argument}\n");
            assert!(words.starts_with(&named), "{words}");
        }
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_clone_that_was_not_the_last_to_build_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (clone, target) = (folder.path().join("clone"), folder.path().join("target"));
    let (env, source) = (clone.join("scripts/env"), clone.join("lib.rs"));
    for made in [clone.join("scripts"), target.join("release")] {
        std::fs::create_dir_all(made).unwrap();
    }
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/env");
    std::fs::copy(ours, &env).unwrap();
    std::fs::write(&source, "").unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH;
    let aged = || std::fs::File::options().write(true).open(&source).unwrap();
    // Whether sourcing makes the old file new.
    let renewed = || {
        aged().set_modified(old).unwrap();
        let status = Command::new("bash")
            .args(["-euc", "source \"$0\"", env.to_str().unwrap()])
            .env("CARGO_TARGET_DIR", &target)
            .status()
            .unwrap();
        assert!(status.success());
        source.metadata().unwrap().modified().unwrap() > old
    };
    assert!(!renewed(), "nothing is known of another clone");
    std::fs::write(target.join(".clone"), "/another\n").unwrap();
    assert!(renewed());
    assert!(!renewed(), "it was the last");
}
