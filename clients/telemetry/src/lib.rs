//! Numbers of a running neuron, for whoever watches it: TensorBoard event files ([`board`]) and a page for Prometheus
//! ([`metrics`], served by [`page`]).
//!
//! A program turns what happens into [`Sample`]s and records them; where they go, its [`Flags`] say. Without flags
//! they go nowhere. Nothing here stops a program: what cannot be written is lost, with a warning.
//!
//! Beside the numbers there is what else programs that run unattended have in common: their [`log`], what they draw
//! below it on a [`terminal`], and the [`signals`] that tell them to end.

pub mod board;
pub mod log;
pub mod metrics;
pub mod page;
pub mod signals;
pub mod terminal;

use board::Board;
use metrics::{Metrics, MOST_SERIES};
use std::{
    collections::BTreeMap,
    io, mem,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time from one look at the sums of counters to the next that TensorBoard is told of: each call would be a line otherwise.
const BETWEEN_SUMS: Duration = Duration::from_secs(30);

/// Whether a number stands for itself or is added to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The newest value counts.
    Gauge,
    /// The sum counts. TensorBoard is told of it now and then, and at the end.
    Counter,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, such as `noesis_validator_loss`.
    pub name: &'static str,
    /// What it is and in what unit, in a few words.
    pub help: &'static str,
    /// How it is kept.
    pub kind: Kind,
    /// What it is a number of, such as `("uid", "3")`.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

impl Sample {
    /// A number that stands for itself.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            name,
            help,
            kind: Kind::Gauge,
            labels: Vec::new(),
            value,
        }
    }

    /// A number to be added.
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            kind: Kind::Counter,
            ..Self::gauge(name, help, value)
        }
    }

    /// With one more label.
    #[must_use]
    pub fn of(mut self, label: &'static str, value: impl ToString) -> Self {
        self.labels.push((label, value.to_string()));
        self
    }
}

/// The flags of a program that can be watched.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Folder to write TensorBoard event files to.
    #[arg(long, value_name = "FOLDER")]
    pub tensorboard: Option<PathBuf>,
    /// Address at which to serve a page of numbers for Prometheus, such as 127.0.0.1:9600. Whoever reaches it may read it.
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<SocketAddr>,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The folder.
    #[error(
        "--tensorboard {path}: no event file can be written there ({source}): name another folder"
    )]
    Board {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address.
    #[error("--metrics {address}: cannot listen there ({source}): name another port")]
    Page {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Where samples go. A clone goes to the same places.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Arc<Sinks>);

#[derive(Debug, Default)]
struct Sinks {
    board: Mutex<Option<Shown>>,
    metrics: Option<Metrics>,
}

impl Telemetry {
    /// Opens what the flags ask for; the page is served on the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// [`TelemetryError`] naming the flag.
    pub async fn open(flags: &Flags) -> Result<Self, TelemetryError> {
        let board = flags.tensorboard.as_ref().map(|path| {
            Board::create(path).map_err(|source| TelemetryError::Board {
                path: path.clone(),
                source,
            })
        });
        let board = board.transpose()?;
        let board = board.map(|board| Shown::new(board, Instant::now()));
        let metrics = flags.metrics.map(|_| Metrics::default());
        if let (Some(address), Some(metrics)) = (flags.metrics, &metrics) {
            let listener = tokio::net::TcpListener::bind(address).await;
            let listener = listener.map_err(|source| TelemetryError::Page { address, source })?;
            tracing::info!("numbers for Prometheus at http://{address}/metrics");
            tokio::spawn(page::serve(listener, metrics.clone()));
        }
        Ok(Self(Arc::new(Sinks {
            board: Mutex::new(board),
            metrics,
        })))
    }

    /// Records what became known at a step of training. What is not finite is left out. Gauges of one name are recorded all
    /// at once: see [`Metrics::take`].
    pub fn record(&self, step: u64, samples: &[Sample]) {
        if let Some(metrics) = &self.0.metrics {
            metrics.take(samples);
        }
        let mut board = self.0.board.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = board.as_mut() else { return };
        if let Err(error) = open.take(step, samples, Instant::now()) {
            tracing::warn!("TensorBoard files are no longer written ({error}): check the folder of --tensorboard and the free space");
            *board = None;
        }
    }
}

/// What TensorBoard shows.
#[derive(Debug)]
struct Shown {
    board: Board,
    /// Of each counter by its tag, and whether it grew since it was told.
    sums: BTreeMap<String, (f64, bool)>,
    opened: Instant,
    /// When sums were told.
    told: Instant,
}

impl Shown {
    fn new(board: Board, now: Instant) -> Self {
        Self {
            board,
            sums: BTreeMap::new(),
            opened: now,
            told: now,
        }
    }

    fn take(&mut self, step: u64, samples: &[Sample], now: Instant) -> io::Result<()> {
        let mut gauges = Vec::new();
        for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
            let tag = tag(sample);
            match sample.kind {
                Kind::Gauge => gauges.push((tag, sample.value as f32)),
                Kind::Counter if self.sums.len() < MOST_SERIES || self.sums.contains_key(&tag) => {
                    let (sum, grew) = self.sums.entry(tag).or_default();
                    *sum += sample.value.max(0.0);
                    *grew = true;
                }
                Kind::Counter => {}
            }
        }
        if !gauges.is_empty() {
            self.board.write(step, gauges)?;
        }
        if now.saturating_duration_since(self.told) >= BETWEEN_SUMS {
            self.tell_sums(now)?;
        }
        Ok(())
    }

    /// Over seconds since the start: who only serves takes no steps.
    fn tell_sums(&mut self, now: Instant) -> io::Result<()> {
        self.told = now;
        let grown = self
            .sums
            .iter_mut()
            .filter_map(|(tag, (sum, grew))| mem::take(grew).then(|| (tag.clone(), *sum as f32)));
        let grown: Vec<(String, f32)> = grown.collect();
        if grown.is_empty() {
            return Ok(());
        }
        let seconds = now.saturating_duration_since(self.opened).as_secs();
        self.board.write(seconds, grown)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // Where the folder is full, that was told when it was written to before.
        let _ = self.tell_sums(Instant::now());
    }
}

