//! Tensors whose data fits their shape, in memory and on the wire.

use half::{f16, slice::HalfFloatSliceExt};
use noesis_proto::{v1, Bytes};

use crate::Failure;

/// Most dimensions of a tensor.
pub const MAX_DIMENSIONS: usize = 8;

/// Halves converted at a time: fits the first-level cache and lets the processor convert in bulk.
const BLOCK: usize = 1024;

/// The elements of a [`Tensor`], in row-major order. f16 is a form on the wire only.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Whole numbers.
    I64(Vec<i64>),
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are none; never true within a checked tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An array of numbers. The constructors check that data and shape fit; who fills the fields by hand
/// can call [`check`](Tensor::check), as everything here does before it sends one.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Length of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// As many elements as the product of the shape.
    pub data: Data,
}

impl Tensor {
    /// A tensor of single precision.
    ///
    /// # Errors
    /// [`Failure::BadShape`] where the shape is empty, has a zero or more than [`MAX_DIMENSIONS`]
    /// dimensions, or its product is not the number of values.
    pub fn f32(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self, Failure> {
        Self::checked(shape.into(), Data::F32(values))
    }

    /// A tensor of whole numbers.
    ///
    /// # Errors
    /// As [`Tensor::f32`].
    pub fn i64(shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Result<Self, Failure> {
        Self::checked(shape.into(), Data::I64(values))
    }

    fn checked(shape: Vec<usize>, data: Data) -> Result<Self, Failure> {
        let tensor = Self { shape, data };
        tensor.check()?;
        Ok(tensor)
    }

    /// Checks that the data fits the shape.
    ///
    /// # Errors
    /// As [`Tensor::f32`].
    pub fn check(&self) -> Result<(), Failure> {
        let expected = elements(&self.shape)?;
        let found = self.data.len();
        if expected != found {
            return Err(Failure::BadShape(format!(
                "shape {:?} needs {expected} elements but there are {found}; send as many as it says",
                self.shape
            )));
        }
        Ok(())
    }

    /// Whether no value is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        match &self.data {
            Data::F32(values) => values.iter().all(|value| value.is_finite()),
            Data::I64(_) => true,
        }
    }

    /// Whether f16 can carry every value without making it infinite.
    pub fn fits_f16(&self) -> bool {
        match &self.data {
            Data::F32(values) => values.iter().all(|value| value.abs() <= f16::MAX.to_f32()),
            Data::I64(_) => false,
        }
    }

    /// The tensor on the wire, of the dtype of its data.
    pub fn to_wire(&self) -> Result<v1::Tensor, Failure> {
        self.check()?;
        let (dtype, data) = match &self.data {
            Data::F32(values) => (
                v1::Dtype::F32,
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ),
            Data::I64(values) => (
                v1::Dtype::I64,
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ),
        };
        Ok(self.wire(dtype, data))
    }

    /// The tensor on the wire with its values rounded to half precision. Whole numbers stay as they
    /// are, since halves do not hold them.
    pub fn to_wire_f16(&self) -> Result<v1::Tensor, Failure> {
        self.check()?;
        let Data::F32(values) = &self.data else {
            return self.to_wire();
        };
        let mut data = Vec::with_capacity(values.len().saturating_mul(2));
        let mut halves = [f16::ZERO; BLOCK];
        for block in values.chunks(BLOCK) {
            let halves = &mut halves[..block.len()];
            halves.convert_from_f32_slice(block);
            data.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        }
        Ok(self.wire(v1::Dtype::F16, data))
    }

    fn wire(&self, dtype: v1::Dtype, data: Vec<u8>) -> v1::Tensor {
        v1::Tensor {
            dtype: dtype.into(),
            shape: self.shape.iter().map(|&length| length as u64).collect(),
            data: Bytes::from(data),
            encoding: v1::Encoding::Raw.into(),
        }
    }

