//! A miner without a chain: calls, gradients, faults, training and checkpoints.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

use std::{
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use noesis_chain::keypair;
use noesis_miner::{
    enrol::serves, Fault, Faulty, FeedbackRules, Keeping, Miner, OwnTraining, Settings, Worker,
};
use noesis_model::{
    network::cross_entropy,
    tch::{no_grad, CModule, Device, Kind, Tensor as Torch},
    DataSet, InputShape, Modality, NetworkConfig, ScriptConfig, Trainer, TrainingConfig,
    TransformerConfig,
};
use noesis_neuron::{Caller, Callers, Data, Failure, Limits, Model, Tensor, Treatment};
use tokio::{net::TcpListener, sync::watch};

const DIM: usize = 12;

fn trainer() -> Trainer {
    noesis_model::set_threads(1);
    Trainer::new(&model_config(), training_config(), Device::Cpu).unwrap()
}

fn model_config() -> NetworkConfig {
    NetworkConfig::Transformer(TransformerConfig {
        width: 16,
        layers: 1,
        heads: 2,
        context: 8,
        response_dim: DIM as i64,
        ..TransformerConfig::default()
    })
}

fn training_config() -> TrainingConfig {
    TrainingConfig {
        batch: 4,
        seed: 3,
        ..TrainingConfig::default()
    }
}

fn settings() -> Settings {
    Settings::default()
}

fn caller(number: u8) -> Caller {
    Caller {
        hotkey: [number; 32],
        stake: 0,
    }
}

fn tokens() -> Tensor {
    Tensor::i64(vec![2, 5], vec![1, 2, 3, 4, 5, 9, 8, 7, 6, 5]).unwrap()
}

fn values(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        Data::F32(values) => values,
        Data::I64(_) => panic!("an answer is f32"),
    }
}

fn start(settings: Settings) -> (Worker, Miner) {
    Worker::spawn(trainer(), settings).unwrap()
}

#[tokio::test]
async fn it_answers_what_the_model_represents() {
    let input = Torch::from_slice(&[1i64, 2, 3, 4, 5, 9, 8, 7, 6, 5]).view([2, 5]);
    let expected = no_grad(|| trainer().model().represent(&input)).reshape([-1]);
    let (worker, miner) = start(settings());
    let answer = miner.forward(caller(1), tokens()).await.unwrap();
    assert_eq!(answer.shape, [2, 5, DIM]);
    assert_eq!(values(&answer), Vec::<f32>::try_from(expected).unwrap());

    let description = miner.describe();
    assert_eq!(description.response_dim as usize, DIM);
    assert_eq!(description.sequence_limit, 8);
    assert!(description.parameters > 1000);
    assert_eq!(worker.stop().unwrap(), 0);
    let gone = miner.forward(caller(1), tokens()).await;
    assert!(matches!(gone, Err(Failure::Internal(_))));
}

/// How long so many callers take at once, each with so many small calls; the answers must be right.
async fn time_of_calls(positions_a_batch: usize) -> Duration {
    const CALLERS: u8 = 24;
    const CALLS: usize = 20;
    let small = || Tensor::i64(vec![1, 5], vec![1, 2, 3, 4, 5]).unwrap();
    let (worker, miner) = start(Settings {
        positions_a_batch,
        ..settings()
    });
    let alone = miner.forward(caller(0), small()).await.unwrap();
    let begin = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        let (miner, alone) = (miner.clone(), alone.clone());
        callers.spawn(async move {
            for _ in 0..CALLS {
                let answer = miner.forward(caller(number), small()).await.unwrap();
                assert_eq!(answer.shape, alone.shape);
                for (one, other) in values(&answer).iter().zip(values(&alone)) {
                    assert!((one - other).abs() < 1e-4, "{one} and {other}");
                }
            }
        });
    }
    callers.join_all().await;
    let took = begin.elapsed();
    worker.stop().unwrap();
    took
}