/// `name/label value`, as TensorBoard groups them.
fn tag(sample: &Sample) -> String {
    let labels = sample.labels.iter().map(|(_, value)| value.as_str());
    std::iter::once(sample.name)
        .chain(labels)
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A number, its step and its tag.
    type Point = (i64, String, f32);

    fn point(step: i64, tag: &str, value: f32) -> Point {
        (step, tag.to_owned(), value)
    }

    /// All that the files in the folder of a board hold.
    fn shown(folder: &std::path::Path) -> Vec<Point> {
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.flat_map(|file| board::read(&file).unwrap()).collect()
    }

    #[test]
    fn sums_reach_the_board_now_and_then_over_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut board = Shown::new(Board::create(folder.path()).unwrap(), begin);
        let calls = [Sample::counter("calls", "Calls.", 1.0).of("outcome", "ok")];
        for seconds in [1, 29, 31, 60] {
            board.take(0, &calls, at(seconds)).unwrap();
        }
        let told = [point(31, "calls/ok", 3.0)];
        assert_eq!(shown(folder.path()), told);
        let step = [Sample::gauge("step", "Steps.", 7.0)];
        for seconds in [61, 100] {
            board.take(7, &step, at(seconds)).unwrap();
        }
        drop(board); // nothing more has come
        let step = point(7, "step", 7.0);
        let more = [step.clone(), point(61, "calls/ok", 4.0), step];
        assert_eq!(shown(folder.path()), [&told[..], &more].concat());
    }

    #[tokio::test]
    async fn samples_reach_the_board_and_the_page() {
        let folder = tempfile::tempdir().unwrap();
        // A port that is free now; nobody else is told of it.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let flags = Flags {
            tensorboard: Some(folder.path().join("board")),
            metrics: Some(address),
        };
        let telemetry = Telemetry::open(&flags).await.unwrap();
        for step in 1..=2 {
            telemetry.record(
                step,
                &[
                    Sample::gauge("loss", "Loss.", 0.5 * step as f64),
                    Sample::gauge("ablation", "Ablation.", f64::NAN).of("uid", 1),
                    Sample::counter("steps", "Steps.", 1.0),
                ],
            );
        }
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(
            page.contains("\nloss 1\n") && page.contains("\nsteps 2\n"),
            "{page}"
        );
        assert!(!page.contains("ablation"), "{page}");
        let taken = Telemetry::open(&flags).await.unwrap_err().to_string();
        assert!(taken.contains("--metrics"), "{taken}");

        let losses = [point(1, "loss", 0.5), point(2, "loss", 1.0)];
        assert_eq!(shown(&folder.path().join("board")), losses);
        drop(telemetry);
        let all = shown(&folder.path().join("board"));
        assert_eq!(all[..2], losses);
        let (_, tag, sum) = &all[2]; // however many seconds that took
        assert_eq!((tag.as_str(), *sum, all.len()), ("steps", 2.0, 3));
        Telemetry::default().record(1, &[Sample::gauge("loss", "Loss.", 1.0)]);
    }
}
