//! A checkpoint: named tensors, a step and a configuration in one file that is whole or not there.
//!
//! The file is a safetensors file, readable by any tool that knows the format; its metadata hold our
//! format's name, the step, the configuration as JSON, and a BLAKE3 checksum of the whole file
//! (with the checksum's own digits read as zeros).
//!
//! *Writing* is atomic: a temporary file beside it, flushed to the disk, then renamed over the old
//! one, which stays beside it as `.previous`. *Reading* checks everything before a tensor is made,
//! goes back to the previous file where the newest is damaged or gone, and [`Checkpoint::restore`] checks
//! every name and shape before a parameter is changed: never half.

mod folder;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use noesis_files::{Written, BY_UMASK};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use tch::{no_grad, Kind, Tensor};

pub use folder::Folder;

/// The name and version of the format.
const FORMAT: &str = "noesis-checkpoint-1";
/// The key of the metadata in a safetensors header.
const METADATA: &str = "__metadata__";
/// What stands behind the name of the checkpoint before the newest.
const PREVIOUS: &str = ".previous";
/// Digits of a BLAKE3 hash.
const CHECKSUM_DIGITS: usize = 64;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused.
    #[error("the checkpoint {path} cannot be {verb}: {source}; check that the folder exists, its permissions and the free space")]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("the checkpoint {path} is damaged or no checkpoint of ours ({what}), and there is no whole {path}.previous: move both away to start from nothing")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Another program holds the folder.
    #[error("another program works with the checkpoints in {path}: end it, or name another folder with --checkpoint")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The file is whole, but of another model.
    #[error("the checkpoint {path} does not fit this model ({what}): name another folder with --checkpoint, or start with the settings it was made with")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
}

/// What a file held: whole and checked, but not yet in a model.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// Steps of training behind it.
    pub step: u64,
    config: String,
    tensors: BTreeMap<String, Tensor>,
}

/// Where a tensor lies in the data part.
#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: [usize; 2],
}

/// Our part of the header.
#[derive(Serialize, Deserialize)]
struct Metadata {
    format: String,
    step: String,
    config: String,
    blake3: String,
}

/// How long to wait after a checkpoint that took so long, so that they take a tenth of the time at most. A crash then
/// costs what was learned in about ten times what a checkpoint takes, some tenths of a second, and the current step.
pub fn pause_after(took: Duration) -> Duration {
    const REST: u32 = 9;
    took.saturating_mul(REST)
}

/// Writes a checkpoint: the file at `path` is afterwards the new one or still the old one, whatever
/// happens. The old one, if it is whole, stays as `path` with `.previous` behind it. The folder is made
/// if need be.
///
/// # Errors
///
/// [`CheckpointError::File`] when the system refuses.
pub fn save(
    path: &Path,
    step: u64,
    config: &impl Serialize,
    tensors: &[(String, Tensor)],
) -> Result<(), CheckpointError> {
    let bytes = encode(step, config, tensors);
    replace(path, &bytes).map_err(|source| CheckpointError::File {
        path: path.to_owned(),
        verb: "written",
        source,
    })
}

/// Reads a checkpoint, or the one before it where this one is damaged or gone, with a warning; `None` when
/// there is neither.
///
/// # Errors
///
/// [`CheckpointError::File`] when the one that is needed cannot be read, [`CheckpointError::Damaged`] when there is
/// one and neither is byte for byte what [`save`] wrote.
pub fn load(path: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let (lost, otherwise) = match read(path) {
        Ok(None) => ("gone", Ok(None)),
        Err(damage @ CheckpointError::Damaged { .. }) => ("damaged", Err(damage)),
        other => return other,
    };
    match (read(&beside(path, PREVIOUS)), otherwise) {
        (Ok(Some(checkpoint)), _) => {
            tracing::warn!(
                "the checkpoint {} is {lost}: going on from the one before it, of step {}",
                path.display(),
                checkpoint.step
            );
            Ok(Some(checkpoint))
        }
        (Err(unread @ CheckpointError::File { .. }), _) => Err(unread),
        (Ok(None), otherwise) | (_, otherwise @ Err(_)) => otherwise,
        (Err(_), Ok(_)) => Err(CheckpointError::Damaged {
            path: path.to_owned(),
            what: "it is gone".to_owned(),
        }),
    }
}