#[tokio::test]
async fn calls_that_wait_together_are_answered_faster_together() {
    let mut best = [Duration::MAX; 2];
    for _ in 0..3 {
        for (best, positions) in best.iter_mut().zip([1, 1 << 12]) {
            *best = time_of_calls(positions).await.min(*best);
        }
    }
    let [apart, together] = best.map(|time| time.as_secs_f64());
    println!("together: {:.2} times the calls a second", apart / together);
    assert!(together < apart * 0.8, "{together} s, apart {apart} s");
}

#[tokio::test]
async fn inputs_that_are_no_tokens_are_refused_and_the_next_call_is_answered() {
    let (_worker, miner) = start(Settings {
        positions_a_call: 20,
        ..settings()
    });
    let shaped = |shape: &[usize], data: Data| Tensor {
        shape: shape.to_vec(),
        data,
    };
    for wrong in [
        shaped(&[5], Data::I64(vec![1; 5])),
        shaped(&[1, 9], Data::I64(vec![1; 9])),
        shaped(&[0, 4], Data::I64(vec![])),
        shaped(&[2, 4], Data::I64(vec![1; 7])),
        shaped(&[usize::MAX, usize::MAX], Data::I64(vec![1])),
        shaped(&[1, 2], Data::I64(vec![0, 258])),
        shaped(&[1, 2], Data::I64(vec![0, -1])),
        shaped(&[1, 2], Data::F32(vec![0.0, 1.0])),
    ] {
        let words = format!("{wrong:?}");
        let answer = miner.forward(caller(1), wrong).await;
        assert!(matches!(answer, Err(Failure::BadShape(_))), "{words}");
    }
    let many = shaped(&[3, 7], Data::I64(vec![1; 21]));
    let answer = miner.forward(caller(1), many).await;
    assert!(matches!(answer, Err(Failure::TooLarge(_))));
    assert!(miner.forward(caller(1), tokens()).await.is_ok());
}

/// Inputs, the answer's shape, and a network for them.
fn of_modality(modality: Modality) -> (Tensor, Vec<usize>, NetworkConfig) {
    let network = NetworkConfig::builtin(modality, 8, DIM as i64);
    let (shape, positions) = match modality {
        Modality::Text => (vec![2, 5], 5),
        Modality::Image => (vec![2, 1, 28, 28], 49),
        Modality::Tensor => (vec![2, 3, 784], 3),
    };
    let count = shape.iter().product();
    let inputs = match modality {
        Modality::Text => Tensor::i64(shape, vec![65; count]),
        _ => Tensor::f32(shape, vec![0.5; count]),
    };
    (inputs.unwrap(), vec![2, positions, DIM], network)
}

#[tokio::test]
async fn images_and_vectors_are_answered_and_learned_from_as_text_is() {
    for modality in [Modality::Text, Modality::Image, Modality::Tensor] {
        let (inputs, shape, network) = of_modality(modality);
        let trainer = Trainer::new(&network, training_config(), Device::Cpu).unwrap();
        let (_worker, miner) = Worker::spawn(trainer, settings()).unwrap();
        assert_eq!(miner.describe().modality, modality);
        let before = miner.forward(caller(1), inputs.clone()).await.unwrap();
        assert_eq!(before.shape, shape);
        let gradient = Tensor::f32(shape.clone(), vec![1.0; shape.iter().product()]).unwrap();
        let treatment = miner.backward(caller(1), inputs.clone(), gradient).await;
        assert_eq!(treatment, Ok(Treatment::Applied));
        let after = miner.forward(caller(1), inputs.clone()).await.unwrap();
        let sum = |answer: &Tensor| values(answer).iter().sum::<f32>();
        assert!(sum(&after) < sum(&before), "down the gradient");

        // The inputs of the others are none of this one.
        for other in [Modality::Text, Modality::Image, Modality::Tensor] {
            let (inputs, ..) = of_modality(other);
            let answer = miner.forward(caller(1), inputs).await;
            let refused = matches!(answer, Err(Failure::BadShape(_)));
            assert_eq!(refused, other != modality, "{other:?} to {modality:?}");
        }
        let faulty = Faulty::new(miner.clone(), Some(Fault::Noise));
        let noise = faulty.forward(caller(1), inputs.clone()).await.unwrap();
        assert_eq!(noise.shape, shape);
        let leak = Faulty::new(miner, Some(Fault::Leak));
        let leak = leak.forward(caller(1), inputs).await;
        assert_eq!(leak.is_ok(), modality == Modality::Text, "{leak:?}");
    }
}

