//! Zstandard, within bounds that are known before a byte is decompressed.
//!
//! The library is the format's own, in C, the one that is fuzzed most and that the node has in its graph
//! already; `ruzstd`, in Rust, compresses at one level only and decompresses at a fraction of its speed.

use zstd::{
    bulk,
    zstd_safe::{find_frame_compressed_size, get_frame_content_size},
};

use crate::Failure;

/// Numbers hardly shrink more at higher levels, which take several times as long.
const LEVEL: i32 = 1;
/// What a frame of today's format begins with; others are never handed to the library.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// `bytes` as one frame that says their number, or `None` where that is no shorter.
pub(crate) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let compressed = bulk::compress(bytes, LEVEL).ok()?;
    (compressed.len() < bytes.len()).then_some(compressed)
}

/// The bytes in `frame`, which must be one frame that says it holds `expected` of them. Nothing is
/// allocated before that is seen, never more than `expected`, and nothing is written beyond it.
///
/// # Errors
/// [`Failure::BadShape`] for anything else.
pub(crate) fn decompress(frame: &[u8], expected: usize) -> Result<Vec<u8>, Failure> {
    let whole = frame.starts_with(&MAGIC) && find_frame_compressed_size(frame) == Ok(frame.len());
    if !whole {
        return Err(Failure::BadShape(
            "the data is not one whole zstd frame; compress a tensor's bytes as one".into(),
        ));
    }
    match get_frame_content_size(frame) {
        Ok(Some(content)) if content == expected as u64 => {}
        Ok(Some(content)) => {
            return Err(Failure::BadShape(format!(
                "the frame holds {content} bytes and the shape needs {expected}; send as many as it says"
            )))
        }
        Ok(None) | Err(_) => {
            return Err(Failure::BadShape(
                "the frame does not say how many bytes it holds; compress with the content size".into(),
            ))
        }
    }
    match bulk::decompress(frame, expected) {
        Ok(bytes) if bytes.len() == expected => Ok(bytes),
        Ok(_) | Err(_) => Err(Failure::BadShape(format!(
            "the frame cannot be decompressed to the {expected} bytes that it promises; send it whole"
        ))),
    }
}