/// Reads one file.
fn read(path: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CheckpointError::File {
                path: path.to_owned(),
                verb: "read",
                source,
            })
        }
    };
    match decode(&bytes) {
        Ok((step, config, tensors)) => Ok(Some(Checkpoint {
            path: path.to_owned(),
            step,
            config,
            tensors,
        })),
        Err(what) => Err(CheckpointError::Damaged {
            path: path.to_owned(),
            what,
        }),
    }
}

impl Checkpoint {
    /// The configuration that was saved.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Mismatch`] when it is of another kind.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C, CheckpointError> {
        serde_json::from_str(&self.config).map_err(|error| self.mismatch(error.to_string()))
    }

    /// A [`CheckpointError::Mismatch`] that names this file.
    pub fn mismatch(&self, what: String) -> CheckpointError {
        CheckpointError::Mismatch {
            path: self.path.clone(),
            what,
        }
    }

    /// The saved tensor of this name, on the CPU.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        self.tensors.get(name).map(Tensor::shallow_clone)
    }

    /// Copies the saved values into tensors of the same names: all of them or, on an error, none.
    /// Tensors that the file has besides these are left alone.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Mismatch`] when a name is missing or a shape differs.
    pub fn restore(&self, targets: &[(String, Tensor)]) -> Result<(), CheckpointError> {
        let mut copies = Vec::with_capacity(targets.len());
        for (name, target) in targets {
            let Some(saved) = self.tensors.get(name) else {
                return Err(self.mismatch(format!("it has no `{name}`")));
            };
            if saved.size() != target.size() || saved.kind() != target.kind() {
                return Err(self.mismatch(format!(
                    "`{name}` is {:?} {:?} there and {:?} {:?} here",
                    saved.kind(),
                    saved.size(),
                    target.kind(),
                    target.size()
                )));
            }
            copies.push((target.shallow_clone(), saved));
        }
        no_grad(|| {
            for (mut target, saved) in copies {
                target.copy_(saved);
            }
        });
        Ok(())
    }
}

/// The path with more behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes beside, keeps the old one, renames over it.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent();
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let written = Written::beside(path, bytes, BY_UMASK)?;
    // A damaged one is not worth the one before it.
    if fs::read(path).is_ok_and(|bytes| check(&bytes).is_ok()) {
        // A second name for the old file, so that there is no moment without a file at `path`.
        let previous = beside(path, PREVIOUS);
        let _ = fs::remove_file(&previous);
        if fs::hard_link(path, &previous).is_err() {
            fs::copy(path, &previous)?;
        }
    }
    written.rename()
}

/// The bytes of a safetensors file.
fn encode(step: u64, config: &impl Serialize, tensors: &[(String, Tensor)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut header = serde_json::Map::new();
    for (name, tensor) in tensors {
        let begin = data.len();
        let flat = tensor.detach().to_device(tch::Device::Cpu).reshape([-1]);
        let dtype = if tensor.kind() == Kind::Int64 {
            let values = Vec::<i64>::try_from(&flat).expect("a flat i64 tensor on the CPU");
            data.extend(values.into_iter().flat_map(i64::to_le_bytes));
            "I64"
        } else {
            let values = Vec::<f32>::try_from(&flat.to_kind(Kind::Float))
                .expect("a flat f32 tensor on the CPU");
            data.extend(values.into_iter().flat_map(f32::to_le_bytes));
            "F32"
        };
        let entry = Entry {
            dtype: dtype.to_owned(),
            shape: tensor.size(),
            data_offsets: [begin, data.len()],
        };
        header.insert(name.clone(), json(&entry));
    }
    let metadata = Metadata {
        format: FORMAT.to_owned(),
        step: step.to_string(),
        config: json(config).to_string(),
        blake3: "0".repeat(CHECKSUM_DIGITS),
    };
    header.insert(METADATA.to_owned(), json(&metadata));
    let mut header = serde_json::Value::Object(header).to_string();
    // The format aligns the data to eight bytes, with spaces behind the header.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));

    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&data);
    let checksum = blake3::hash(&bytes).to_hex();
    let place = checksum_place(&bytes, metadata.blake3.as_bytes())
        .expect("the zeros were put into the header above");
    bytes[place..place + CHECKSUM_DIGITS].copy_from_slice(checksum.as_bytes());
    bytes
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("a configuration is plain data with names for keys")
}