#[tokio::test]
async fn images_that_are_too_many_are_refused() {
    let (inputs, _, network) = of_modality(Modality::Image);
    let trainer = Trainer::new(&network, training_config(), Device::Cpu).unwrap();
    let settings = Settings {
        positions_a_call: 2 * 49,
        ..settings()
    };
    let (_worker, miner) = Worker::spawn(trainer, settings).unwrap();
    assert!(miner.forward(caller(1), inputs).await.is_ok());
    let three = Tensor::f32(vec![3, 1, 28, 28], vec![0.5; 3 * 784]).unwrap();
    let refused = miner.forward(caller(1), three).await;
    assert!(matches!(refused, Err(Failure::TooLarge(_))), "{refused:?}");
}

/// A TorchScript file with no parameter, that knows the tokens up to 199 and fails at all others. It was
/// tried out with a smaller vocabulary than it is served with.
fn traced(folder: &Path) -> NetworkConfig {
    let file = folder.join("traced.pt");
    let table = Torch::rand([200, DIM as i64], (Kind::Float, Device::Cpu));
    let example = [Torch::zeros([1, 3], (Kind::Int64, Device::Cpu))];
    let mut look_up =
        |inputs: &[Torch]| vec![Torch::embedding(&table, &inputs[0], -1, false, false)];
    CModule::create_by_tracing("Net", "forward", &example, &mut look_up)
        .unwrap()
        .save(&file)
        .unwrap();
    let inputs = |vocabulary| InputShape::Text {
        vocabulary,
        context: 8,
    };
    let script = ScriptConfig::examine(&file, inputs(200), 258, DIM as i64, Device::Cpu);
    NetworkConfig::Script(ScriptConfig {
        inputs: inputs(258),
        ..script.unwrap()
    })
}

#[tokio::test]
async fn a_torchscript_module_that_fails_fails_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let network = traced(folder.path());
    let trainer = Trainer::new(&network, training_config(), Device::Cpu).unwrap();
    let (worker, miner) = Worker::spawn(trainer, settings()).unwrap();
    assert_eq!(miner.describe().model, "torchscript");
    let answer = miner.forward(caller(1), tokens()).await.unwrap();
    assert_eq!(answer.shape, [2, 5, DIM]);
    let unknown = Tensor::i64(vec![1, 2], vec![1, 200]).unwrap();
    let failed = miner.forward(caller(1), unknown).await;
    let Err(Failure::Internal(words)) = failed else {
        panic!("{failed:?}");
    };
    assert!(words.contains("out of range"), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
    assert_eq!(miner.forward(caller(1), tokens()).await, Ok(answer));
    let gradient = Tensor::f32(vec![2, 5, DIM], vec![1.0; 10 * DIM]).unwrap();
    let treated = miner.backward(caller(1), tokens(), gradient).await;
    let Ok(Treatment::Refused(words)) = treated else {
        panic!("{treated:?}");
    };
    assert!(words.contains("frozen"), "{words}");
    assert!(worker.stop().is_ok());
}

