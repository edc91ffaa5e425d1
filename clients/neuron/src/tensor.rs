//! Tensors whose data fits their shape.

use crate::Failure;

/// Most dimensions of a tensor.
pub const MAX_DIMENSIONS: usize = 8;

/// Values looked at between two decisions to go on, so that the processor looks at many at once.
const BLOCK: usize = 1024;

/// The elements of a [`Tensor`], in row-major order. The narrow types are forms on the wire only.
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

    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::I64(_))
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
            Data::F32(values) => all(values, f32::is_finite),
            Data::I64(_) => true,
        }
    }
}

/// Whether something is so of all values.
pub(crate) fn all(values: &[f32], is_so: impl Fn(f32) -> bool) -> bool {
    values.chunks(BLOCK).all(|block| {
        let so = block.iter().map(|value| is_so(*value));
        so.fold(true, |all, one| all & one)
    })
}

/// Number of elements of a shape.
pub(crate) fn elements(shape: &[usize]) -> Result<usize, Failure> {
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

pub(crate) fn too_many_dimensions(found: usize) -> Failure {
    Failure::BadShape(format!(
        "{found} dimensions are more than {MAX_DIMENSIONS}; flatten some"
    ))
}

pub(crate) fn overflow(shape: &(impl std::fmt::Debug + ?Sized)) -> Failure {
    Failure::BadShape(format!(
        "shape {shape:?} has more elements than can be counted; dimensions are lengths, at least 1"
    ))
}
