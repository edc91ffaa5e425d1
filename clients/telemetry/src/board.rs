//! TensorBoard event files: records of protocol buffers, each with its length and two checksums (TFRecord).

use prost::Message;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// `tensorflow.Event`, of which only what is written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// An event file that is written.
#[derive(Debug)]
pub struct Board(File);

impl Board {
    /// Makes a file of its own in the folder, which is made if need be: TensorBoard puts those of several runs together.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (seconds, process) = (now().floor(), std::process::id());
        let name = format!("events.out.tfevents.{seconds:010}.noesis.{process}");
        let mut board = Self(
            File::options()
                .create(true)
                .append(true)
                .open(folder.join(name))?,
        );
        board.append(&Event {
            wall_time: now(),
            file_version: Some("brain.Event:2".into()),
            ..Event::default()
        })?;
        Ok(board)
    }

    /// Writes numbers by their tags.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&mut self, step: u64, values: Vec<(String, f32)>) -> io::Result<()> {
        let values = values.into_iter();
        let value = values
            .map(|(tag, simple_value)| Value { tag, simple_value })
            .collect();
        self.append(&Event {
            wall_time: now(),
            step: i64::try_from(step).unwrap_or(i64::MAX),
            summary: Some(Summary { value }),
            ..Event::default()
        })
    }

    /// In one write, so that a reader finds whole records alone.
    fn append(&mut self, event: &Event) -> io::Result<()> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(crc32c(&length)).to_le_bytes());
        record.extend(&data);
        record.extend(masked(crc32c(&data)).to_le_bytes());
        self.0.write_all(&record)
    }
}

/// All numbers of a file, with their steps and tags; `None` where a checksum is wrong or a record is no event.
#[cfg(test)]
pub(crate) fn read(mut bytes: &[u8]) -> Option<Vec<(i64, String, f32)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (length_sum, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(size)?;
        let (data_sum, rest) = rest.split_first_chunk::<4>()?;
        let whole = u32::from_le_bytes(*length_sum) == masked(crc32c(length))
            && u32::from_le_bytes(*data_sum) == masked(crc32c(data));
        let event = Event::decode(data).ok().filter(|_| whole)?;
        let values = event.summary.unwrap_or_default().value.into_iter();
        found.extend(values.map(|value| (event.step, value.tag, value.simple_value)));
        bytes = rest;
    }
    Some(found)
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// CRC-32C (Castagnoli), reflected, a bit at a time: records are short and few.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// As TFRecord keeps it, so that a checksum over checksums is not trivial.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = Board::create(folder.path()).unwrap();
        let values = |value| vec![("loss".to_owned(), value), ("peer/3".to_owned(), -1.0)];
        board.write(1, values(2.5)).unwrap();
        board.write(7, values(2.25)).unwrap();
        let file = fs::read_dir(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert!(file.file_name().to_string_lossy().contains("tfevents"));
        let mut bytes = fs::read(file.path()).unwrap();
        let expected = [
            (1, "loss".to_owned(), 2.5),
            (1, "peer/3".to_owned(), -1.0),
            (7, "loss".to_owned(), 2.25),
            (7, "peer/3".to_owned(), -1.0),
        ];
        assert_eq!(read(&bytes).unwrap(), expected);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert_eq!(read(&bytes), None);
    }
}