/// Where the digits of the checksum stand.
fn checksum_place(bytes: &[u8], digits: &[u8]) -> Option<usize> {
    let key = b"\"blake3\":\"";
    let pattern = [key, digits].concat();
    let found = bytes
        .windows(pattern.len())
        .position(|window| window == pattern)?;
    Some(found + key.len())
}

/// Checks everything, then makes the tensors. Errors say what was found.
fn decode(bytes: &[u8]) -> Result<(u64, String, BTreeMap<String, Tensor>), String> {
    let Whole {
        metadata,
        entries,
        data,
    } = check(bytes)?;
    let step = metadata.step.parse();
    let step = step.map_err(|_| "its step is no number".to_owned())?;

    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let entry: Entry = serde_json::from_value(entry)
            .map_err(|error| format!("its entry `{name}` cannot be read: {error}"))?;
        let tensor =
            tensor(&entry, data).ok_or_else(|| format!("`{name}` does not fit its shape"))?;
        tensors.insert(name, tensor);
    }
    Ok((step, metadata.config, tensors))
}

/// A file that is byte for byte what was written.
struct Whole<'a> {
    metadata: Metadata,
    /// By the tensors' names.
    entries: serde_json::Map<String, serde_json::Value>,
    data: &'a [u8],
}

/// Checks that a file is whole, without making its tensors. Errors say what was found.
fn check(bytes: &[u8]) -> Result<Whole<'_>, String> {
    let cut = || "it is cut short".to_owned();
    let length = bytes.first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
    let end = length.checked_add(8).ok_or_else(cut)?;
    let header = bytes.get(8..end).ok_or_else(cut)?;
    let data = &bytes[end..];
    let mut entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|_| "its header is no JSON".to_owned())?;

    let metadata = entries.remove(METADATA).ok_or("it has no metadata")?;
    let metadata: Metadata = serde_json::from_value(metadata)
        .map_err(|error| format!("its metadata are not ours: {error}"))?;
    if metadata.format != FORMAT {
        return Err(format!(
            "its format is `{}`, not `{FORMAT}`",
            metadata.format
        ));
    }
    check_checksum(bytes, &metadata.blake3)?;
    Ok(Whole {
        metadata,
        entries,
        data,
    })
}

fn check_checksum(bytes: &[u8], checksum: &str) -> Result<(), String> {
    let wrong = || "its checksum is wrong".to_owned();
    let place = checksum_place(bytes, checksum.as_bytes()).ok_or_else(wrong)?;
    let rest = bytes.get(place + CHECKSUM_DIGITS..).ok_or_else(wrong)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..place]);
    hasher.update(&[b'0'; CHECKSUM_DIGITS]);
    hasher.update(rest);
    if hasher.finalize().to_hex().as_str() == checksum {
        Ok(())
    } else {
        Err(wrong())
    }
}

/// The tensor of an entry, or `None` when its bytes do not fit its shape.
fn tensor(entry: &Entry, data: &[u8]) -> Option<Tensor> {
    let bytes = data.get(entry.data_offsets[0]..entry.data_offsets[1])?;
    let count = entry.shape.iter().try_fold(1usize, |count, size| {
        count.checked_mul(usize::try_from(*size).ok()?)
    })?;
    let flat = match entry.dtype.as_str() {
        "F32" if count.checked_mul(4) == Some(bytes.len()) => {
            let values = bytes.as_chunks::<4>().0.iter().copied();
            Tensor::from_slice(&values.map(f32::from_le_bytes).collect::<Vec<_>>())
        }
        "I64" if count.checked_mul(8) == Some(bytes.len()) => {
            let values = bytes.as_chunks::<8>().0.iter().copied();
            Tensor::from_slice(&values.map(i64::from_le_bytes).collect::<Vec<_>>())
        }
        _ => return None,
    };
    flat.f_view(entry.shape.as_slice()).ok()
}

#[cfg(test)]
mod tests;
