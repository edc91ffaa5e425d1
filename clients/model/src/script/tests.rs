use std::io::Write;

use tch::CModule;

use super::*;
use crate::{Batch, Network, NetworkConfig, Trainer, TrainingConfig};

const TEXT: InputShape = InputShape::Text {
    vocabulary: 258,
    context: 8,
};
const DIM: i64 = 4;

/// A TorchScript file as Python's `torch.jit.save` writes it: a zip of code and pickles. One trainable
/// parameter `table`, `f32 [rows, DIM]`, and this body of `forward(self, x)`.
pub(crate) fn module(path: &Path, rows: u8, body: &str) {
    module_of(path, "FloatStorage", rows, body, |value| {
        value.to_le_bytes().to_vec()
    });
}

/// The same of a storage of numbers, which lie there as these bytes.
fn module_of(path: &Path, storage: &str, rows: u8, body: &str, bytes: impl Fn(f32) -> Vec<u8>) {
    let code = format!(
        "class Net(Module):\n  __parameters__ = [\"table\", ]\n  __buffers__ = []\n  table : Tensor\n  \
         training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    {body}\n"
    );
    let (rows, dim, count) = (i64::from(rows) + 1, DIM, (i64::from(rows) + 1) * DIM);
    let values = (0..count).map(|place| (place as f32 * 0.7).sin());
    let data: Vec<u8> = values.flat_map(bytes).collect();
    let mut pickle = b"\x80\x02c__torch__\nNet\n)\x81}(".to_vec();
    let word = |pickle: &mut Vec<u8>, word: &str| {
        pickle.push(b'X');
        pickle.extend((word.len() as u32).to_le_bytes());
        pickle.extend(word.as_bytes());
    };
    let number = |pickle: &mut Vec<u8>, number: i64| {
        pickle.push(b'J');
        pickle.extend((number as i32).to_le_bytes());
    };
    word(&mut pickle, "table");
    pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    word(&mut pickle, "storage");
    pickle.extend(format!("ctorch\n{storage}\n").bytes());
    word(&mut pickle, "0");
    word(&mut pickle, "cpu");
    number(&mut pickle, count);
    pickle.extend(b"tQ");
    number(&mut pickle, 0);
    for pair in [[rows, dim], [dim, 1]] {
        pickle.push(b'(');
        for size in pair {
            number(&mut pickle, size);
        }
        pickle.push(b't');
    }
    pickle.extend(b"\x88ccollections\nOrderedDict\n)RtR");
    word(&mut pickle, "training");
    pickle.extend(b"\x89ub.");
    let files: [(&str, &[u8]); 5] = [
        ("net/data.pkl", &pickle),
        ("net/code/__torch__.py", code.as_bytes()),
        ("net/data/0", &data),
        ("net/constants.pkl", b"\x80\x02)."),
        ("net/version", b"3\n"),
    ];
    std::fs::write(path, zip(&files)).unwrap();
}

/// A zip of files as they are.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = (content.len() as u32).to_le_bytes();
        let name_size = (name.len() as u16).to_le_bytes();
        // Version, flags, method (stored), time, date, checksum, two sizes, length of name, of extra.
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &crc.sum().to_le_bytes(),
            &size,
            &size,
            &name_size,
            &[0, 0],
        ]
        .concat();
        let offset = (zip.len() as u32).to_le_bytes();
        zip.write_all(b"PK\x03\x04").unwrap();
        zip.extend([&common, name.as_bytes(), content].concat());
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend([&common, &[0; 10][..], &offset, name.as_bytes()].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let (begin, length) = (zip.len() as u32, directory.len() as u32);
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([count, count].concat());
    zip.extend([length.to_le_bytes(), begin.to_le_bytes()].concat());
    zip.extend([0, 0]);
    zip
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("net.pt")
    }

    fn examined(&self, inputs: InputShape) -> Result<ScriptConfig, ScriptError> {
        ScriptConfig::examine(&self.file(), inputs, 258, DIM, Device::Cpu)
    }

    /// Traces a function of one tensor, whose parameters become constants.
    fn trace(&self, example: &Tensor, mut function: impl FnMut(&Tensor) -> Tensor) {
        let mut closure = |inputs: &[Tensor]| vec![function(&inputs[0])];
        let example = [example.shallow_clone()];
        let traced = CModule::create_by_tracing("Net", "forward", &example, &mut closure);
        traced.unwrap().save(self.file()).unwrap();
    }
}

#[test]
fn a_module_with_parameters_is_served_trained_and_resumed() {
    crate::set_threads(1);
    let place = Place::new();
    module(
        &place.file(),
        255,
        "return torch.embedding(self.table, torch.remainder(x, 256))",
    );
    let config = place.examined(TEXT).unwrap();
    assert!(config.trainable);
    let config = NetworkConfig::Script(config);
    let kept = place.0.path().join("kept.safetensors");
    let resume = || {
        let training = TrainingConfig::default();
        Trainer::resume(&kept, &config, training, Device::Cpu).unwrap()
    };
    let mut trainer = resume();
    let inputs = Tensor::from_slice(&[7i64, 9, 7]).view([1, 3]);
    let before = trainer.model().represent(&inputs).detach();
    assert_eq!(before.size(), [1, 3, DIM]);
    let expected = (7.0 * DIM as f64 * 0.7).sin();
    assert!((before.double_value(&[0, 0, 0]) - expected).abs() < 1e-5);
    let norm = trainer.follow(&inputs, &before.ones_like(), 1e-2, 1.0);
    assert!(norm.unwrap().is_some_and(|norm| norm > 0.0));
    let after = trainer.model().represent(&inputs).detach();
    assert!(
        (&before - &after).min().double_value(&[]) > 1e-3,
        "down the gradient"
    );
    trainer.save(&kept).unwrap();
    // The file itself stays as it was: the checkpoint has what was learned.
    assert_eq!(resume().model().represent(&inputs), after);
    module(
        &place.file(),
        255,
        "return torch.embedding(self.table, torch.remainder(x, 255))",
    );
    let other = NetworkConfig::Script(place.examined(TEXT).unwrap());
    let training = TrainingConfig::default();
    let words = Trainer::resume(&kept, &other, training, Device::Cpu).unwrap_err();
    assert!(
        words.to_string().contains("does not fit this model"),
        "{words}"
    );
}

