//! Numbers as bytes and back, little-endian, in the types of the wire.
//!
//! All loops are over blocks or rows of plain numbers, which the compiler turns into vector
//! instructions; an iterator of bytes, collected, would take several times as long.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use crate::tensor::all;

/// Numbers converted at a time: fits the first-level cache and lets the processor convert in bulk.
const BLOCK: usize = 512;
/// Bytes of a scale of [`write_int8`].
pub(crate) const SCALE_BYTES: usize = 4;
/// The largest number that a row's largest value becomes.
const INT8_MOST: f32 = 127.0;
/// Bits of a single without its sign; as whole numbers they are in the order of the magnitudes.
const MAGNITUDE: u32 = 0x7fff_ffff;
/// One and a half times 2^23: what is added to it is rounded, ties to even, into its lowest bits.
const ROUNDS: f32 = 12_582_912.0;

pub(crate) fn write_f32(values: &[f32], to: &mut Vec<u8>) {
    write(values, to, f32::to_le_bytes);
}

pub(crate) fn write_i64(values: &[i64], to: &mut Vec<u8>) {
    write(values, to, i64::to_le_bytes);
}

pub(crate) fn write_bf16(values: &[f32], to: &mut Vec<u8>) {
    write(values, to, |value| bf16::from_f32(value).to_le_bytes());
}

pub(crate) fn write_f16(values: &[f32], to: &mut Vec<u8>) {
    let mut halves = [f16::ZERO; BLOCK];
    for values in values.chunks(BLOCK) {
        let halves = &mut halves[..values.len()];
        halves.convert_from_f32_slice(values);
        write(halves, to, f16::to_le_bytes);
    }
}

/// All values as `i8`, then the scale of each row of `row` values as `f32`: a value is its `i8` times
/// the scale of its row, which is the row's largest magnitude over 127. A row with a value that is not
/// finite has a scale that is not.
pub(crate) fn write_int8(values: &[f32], row: usize, to: &mut Vec<u8>) {
    let mut integers = vec![0; row];
    let mut scales = Vec::with_capacity(values.len() / row);
    for values in values.chunks_exact(row) {
        scales.push(write_int8_row(values, &mut integers));
        to.extend_from_slice(&integers);
    }
    write_f32(&scales, to);
}

fn write_int8_row(values: &[f32], out: &mut [u8]) -> f32 {
    let magnitudes = values.iter().map(|value| value.to_bits() & MAGNITUDE);
    let largest = f32::from_bits(magnitudes.fold(0, u32::max));
    if !largest.is_finite() {
        return f32::NAN;
    }
    let inverse = INT8_MOST / largest;
    if !inverse.is_finite() {
        out.fill(0);
        return 0.0; // all of them nothing, or next to it
    }
    for (out, value) in out.iter_mut().zip(values) {
        *out = (value * inverse + ROUNDS).to_bits() as u8;
    }
    let scale = largest / INT8_MOST;
    if (scale * INT8_MOST).is_finite() {
        scale
    } else {
        scale.next_down()
    }
}

pub(crate) fn read_i64(bytes: &[u8]) -> Vec<i64> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(i64::from_le_bytes).collect()
}

/// `None` where a number is not finite, as of the next ones.
pub(crate) fn read_f32(bytes: &[u8]) -> Option<Vec<f32>> {
    read_singles(bytes, |bytes, singles| {
        for (single, bytes) in singles.iter_mut().zip(bytes) {
            *single = f32::from_le_bytes(*bytes);
        }
    })
}

pub(crate) fn read_bf16(bytes: &[u8]) -> Option<Vec<f32>> {
    read_singles(bytes, |bytes, singles| {
        for (single, bytes) in singles.iter_mut().zip(bytes) {
            *single = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        }
    })
}

pub(crate) fn read_f16(bytes: &[u8]) -> Option<Vec<f32>> {
    let mut halves = [f16::ZERO; BLOCK];
    read_singles(bytes, |bytes, singles| {
        let halves = &mut halves[..bytes.len()];
        for (half, bytes) in halves.iter_mut().zip(bytes) {
            *half = f16::from_le_bytes(*bytes);
        }
        halves.convert_to_f32_slice(singles);
    })
}

/// What [`write_int8`] wrote; `bytes` are a whole number of rows and their scales.
pub(crate) fn read_int8(bytes: &[u8], row: usize) -> Option<Vec<f32>> {
    let rows = bytes.len() / (row + SCALE_BYTES);
    let (integers, scales) = bytes.split_at(rows * row);
    let mut values = Vec::with_capacity(integers.len());
    for (integers, scale) in integers.chunks_exact(row).zip(read_f32(scales)?) {
        let scaled = |byte: &u8| f32::from(i8::from_le_bytes([*byte])) * scale;
        values.extend(integers.iter().map(scaled));
        // Where the largest product is finite all are.
        let most = scaled(&(i8::MIN as u8));
        if !most.is_finite() && !all(&values[values.len() - row..], f32::is_finite) {
            return None;
        }
    }
    Some(values)
}

fn write<const N: usize, T: Copy>(values: &[T], to: &mut Vec<u8>, to_bytes: impl Fn(T) -> [u8; N]) {
    let mut block = [[0; N]; BLOCK];
    for values in values.chunks(BLOCK) {
        let block = &mut block[..values.len()];
        for (bytes, value) in block.iter_mut().zip(values) {
            *bytes = to_bytes(*value);
        }
        to.extend_from_slice(block.as_flattened());
    }
}

/// Makes singles of numbers of `N` bytes, a block at a time, which is looked at while it is in the cache: `None` where one is
/// not finite.
fn read_singles<const N: usize>(
    bytes: &[u8],
    mut convert: impl FnMut(&[[u8; N]], &mut [f32]),
) -> Option<Vec<f32>> {
    let (numbers, _) = bytes.as_chunks();
    let mut values = Vec::with_capacity(numbers.len());
    let mut singles = [0.0; BLOCK];
    for numbers in numbers.chunks(BLOCK) {
        let singles = &mut singles[..numbers.len()];
        convert(numbers, singles);
        if !all(singles, f32::is_finite) {
            return None;
        }
        values.extend_from_slice(singles);
    }
    Some(values)
}