/// The loss of a caller that reads answers through `reader`, and the gradient it sends back.
fn read(answer: &Tensor, reader: &Torch, targets: &Torch) -> (f64, Tensor) {
    let shape: Vec<i64> = answer.shape.iter().map(|size| *size as i64).collect();
    let leaf = Torch::from_slice(values(answer))
        .view(shape.as_slice())
        .set_requires_grad(true);
    let loss = cross_entropy(&leaf.matmul(reader), targets);
    loss.backward();
    let gradient = Vec::<f32>::try_from(leaf.grad().reshape([-1])).unwrap();
    (
        loss.double_value(&[]),
        Tensor::f32(answer.shape.clone(), gradient).unwrap(),
    )
}

#[tokio::test]
async fn gradients_make_the_answers_better_for_the_caller() {
    let (_worker, miner) = start(Settings {
        feedback: FeedbackRules {
            rate: 3e-3,
            ..FeedbackRules::default()
        },
        ..settings()
    });
    let (reader, targets) = noesis_model::seeded(1, || {
        (
            Torch::randn([DIM as i64, 50], (Kind::Float, Device::Cpu)),
            Torch::randint(50, [2, 5], (Kind::Int64, Device::Cpu)),
        )
    });
    let mut losses = Vec::new();
    for _ in 0..20 {
        let answer = miner.forward(caller(1), tokens()).await.unwrap();
        let (loss, gradient) = read(&answer, &reader, &targets);
        losses.push(loss);
        let treatment = miner.backward(caller(1), tokens(), gradient).await;
        assert_eq!(treatment, Ok(Treatment::Applied));
    }
    assert!(losses[19] < 0.8 * losses[0], "{losses:?}");
}