#[test]
fn a_traced_module_is_served_but_not_trained() {
    let place = Place::new();
    let images = InputShape::Image {
        channels: 1,
        height: 8,
        width: 8,
    };
    let weight = Tensor::randn([4, DIM], (Kind::Float, Device::Cpu));
    // Four patches of 16 pixels; only the mean of each row of them is read.
    place.trace(&images.random(2, Device::Cpu), |images| {
        let rows = images.view([-1, 4, 4, 4]).mean_dim(2, false, Kind::Float);
        rows.matmul(&weight)
    });
    let config = place.examined(images).unwrap();
    assert_eq!((config.image_positions, config.trainable), (4, false));
    let config = NetworkConfig::Script(config);
    assert!(!config.trainable());
    let store = nn::VarStore::new(Device::Cpu);
    let network = Network::new(&store.root(), &config).unwrap();
    let inputs = images.random(5, Device::Cpu);
    let answer = network.f_represent(&inputs).unwrap();
    assert_eq!(answer.size(), [5, config.positions(&inputs.size()), DIM]);
}

/// A checkpoint keeps f32: it could be trained, and never be started again.
#[test]
fn a_module_of_another_precision_is_told_when_it_is_loaded() {
    let place = Place::new();
    let body = "return torch.embedding(self.table, torch.remainder(x, 256))";
    module_of(&place.file(), "DoubleStorage", 255, body, |value| {
        f64::from(value).to_le_bytes().to_vec()
    });
    let told = place.examined(TEXT).unwrap_err().to_string();
    assert!(told.contains("table") && told.contains("Double"), "{told}");
    assert!(told.contains(".float()"), "{told}");
}

#[test]
fn what_is_no_network_of_the_market_is_told_when_it_is_loaded() {
    let place = Place::new();
    let told = || place.examined(TEXT).unwrap_err().to_string();
    assert!(told().contains("cannot be read"), "{}", told());
    std::fs::write(place.file(), "no module at all").unwrap();
    assert!(told().contains("no TorchScript module"), "{}", told());
    module(
        &place.file(),
        255,
        "return torch.embedding(self.table, torch.remainder(x, 256))",
    );
    let whole = std::fs::read(place.file()).unwrap();
    std::fs::write(place.file(), &whole[..whole.len() / 2]).unwrap();
    assert!(told().contains("no TorchScript module"), "{}", told());

    for (body, said) in [
        (
            "return torch.matmul(x, self.table)",
            "fails on random inputs [3, 8]",
        ),
        ("return torch.to(x, 6)", "answers [3, 8] to inputs [3, 8]"),
        (
            "return torch.embedding(self.table, torch.zeros_like(torch.slice(x, 1, 1, 5)))",
            "answers [3, 4, 4]",
        ),
        (
            "return torch.div(torch.embedding(self.table, torch.remainder(x, 256)), 0.)",
            "not finite",
        ),
    ] {
        module(&place.file(), 255, body);
        assert!(told().contains(said), "{body}: {}", told());
        assert!(told().lines().count() == 1, "{}", told());
    }
    let words = ScriptConfig::examine(&place.file(), TEXT, 258, DIM + 1, Device::Cpu);
    let words = words.unwrap_err().to_string();
    assert!(words.contains("--response-dim"), "{words}");
}

/// A module that knew the tokens it was tried with, and does not know another.
#[test]
fn a_module_that_fails_later_is_an_error_and_goes_on() {
    let place = Place::new();
    module(&place.file(), 255, "return torch.embedding(self.table, x)");
    let known = InputShape::Text {
        vocabulary: 256,
        context: 8,
    };
    let config = NetworkConfig::Script(place.examined(known).unwrap());
    let training = TrainingConfig::default();
    let mut trainer = Trainer::new(&config, training, Device::Cpu).unwrap();
    let tokens = |token: i64| Tensor::from_slice(&[1, token]).view([1, 2]);
    assert!(trainer.model().f_represent(&tokens(255)).is_ok());
    assert!(trainer.model().f_represent(&tokens(256)).is_err());
    let held_out_loss = |token| {
        let (inputs, targets) = (tokens(token), tokens(token));
        let batches = [Batch { inputs, targets }];
        crate::held_out_loss(trainer.model(), Device::Cpu, &batches)
    };
    assert!(held_out_loss(255).unwrap().is_finite());
    let words = telling_line(&held_out_loss(256).unwrap_err());
    assert!(words.contains("out of range"), "{words}");
    let gradient = Tensor::ones([1, 2, DIM], (Kind::Float, Device::Cpu));
    assert!(trainer.follow(&tokens(256), &gradient, 1e-3, 1.0).is_err());
    assert!(trainer.follow(&tokens(255), &gradient, 1e-3, 1.0).is_ok());
}
