//! Tensors on the wire: type, shape, bytes, and how the bytes are packed.

use noesis_proto::{v1, Bytes};
use prost::{
    encoding::{encode_key, encode_varint, encoded_len_varint, key_len, WireType},
    Message,
};

use crate::{
    compression::{compress, decompress},
    limits::MESSAGE_BYTES,
    numbers,
    tensor::{elements, overflow, too_many_dimensions},
    Data, Failure, Formats, Tensor, MAX_DIMENSIONS,
};

/// Number of `data` in a [`v1::Tensor`].
const DATA_FIELD: u32 = 3;
/// Number of `response` in a [`v1::ForwardResponse`].
const RESPONSE_FIELD: u32 = 1;

impl Tensor {
    /// The tensor on the wire, of the dtype of its data, as it is.
    ///
    /// # Errors
    /// As [`Tensor::check`].
    pub fn to_wire(&self) -> Result<v1::Tensor, Failure> {
        let exact = Formats {
            f32: true,
            ..Formats::NONE
        };
        self.to_wire_in(exact)
    }

    /// The tensor on the wire in the one of `formats` that takes the fewest bytes. Whole numbers stay as
    /// they are.
    ///
    /// # Errors
    /// As [`Tensor::check`].
    pub fn to_wire_in(&self, formats: Formats) -> Result<v1::Tensor, Failure> {
        let mut data = Vec::new();
        let head = self.pack(formats, &mut data)?;
        Ok(v1::Tensor {
            data: Bytes::from(data),
            ..head
        })
    }

    /// The protobuf bytes of a [`v1::ForwardResponse`] of this tensor, its numbers written where they
    /// stay: a large answer is mostly the time of going over memory.
    ///
    /// # Errors
    /// As [`Tensor::check`].
    pub(crate) fn to_response(&self, formats: Formats) -> Result<Vec<u8>, Failure> {
        if formats.zstd {
            let response = Some(self.to_wire_in(formats)?);
            return Ok(v1::ForwardResponse { response }.encode_to_vec());
        }
        self.check()?;
        let dtype = formats.dtype(self);
        let bytes = expected_bytes(dtype, &self.shape)?;
        let head = self.head(dtype, v1::Encoding::Raw);
        let tensor_bytes = head.encoded_len() + field_len(DATA_FIELD, bytes) + bytes;
        let mut message =
            Vec::with_capacity(field_len(RESPONSE_FIELD, tensor_bytes) + tensor_bytes);
        write_field(RESPONSE_FIELD, tensor_bytes, &mut message);
        head.encode_raw(&mut message);
        write_field(DATA_FIELD, bytes, &mut message);
        self.write(dtype, &mut message);
        Ok(message)
    }

    /// Appends the numbers to `data`, packed as `formats` ask, and gives what is told of them.
    fn pack(&self, formats: Formats, data: &mut Vec<u8>) -> Result<v1::Tensor, Failure> {
        self.check()?;
        let dtype = formats.dtype(self);
        data.reserve_exact(expected_bytes(dtype, &self.shape)?);
        self.write(dtype, data);
        match formats.zstd.then(|| compress(data)).flatten() {
            Some(compressed) => {
                *data = compressed;
                Ok(self.head(dtype, v1::Encoding::Zstd))
            }
            None => Ok(self.head(dtype, v1::Encoding::Raw)),
        }
    }

    /// The tensor on the wire, its numbers left out.
    fn head(&self, dtype: v1::Dtype, encoding: v1::Encoding) -> v1::Tensor {
        v1::Tensor {
            dtype: dtype.into(),
            shape: self.shape.iter().map(|&length| length as u64).collect(),
            data: Bytes::new(),
            encoding: encoding.into(),
        }
    }

    fn write(&self, dtype: v1::Dtype, to: &mut Vec<u8>) {
        match &self.data {
            Data::I64(values) => numbers::write_i64(values, to),
            Data::F32(values) => match dtype {
                v1::Dtype::F16 => numbers::write_f16(values, to),
                v1::Dtype::Bf16 => numbers::write_bf16(values, to),
                v1::Dtype::Int8Scaled => numbers::write_int8(values, last(&self.shape), to),
                _ => numbers::write_f32(values, to),
            },
        }
    }

    /// Reads a tensor from the wire that, uncompressed, takes no more than the default limit on
    /// messages. See [`Tensor::from_wire_within`].
    ///
    /// # Errors
    /// As there.
    pub fn from_wire(wire: &v1::Tensor) -> Result<Self, Failure> {
        Self::from_wire_within(wire, MESSAGE_BYTES)
    }

    /// Reads a tensor from the wire. Nothing is allocated before shape and bytes are found to fit
    /// each other; compressed bytes must say how many they hold, that must be what the shape needs, and
    /// compressed or not it may be `limit` at most. The numbers then take at most four times that (a byte becomes a
    /// single).
    ///
    /// # Errors
    /// [`Failure::BadShape`] where they do not fit, [`Failure::TooLarge`] beyond the limit,
    /// [`Failure::Unsupported`] for what is reserved, [`Failure::NotFinite`] where a number is NaN or infinite.
    pub fn from_wire_within(wire: &v1::Tensor, limit: usize) -> Result<Self, Failure> {
        Head::read(wire, limit)?.tensor(&wire.data)
    }
}

/// What a tensor on the wire says that it is, found to fit its bytes; its numbers are yet to be read.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) dtype: v1::Dtype,
    pub(crate) encoding: v1::Encoding,
    pub(crate) shape: Vec<usize>,
    /// Of all numbers, once decompressed.
    pub(crate) bytes: usize,
}