    /// Reads a tensor from the wire. Nothing is allocated before shape and bytes are found to fit
    /// each other, and then at most twice the bytes (halves become singles), which the limit on
    /// messages bounds.
    ///
    /// # Errors
    /// [`Failure::BadShape`] where they do not fit, [`Failure::Unsupported`] for what is reserved.
    pub fn from_wire(wire: &v1::Tensor) -> Result<Self, Failure> {
        let size = match wire.dtype() {
            v1::Dtype::F16 => 2,
            v1::Dtype::F32 => 4,
            v1::Dtype::I64 => 8,
            v1::Dtype::Unspecified => {
                return Err(Failure::Unsupported(format!(
                    "dtype {} is unknown; say f32, f16 or i64",
                    wire.dtype
                )))
            }
            other @ (v1::Dtype::Bf16 | v1::Dtype::U8 | v1::Dtype::Int8Scaled) => {
                return Err(Failure::Unsupported(format!(
                    "{} is not spoken here; send f32, f16 or i64",
                    other.as_str_name()
                )))
            }
        };
        if v1::Encoding::try_from(wire.encoding) != Ok(v1::Encoding::Raw) {
            return Err(Failure::Unsupported(
                "only raw tensors are spoken here; send them uncompressed".into(),
            ));
        }
        if wire.shape.len() > MAX_DIMENSIONS {
            return Err(too_many_dimensions(wire.shape.len()));
        }
        let shape = wire
            .shape
            .iter()
            .map(|&length| usize::try_from(length).map_err(|_| overflow(&wire.shape)))
            .collect::<Result<Vec<_>, _>>()?;
        let expected = elements(&shape)?
            .checked_mul(size)
            .ok_or_else(|| overflow(&wire.shape))?;
        if expected != wire.data.len() {
            return Err(Failure::BadShape(format!(
                "shape {shape:?} needs {expected} bytes but there are {}; send as many as it says",
                wire.data.len()
            )));
        }
        let data = match wire.dtype() {
            v1::Dtype::I64 => Data::I64(singles(&wire.data, i64::from_le_bytes)),
            v1::Dtype::F32 => Data::F32(singles(&wire.data, f32::from_le_bytes)),
            _ => Data::F32(halves(&wire.data)),
        };
        Ok(Self { shape, data })
    }
}

/// Number of elements of a shape.
fn elements(shape: &[usize]) -> Result<usize, Failure> {
    if shape.is_empty() {
        return Err(Failure::BadShape(
            "there is no shape; say the length of each dimension".into(),
        ));
    }
    if shape.len() > MAX_DIMENSIONS {
        return Err(too_many_dimensions(shape.len()));
    }
    if shape.contains(&0) {
        return Err(Failure::BadShape(format!(
            "shape {shape:?} has a dimension of zero; each is at least 1"
        )));
    }
    shape
        .iter()
        .try_fold(1_usize, |product, &length| product.checked_mul(length))
        .ok_or_else(|| overflow(shape))
}

fn too_many_dimensions(found: usize) -> Failure {
    Failure::BadShape(format!(
        "{found} dimensions are more than {MAX_DIMENSIONS}; flatten some"
    ))
}

fn overflow(shape: &(impl std::fmt::Debug + ?Sized)) -> Failure {
    Failure::BadShape(format!(
        "shape {shape:?} has more elements than can be counted; dimensions are lengths, at least 1"
    ))
}

fn singles<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .chunks_exact(N)
        .map(|chunk| {
            read(
                chunk
                    .try_into()
                    .expect("chunks_exact gives exactly N bytes"),
            )
        })
        .collect()
}

fn halves(bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / 2];
    let mut block = [f16::ZERO; BLOCK];
    for (values, bytes) in values.chunks_mut(BLOCK).zip(bytes.chunks(2 * BLOCK)) {
        let block = &mut block[..values.len()];
        for (half, bytes) in block.iter_mut().zip(bytes.chunks_exact(2)) {
            *half = f16::from_le_bytes([bytes[0], bytes[1]]);
        }
        block.convert_to_f32_slice(values);
    }
    values
}
