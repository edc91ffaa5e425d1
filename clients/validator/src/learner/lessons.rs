//! What the student asks the network about beside the batches: inputs that nobody has a target for.
//!
//! With little data of its own a student learns the network's predictions of those by heart, not the network. Inputs
//! that are made up have no such end, and cost an answer only: texts that the student writes itself (as in sequence-level
//! distillation, Kim and Rush, 2016), images and vectors that are mixed of two (Zhang et al., 2018).

use noesis_model::{
    tch::{no_grad, Device, Kind, Tensor},
    Modality, Network,
};

/// Bytes, which are the tokens that a text consists of.
const BYTES: i64 = 256;

/// The student is given one in this many tokens of a text of the validator's own, and writes the rest.
const BEGINNING: i64 = 8;

/// Texts that the student writes in a step: writing takes a call of the model for each token.
const WRITTEN_A_STEP: i64 = 4;

/// Texts that are kept, to be asked about more than once.
const WRITTEN_KEPT: i64 = 128;

/// The most pixels by which an image is moved in each direction.
const MOVED: i64 = 2;

/// How many inputs are made up beside a batch: half as many.
pub(super) fn rows(batch: i64) -> i64 {
    (batch / 2).max(1)
}

/// Makes up inputs.
#[derive(Default)]
pub(super) struct Lessons {
    /// Texts that the student wrote, `i64 [n, context]`, the oldest first.
    written: Option<Tensor>,
}

impl Lessons {
    /// As many inputs as [`rows`] says of this batch of the validator's own, and of their shape.
    pub(super) fn make(&mut self, modality: Modality, student: &Network, own: &Tensor) -> Tensor {
        let count = rows(own.size()[0]);
        no_grad(|| match modality {
            Modality::Text => self.texts(student, own, count),
            Modality::Image => mixed(&moved(&some(own, count)), &moved(&some(own, count))),
            Modality::Tensor => mixed(&some(own, count), &some(own, count)),
        })
    }

    fn texts(&mut self, student: &Network, own: &Tensor, count: i64) -> Tensor {
        let written = write_on(student, &some(own, WRITTEN_A_STEP));
        let all = match self.written.take() {
            Some(before) => Tensor::cat(&[before, written], 0),
            None => written,
        };
        let surplus = (all.size()[0] - WRITTEN_KEPT).max(0);
        let kept = all.narrow(0, surplus, all.size()[0] - surplus);
        let lesson = some(&kept, count);
        self.written = Some(kept);
        lesson
    }
}

/// So many rows, any of them, perhaps some twice.
fn some(rows: &Tensor, count: i64) -> Tensor {
    let chosen = Tensor::randint(rows.size()[0], [count], (Kind::Int64, rows.device()));
    rows.index_select(0, &chosen)
}

/// Keeps the beginnings of these texts `[n, s]` and writes on as the student expects them to go on.
fn write_on(student: &Network, texts: &Tensor) -> Tensor {
    let length = texts.size()[1];
    let mut written = texts.narrow(1, 0, (length / BEGINNING).max(1));
    while written.size()[1] < length {
        let last = student.represent(&written).select(1, written.size()[1] - 1);
        let logits = student.logits(&last).narrow(-1, 0, BYTES);
        let next = logits.softmax(-1, Kind::Float).multinomial(1, false);
        written = Tensor::cat(&[written, next], 1);
    }
    written
}

/// Rows of both, mixed in shares that are drawn for each.
fn mixed(first: &Tensor, second: &Tensor) -> Tensor {
    let mut shape = vec![1; first.dim()];
    shape[0] = first.size()[0];
    let share = Tensor::rand(shape, (Kind::Float, first.device()));
    first * &share + second * (1.0 - share)
}

/// Images `[n, c, h, w]`, each moved a little; what leaves at one edge comes in at the other.
fn moved(images: &Tensor) -> Tensor {
    let by = Tensor::randint_low(
        -MOVED,
        MOVED + 1,
        [images.size()[0], 2],
        (Kind::Int64, Device::Cpu),
    );
    let rows = images.split(1, 0).into_iter().enumerate();
    let rows: Vec<Tensor> = rows
        .map(|(row, image)| {
            let by = |axis| by.int64_value(&[row as i64, axis]);
            image.roll([by(0), by(1)], [2, 3])
        })
        .collect();
    Tensor::cat(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noesis_model::{seeded, tch::nn::VarStore, NetworkConfig};

    fn network(modality: Modality) -> Network {
        let store = VarStore::new(Device::Cpu);
        let config = NetworkConfig::builtin(modality, 16, 8);
        seeded(1, || Network::new(&store.root(), &config)).unwrap()
    }

    fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
        Vec::try_from(tensor.flatten(1, -1).to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn texts_begin_as_its_own_and_go_on_as_bytes_and_old_ones_go() {
        let network = network(Modality::Text);
        let mut lessons = Lessons::default();
        // A token that no byte is: whatever is one was written.
        let own = Tensor::full([6, 16], BYTES, (Kind::Int64, Device::Cpu));
        for _ in 0..40 {
            let lesson = lessons.make(Modality::Text, &network, &own);
            assert_eq!(lesson.size(), [3, 16]);
            for row in rows(&lesson) {
                assert!(row[..2].iter().all(|token| *token >= 256.0), "{row:?}");
                assert!(row[2..].iter().all(|token| *token < 256.0), "{row:?}");
            }
        }
        let kept = rows(lessons.written.as_ref().unwrap());
        assert_eq!(kept.len(), WRITTEN_KEPT as usize);
        assert!(kept.iter().any(|row| row[2..] != kept[0][2..]));
    }

    #[test]
    fn images_and_vectors_lie_between_two_of_its_own() {
        for (modality, shape) in [
            // Of so many rows not all are mixed from two that are alike.
            (Modality::Image, vec![64, 1, 28, 28]),
            (Modality::Tensor, vec![64, 4, 6]),
        ] {
            let dark = Tensor::zeros(&shape, (Kind::Float, Device::Cpu));
            let own = Tensor::cat(&[&dark, &(&dark + 1.0)], 0);
            let made = Lessons::default().make(modality, &network(modality), &own);
            assert_eq!(made.size()[1..], shape[1..]);
            let made = rows(&made);
            assert_eq!(made.len(), 64);
            assert!(made
                .iter()
                .flatten()
                .all(|value| (0.0..=1.0).contains(value)));
            let between = |row: &Vec<f64>| row[0] > 0.01 && row[0] < 0.99;
            assert!(made.iter().any(between), "{made:?}");
        }
    }

    #[test]
    fn an_image_is_moved_and_nothing_of_it_is_lost() {
        let image = Tensor::arange(64, (Kind::Float, Device::Cpu)).view([1, 1, 8, 8]);
        let many = moved(&image.expand([30, 1, 8, 8], false));
        let many = rows(&many);
        assert!(many.iter().any(|one| one != &many[0]));
        for mut one in many {
            one.sort_by(f64::total_cmp);
            assert!(one
                .iter()
                .enumerate()
                .all(|(at, value)| at as f64 == *value));
        }
    }
}
