//! The lines of Python in docs/models.md, run as they stand where there is a Python with PyTorch.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

use std::{io::Write, path::Path, process::Command};

use noesis_model::{
    tch::{Device, Tensor},
    DataSet, Modality, NetworkConfig, ScriptConfig, Split, Trainer, TrainingConfig,
};

#[test]
fn a_module_exported_as_the_documentation_says_is_served_and_trained() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/models.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = page.split("```python\n").nth(1).unwrap();
    let lines = lines.split("```").next().unwrap();
    let pythons = [std::env::var("NOESIS_PYTHON").ok(), Some("python3".into())];
    let has_torch = |python: &String| {
        let output = Command::new(python).args(["-c", "import torch"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(python) = pythons.into_iter().flatten().find(has_torch) else {
        // Not by `println!`, which is not shown of a test that passes.
        let _ = std::io::stderr().write_all(
            b"SKIPPED: no Python here has PyTorch, which the lines in docs/models.md need\n",
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("export.py"), lines).unwrap();
    // libtorch's own folder is not meant for it.
    let ran = Command::new(python)
        .arg("export.py")
        .env_remove("LD_LIBRARY_PATH")
        .current_dir(&folder)
        .status();
    assert!(ran.unwrap().success());

    let path = folder.path().join("text");
    std::fs::write(&path, "a few words that come again, ".repeat(400)).unwrap();
    let data = DataSet::load(Modality::Text, &path, 16).unwrap();
    let (file, inputs) = (folder.path().join("network.pt"), data.builtin(64).inputs());
    let script = ScriptConfig::examine(&file, inputs, 258, 64, Device::Cpu).unwrap();
    assert!(script.trainable);
    let network = NetworkConfig::Script(script);
    let mut trainer = Trainer::new(&network, TrainingConfig::default(), Device::Cpu).unwrap();
    let before = trainer.evaluate(&data, Split::Evaluation, 2).unwrap();
    for _ in 0..20 {
        trainer.train_step(&data).unwrap();
    }
    let after = trainer.evaluate(&data, Split::Evaluation, 2).unwrap();
    assert!(after.loss < before.loss, "{before:?} to {after:?}");
    let answer = trainer
        .model()
        .represent(&Tensor::from_slice(&[1i64, 2]).view([1, 2]));
    assert_eq!(answer.size(), [1, 2, 64]);
}
