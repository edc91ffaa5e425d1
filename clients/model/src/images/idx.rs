//! IDX files: a magic number, the sizes, and a byte for each element.
//!
//! ```text
//! 0x00 0x00 0x08 (bytes) N (dimensions) | N sizes, u32 big-endian | the product of the sizes in bytes
//! ```

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::GzDecoder;

use super::ImagesError;

/// Most elements of a file: twenty times Fashion-MNIST.
const LARGEST: usize = 1 << 30;

/// A file of `N` dimensions: as many bytes as the product of its sizes, none of which is 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Idx<const N: usize> {
    pub(super) sizes: [usize; N],
    pub(super) bytes: Vec<u8>,
}

/// Reads a file of the folder, as it is or with `.gz` behind its name.
pub(super) fn read<const N: usize>(
    folder: &Path,
    file: &'static str,
) -> Result<Idx<N>, ImagesError> {
    let plain = folder.join(file);
    let packed = folder.join(format!("{file}.gz"));
    match File::open(&packed) {
        Ok(content) => parse(&packed, GzDecoder::new(BufReader::new(content))),
        Err(error) if error.kind() == ErrorKind::NotFound => match File::open(&plain) {
            Ok(content) => parse(&plain, BufReader::new(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(ImagesError::Missing {
                folder: folder.to_owned(),
                file,
            }),
            Err(source) => Err(unreadable(&plain, source)),
        },
        Err(source) => Err(unreadable(&packed, source)),
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> ImagesError {
    ImagesError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

/// Checks the header before memory is taken for what it announces, and reads no more than that.
fn parse<const N: usize>(path: &Path, mut content: impl Read) -> Result<Idx<N>, ImagesError> {
    let path: PathBuf = path.to_owned();
    let malformed = |what: String| ImagesError::Malformed {
        path: path.clone(),
        what,
    };
    let ended = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => malformed("it is cut short".into()),
        _ => unreadable(&path, error),
    };
    let mut magic = [0; 4];
    content.read_exact(&mut magic).map_err(ended)?;
    if magic[..3] != [0, 0, 8] || usize::from(magic[3]) != N {
        return Err(malformed(format!(
            "it begins with {magic:02x?}, not with [00, 00, 08, {N:02x}]"
        )));
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        let mut bytes = [0; 4];
        content.read_exact(&mut bytes).map_err(ended)?;
        *size = u32::from_be_bytes(bytes) as usize;
    }
    let product = sizes
        .iter()
        .try_fold(1usize, |all, size| all.checked_mul(*size));
    let count = match product {
        Some(count @ 1..=LARGEST) => count,
        _ => return Err(malformed(format!("it announces {sizes:?} elements"))),
    };
    // One more than announced would show what does not belong there.
    let mut bytes = Vec::new();
    let mut content = content.take(count as u64 + 1);
    content.read_to_end(&mut bytes).map_err(ended)?;
    if bytes.len() != count {
        let compared = if bytes.len() < count { "fewer" } else { "more" };
        return Err(malformed(format!(
            "it holds {compared} elements than the {sizes:?} that it announces"
        )));
    }
    Ok(Idx { sizes, bytes })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{write::GzEncoder, Compression};

    use super::*;

    fn parsed<const N: usize>(bytes: &[u8]) -> Result<Idx<N>, ImagesError> {
        parse(Path::new("file"), bytes)
    }

    const TWO: [u8; 12] = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2];

    #[test]
    fn a_header_and_its_bytes_are_read() {
        let file = [&TWO[..], &[7, 9]].concat();
        let read = parsed::<2>(&file).unwrap();
        assert_eq!((read.sizes, read.bytes), ([1, 2], vec![7, 9]));
    }

    #[test]
    fn whatever_a_file_holds_is_an_error_and_never_a_panic() {
        let whole = [&TWO[..], &[7, 9]].concat();
        for end in 0..whole.len() {
            assert!(parsed::<2>(&whole[..end]).is_err(), "cut at {end}");
        }
        let more = [&whole[..], &[1]].concat();
        let words = parsed::<2>(&more).unwrap_err().to_string();
        assert!(words.contains("more elements"), "{words}");
        assert!(parsed::<3>(&whole).is_err(), "of other dimensions");
        let mut floats = whole.clone();
        floats[2] = 0x0d;
        assert!(parsed::<2>(&floats).is_err());
        // Sizes whose product overflows, is beyond all reason, or nothing.
        for sizes in [[u32::MAX, u32::MAX], [1 << 16, 1 << 16], [0, 5]] {
            let sizes = sizes.map(u32::to_be_bytes).concat();
            let file = [&[0, 0, 8, 2][..], &sizes].concat();
            let words = parsed::<2>(&file).unwrap_err().to_string();
            assert!(words.contains("announces"), "{words}");
        }
    }

    #[test]
    fn packed_files_are_read_and_damaged_ones_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.gz");
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&TWO).unwrap();
        packed.write_all(&[7, 9]).unwrap();
        let packed = packed.finish().unwrap();
        std::fs::write(&path, &packed).unwrap();
        assert_eq!(read::<2>(folder.path(), "file").unwrap().bytes, [7, 9]);
        for end in 0..packed.len() {
            std::fs::write(&path, &packed[..end]).unwrap();
            assert!(read::<2>(folder.path(), "file").is_err(), "cut at {end}");
        }
        for place in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[place] ^= 0xff;
            std::fs::write(&path, &damaged).unwrap();
            // Bytes of the gzip header that say nothing of the content may be anything.
            if let Ok(read) = read::<2>(folder.path(), "file") {
                assert_eq!(read.bytes, [7, 9]);
            }
        }
    }
}