#[tokio::test]
async fn gradients_that_are_wrong_change_nothing() {
    let (_worker, miner) = start(settings());
    let before = miner.forward(caller(1), tokens()).await.unwrap();
    let gradient = |shape: &[usize], value: f32| Tensor {
        shape: shape.to_vec(),
        data: Data::F32(vec![value; shape.iter().product()]),
    };
    for shape in [&[2, 5][..], &[2, 5, DIM + 1], &[2, 4, DIM]] {
        let refused = miner
            .backward(caller(1), tokens(), gradient(shape, 1.0))
            .await;
        assert!(matches!(refused, Err(Failure::BadShape(_))), "{shape:?}");
    }
    let short = Tensor {
        shape: vec![2, 5, DIM],
        data: Data::F32(vec![0.0; 3]),
    };
    let refused = miner.backward(caller(1), tokens(), short).await;
    assert!(matches!(refused, Err(Failure::BadShape(_))));
    // Finite, but not any more once it has gone through the model.
    let huge = gradient(&[2, 5, DIM], f32::MAX);
    let refused = miner.backward(caller(1), tokens(), huge).await;
    assert!(matches!(refused, Ok(Treatment::Refused(_))), "{refused:?}");
    let after = miner.forward(caller(1), tokens()).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_caller_over_its_quota_is_refused_and_another_is_not() {
    let (_worker, miner) = start(Settings {
        feedback: FeedbackRules {
            quota: 2,
            ..FeedbackRules::default()
        },
        ..settings()
    });
    let zero = || Tensor::f32(vec![2, 5, DIM], vec![0.0; 10 * DIM]).unwrap();
    let send = |number| miner.backward(caller(number), tokens(), zero());
    assert_eq!(send(1).await, Ok(Treatment::Applied));
    assert_eq!(send(1).await, Ok(Treatment::Applied));
    let Ok(Treatment::Refused(words)) = send(1).await else {
        panic!("the third was not refused");
    };
    assert!(words.contains("quota"), "{words}");
    assert_eq!(send(2).await, Ok(Treatment::Applied));
}

#[tokio::test]
async fn a_caller_without_the_stake_for_a_gradient_trains_nothing() {
    let (_worker, miner) = start(Settings {
        feedback: FeedbackRules {
            stake: 5,
            ..FeedbackRules::default()
        },
        ..settings()
    });
    let before = miner.forward(caller(1), tokens()).await.unwrap();
    let send = |stake| {
        let one = Tensor::f32(vec![2, 5, DIM], vec![1.0; 10 * DIM]).unwrap();
        let caller = Caller { stake, ..caller(1) };
        miner.backward(caller, tokens(), one)
    };
    for stake in [0, 4] {
        let Ok(Treatment::Refused(words)) = send(stake).await else {
            panic!("a stake of {stake} was enough");
        };
        assert!(words.contains("5 units of its stake"), "{words}");
    }
    assert_eq!(miner.forward(caller(1), tokens()).await.unwrap(), before);
    assert_eq!(send(5).await, Ok(Treatment::Applied));
    let second = send(5).await;
    assert!(matches!(second, Ok(Treatment::Refused(_))), "{second:?}");
}

#[tokio::test]
async fn each_fault_is_what_it_says() {
    let (_worker, miner) = start(settings());
    let honest = miner.forward(caller(1), tokens()).await.unwrap();
    let faulty = |fault| Faulty::new(miner.clone(), Some(fault));
    let answer = |fault| async move { faulty(fault).forward(caller(1), tokens()).await };

    let noise = answer(Fault::Noise).await.unwrap();
    assert_eq!(noise.shape, honest.shape);
    assert!(values(&noise).iter().all(|value| value.is_finite()));
    assert_ne!(noise, answer(Fault::Noise).await.unwrap());

    let nan = answer(Fault::Nan).await.unwrap();
    assert_eq!(nan.shape, honest.shape);
    assert!(values(&nan).iter().all(|value| value.is_nan()));

    let leak = answer(Fault::Leak).await.unwrap();
    assert_eq!(leak.shape, honest.shape);
    assert_eq!(leak, answer(Fault::Leak).await.unwrap());

    let time = Duration::from_millis(80);
    let begin = Instant::now();
    assert_eq!(answer(Fault::Late(time)).await.unwrap(), honest);
    assert!(begin.elapsed() >= time);

    let silence = tokio::time::timeout(time, answer(Fault::Silent)).await;
    assert!(silence.is_err(), "it answered");

    let none = Faulty::new(miner.clone(), None);
    assert_eq!(none.forward(caller(1), tokens()).await.unwrap(), honest);
    // A fault is no way around the checks.
    let wrong = Tensor::i64(vec![1, 1], vec![999]).unwrap();
    for fault in [Fault::Noise, Fault::Nan, Fault::Leak, Fault::Late(time)] {
        let refused = faulty(fault).forward(caller(1), wrong.clone()).await;
        assert!(matches!(refused, Err(Failure::BadShape(_))), "{fault:?}");
    }
}

fn text(folder: &Path) -> Arc<DataSet> {
    let path = folder.join("text");
    let mut file = std::fs::File::create(&path).unwrap();
    for line in 0..400 {
        writeln!(file, "line {line} of words that come again").unwrap();
    }
    Arc::new(DataSet::load(Modality::Text, &path, 8).unwrap())
}

#[tokio::test]
async fn it_trains_between_calls_and_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path());
    let path = folder.path().join("kept/model.safetensors");
    let with_training = |until_step| Settings {
        training: Some(OwnTraining {
            data: Arc::clone(&text),
            until_step,
            duty: 1.0,
        }),
        keeping: Some(Keeping {
            path: path.clone(),
            every: Duration::from_secs(3600),
        }),
        ..settings()
    };
    let resume =
        || Trainer::resume(&path, &model_config(), training_config(), Device::Cpu).unwrap();

    let (worker, miner) = Worker::spawn(resume(), with_training(u64::MAX)).unwrap();
    let untrained = miner.forward(caller(1), tokens()).await.unwrap();
    // Without end as it is, training lets calls through, and what they get changes.
    let mut answer = untrained.clone();
    while answer == untrained {
        answer = miner.forward(caller(1), tokens()).await.unwrap();
    }
    let taken = worker.stop().unwrap();
    assert!(taken >= 1);

    let resumed = resume();
    assert_eq!(resumed.step_count(), taken);
    // As many steps as there are already: it only serves.
    let (worker, miner) = Worker::spawn(resumed, with_training(taken)).unwrap();
    let first = miner.forward(caller(1), tokens()).await.unwrap();
    assert_eq!(miner.forward(caller(1), tokens()).await.unwrap(), first);
    assert_eq!(worker.stop().unwrap(), taken);
    let (worker, miner) = Worker::spawn(resume(), with_training(taken + 1)).unwrap();
    while miner.forward(caller(1), tokens()).await.unwrap() == first {}
    assert_eq!(worker.stop().unwrap(), taken + 1);
}