impl Head {
    /// # Errors
    /// As [`Tensor::from_wire_within`].
    pub(crate) fn read(wire: &v1::Tensor, limit: usize) -> Result<Self, Failure> {
        let dtype = spoken(wire)?;
        let shape = read_shape(wire)?;
        let bytes = expected_bytes(dtype, &shape)?;
        let encoding = v1::Encoding::try_from(wire.encoding).map_err(|_| {
            Failure::Unsupported(format!(
                "encoding {} is unknown; send tensors raw or as zstd",
                wire.encoding
            ))
        })?;
        if encoding == v1::Encoding::Raw && bytes != wire.data.len() {
            return Err(Failure::BadShape(format!(
                "shape {shape:?} needs {bytes} bytes but there are {}; send as many as it says",
                wire.data.len()
            )));
        }
        if bytes > limit {
            return Err(Failure::TooLarge(format!(
                "the tensor has {bytes} bytes, compressed or not, and the limit leaves it {limit}; send a smaller batch"
            )));
        }
        Ok(Self {
            dtype,
            encoding,
            shape,
            bytes,
        })
    }

    /// Whether the numbers are whole ones.
    pub(crate) fn is_whole(&self) -> bool {
        self.dtype == v1::Dtype::I64
    }

    /// The tensor, of the data that came with this; finite.
    ///
    /// # Errors
    /// As [`Tensor::from_wire_within`].
    pub(crate) fn tensor(self, data: &[u8]) -> Result<Tensor, Failure> {
        let decompressed;
        let bytes = match self.encoding {
            v1::Encoding::Raw => data,
            v1::Encoding::Zstd => {
                decompressed = decompress(data, self.bytes)?;
                decompressed.as_slice()
            }
        };
        let singles = match self.dtype {
            v1::Dtype::I64 => {
                let data = Data::I64(numbers::read_i64(bytes));
                let shape = self.shape;
                return Ok(Tensor { shape, data });
            }
            v1::Dtype::F16 => numbers::read_f16(bytes),
            v1::Dtype::Bf16 => numbers::read_bf16(bytes),
            v1::Dtype::Int8Scaled => numbers::read_int8(bytes, last(&self.shape)),
            _ => numbers::read_f32(bytes),
        };
        let data = Data::F32(singles.ok_or(Failure::NotFinite)?);
        let shape = self.shape;
        Ok(Tensor { shape, data })
    }
}

/// Bytes that begin a field of `bytes` bytes.
fn field_len(tag: u32, bytes: usize) -> usize {
    key_len(tag) + encoded_len_varint(bytes as u64)
}

fn write_field(tag: u32, bytes: usize, to: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, to);
    encode_varint(bytes as u64, to);
}

/// The type of the elements, where it is one that is spoken.
fn spoken(wire: &v1::Tensor) -> Result<v1::Dtype, Failure> {
    const SPOKEN: &str = "f32, f16, bf16, int8 with scales or i64";
    match wire.dtype() {
        v1::Dtype::Unspecified => Err(Failure::Unsupported(format!(
            "dtype {} is unknown; say {SPOKEN}",
            wire.dtype
        ))),
        v1::Dtype::U8 => Err(Failure::Unsupported(format!(
            "u8 is not spoken here; send {SPOKEN}"
        ))),
        dtype => Ok(dtype),
    }
}

fn read_shape(wire: &v1::Tensor) -> Result<Vec<usize>, Failure> {
    if wire.shape.len() > MAX_DIMENSIONS {
        return Err(too_many_dimensions(wire.shape.len()));
    }
    let lengths = wire.shape.iter();
    lengths
        .map(|&length| usize::try_from(length).map_err(|_| overflow(&wire.shape)))
        .collect()
}

/// Bytes of a tensor before any compression.
fn expected_bytes(dtype: v1::Dtype, shape: &[usize]) -> Result<usize, Failure> {
    let elements = elements(shape)?;
    let scales = match dtype {
        v1::Dtype::Int8Scaled => (elements / last(shape)).checked_mul(numbers::SCALE_BYTES),
        _ => Some(0),
    };
    let size = match dtype {
        v1::Dtype::Int8Scaled => 1,
        v1::Dtype::F16 | v1::Dtype::Bf16 => 2,
        v1::Dtype::I64 => 8,
        _ => 4,
    };
    elements
        .checked_mul(size)
        .and_then(|bytes| bytes.checked_add(scales?))
        .ok_or_else(|| overflow(shape))
}

/// Length of the last dimension; a checked shape has one, and it is not zero.
fn last(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_the_message_that_it_seems() {
        for names in ["f32", "f16", "bf16", "int8", "f32,zstd"] {
            let formats: Formats = names.parse().expect("names");
            for shape in [[1, 1, 1], [2, 3, 5], [4, 64, 33]] {
                let count = shape.iter().product::<usize>();
                let values = (0..count).map(|index| index as f32 * 0.25).collect();
                let tensor = Tensor::f32(shape, values).expect("fits");
                let message = tensor.to_response(formats).expect("fits");
                let read = v1::ForwardResponse::decode(message.as_slice()).expect("a message");
                assert_eq!(read.response, tensor.to_wire_in(formats).ok(), "{names}");
                assert_eq!(message.len(), read.encoded_len());
            }
        }
    }
    #[test]
    fn a_finite_scale_is_not_enough() {
        let read = |integer: i8| {
            let data = [&integer.to_le_bytes()[..], &f32::MAX.to_le_bytes()].concat();
            Tensor::from_wire(&v1::Tensor {
                dtype: v1::Dtype::Int8Scaled.into(),
                shape: vec![1, 1],
                data: data.into(),
                encoding: v1::Encoding::Raw.into(),
            })
        };
        assert_eq!(read(2), Err(Failure::NotFinite));
        assert_eq!(read(1), Tensor::f32([1, 1], vec![f32::MAX]));
    }
}