#[tokio::test]
async fn calls_without_end_do_not_end_its_training() {
    let folder = tempfile::tempdir().unwrap();
    let (worker, miner) = start(Settings {
        training: Some(OwnTraining {
            data: text(folder.path()),
            until_step: u64::MAX,
            duty: 1.0,
        }),
        ..settings()
    });
    // Of eight shapes, which are not computed together: whenever one is answered, others wait.
    const CALLS: u64 = 40;
    let callers = (1..=8).map(|sequence| {
        let miner = miner.clone();
        tokio::spawn(async move {
            for _ in 0..CALLS {
                let inputs = Tensor::i64(vec![64, sequence], vec![65; 64 * sequence]).unwrap();
                assert!(miner.forward(caller(1), inputs).await.is_ok());
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let steps = worker.stop().unwrap();
    assert!(steps >= 8 * CALLS / 9 - 8, "{steps} steps");
}

/// A crash hours later would lose it.
#[tokio::test]
async fn what_was_learned_last_is_written_though_nobody_calls_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (_worker, miner) = start(Settings {
        keeping: Some(Keeping {
            path: path.clone(),
            every: Duration::from_secs(3),
        }),
        ..settings()
    });
    let zero = Tensor::f32(vec![2, 5, DIM], vec![0.0; 10 * DIM]).unwrap();
    let applied = miner.backward(caller(1), tokens(), zero).await;
    assert_eq!(applied, Ok(Treatment::Applied));
    assert!(!path.exists(), "too soon to tell");
    let began = std::time::Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "never written");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_written_is_told_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), b"").unwrap();
    let (worker, miner) = start(Settings {
        keeping: Some(Keeping {
            path: folder.path().join("file/model.safetensors"),
            every: Duration::ZERO,
        }),
        ..settings()
    });
    let zero = Tensor::f32(vec![2, 5, DIM], vec![0.0; 10 * DIM]).unwrap();
    let applied = miner.backward(caller(1), tokens(), zero).await;
    assert_eq!(applied, Ok(Treatment::Applied));
    assert!(miner.forward(caller(1), tokens()).await.is_ok());
    let words = worker.stop().unwrap_err().to_string();
    assert!(words.contains("cannot be written"), "{words}");
}

#[tokio::test]
async fn a_miner_that_serves_with_the_same_hotkey_elsewhere_is_found() {
    let (ours, others) = (keypair("//Charlie//hotkey"), keypair("//Dave//hotkey"));
    let (ours, others) = (ours.unwrap(), others.unwrap());
    let genesis = [3; 32];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let keys = [ours.public_key().0, others.public_key().0];
    let callers: Callers = keys.into_iter().map(|key| (key, 0)).collect();
    let (_known, known) = watch::channel(Arc::new(callers));
    let (_worker, miner) = start(settings());
    let server = tokio::spawn(noesis_neuron::serve(
        listener,
        miner,
        ours.clone(),
        genesis,
        known,
        Limits::default(),
        std::future::pending(),
    ));
    assert!(serves(&ours, genesis, &endpoint, None).await);
    assert!(
        !serves(&others, genesis, &endpoint, None).await,
        "another's place"
    );
    server.abort();
    let _ = server.await;
    assert!(
        !serves(&ours, genesis, &endpoint, None).await,
        "nobody's place"
    );
}
