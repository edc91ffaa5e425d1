//! The forms in which an answer may travel.

use std::{fmt, str::FromStr};

use half::{bf16, f16};
use noesis_proto::v1;

use crate::{packing::Head, tensor::all, Data, Failure, Tensor};

/// The forms of an answer that a caller takes. Of these the neuron sends the one of the fewest bytes
/// that carries every value; none of the types is the same as `f16` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// Single precision: exact.
    pub f32: bool,
    /// Half precision: 11 bits, magnitudes up to 65504.
    pub f16: bool,
    /// The upper half of a single: 8 bits, the range of a single.
    pub bf16: bool,
    /// Eight bits and a scale for each row of the last dimension.
    pub int8: bool,
    /// Compressed where that is shorter.
    pub zstd: bool,
}

impl Default for Formats {
    /// Half precision, and single where a value is beyond its range.
    fn default() -> Self {
        Self {
            f32: true,
            f16: true,
            ..Self::NONE
        }
    }
}

impl Formats {
    /// Nothing chosen; the neuron sends f16.
    pub const NONE: Self = Self {
        f32: false,
        f16: false,
        bf16: false,
        int8: false,
        zstd: false,
    };

    pub(crate) fn to_wire(self) -> v1::ResponseFormats {
        v1::ResponseFormats {
            f32: self.f32,
            f16: self.f16,
            bf16: self.bf16,
            int8_scaled: self.int8,
            zstd: self.zstd,
        }
    }

    pub(crate) fn from_wire(wire: Option<v1::ResponseFormats>) -> Self {
        let wire = wire.unwrap_or_default();
        Self {
            f32: wire.f32,
            f16: wire.f16,
            bf16: wire.bf16,
            int8: wire.int8_scaled,
            zstd: wire.zstd,
        }
    }

    /// Checks that an answer is in one of these forms.
    ///
    /// # Errors
    /// [`Failure::BadShape`].
    pub(crate) fn check(self, head: &Head) -> Result<(), Failure> {
        let taken = match head.dtype {
            v1::Dtype::F32 => self.f32,
            v1::Dtype::F16 => self.takes_half(),
            v1::Dtype::Bf16 => self.bf16,
            v1::Dtype::Int8Scaled => self.int8,
            _ => false,
        };
        if taken && (self.zstd || head.encoding == v1::Encoding::Raw) {
            return Ok(());
        }
        Err(Failure::BadShape(format!(
            "the answer is {}, {}, and {self} was asked for; ask another peer",
            head.dtype.as_str_name(),
            head.encoding.as_str_name(),
        )))
    }

    fn takes_half(self) -> bool {
        self.f16 || !(self.f32 || self.bf16 || self.int8)
    }

    /// The narrowest type taken that carries every value of `tensor`, or the widest that is taken. Whole
    /// numbers stay what they are.
    pub(crate) fn dtype(self, tensor: &Tensor) -> v1::Dtype {
        let Data::F32(values) = &tensor.data else {
            return v1::Dtype::I64;
        };
        let within = |most: f32| all(values, |value| value.abs() <= most);
        if self.int8 {
            v1::Dtype::Int8Scaled
        } else if self.takes_half() && (!(self.bf16 || self.f32) || within(f16::MAX.to_f32())) {
            v1::Dtype::F16
        } else if self.bf16 && (!self.f32 || within(bf16::MAX.to_f32())) {
            v1::Dtype::Bf16
        } else {
            v1::Dtype::F32
        }
    }
}

impl FromStr for Formats {
    type Err = Failure;

    /// Names with commas between them: `f32`, `f16`, `bf16`, `int8`, `zstd`.
    fn from_str(names: &str) -> Result<Self, Failure> {
        let mut formats = Self::NONE;
        for name in names.split(',') {
            match name.trim() {
                "f32" => formats.f32 = true,
                "f16" => formats.f16 = true,
                "bf16" => formats.bf16 = true,
                "int8" => formats.int8 = true,
                "zstd" => formats.zstd = true,
                other => {
                    return Err(Failure::Unsupported(format!(
                        "{other:?} is no encoding; name f32, f16, bf16, int8 or zstd, with commas between them"
                    )))
                }
            }
        }
        Ok(formats)
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.f32, "f32"),
            (self.f16, "f16"),
            (self.bf16, "bf16"),
            (self.int8, "int8"),
            (self.zstd, "zstd"),
        ];
        let names: Vec<_> = all.iter().filter(|one| one.0).map(|one| one.1).collect();
        formatter.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &str, value: f32) -> v1::Dtype {
        let formats: Formats = names.parse().expect("good names");
        assert_eq!(formats.to_string().parse(), Ok(formats));
        assert_eq!(Formats::from_wire(Some(formats.to_wire())), formats);
        formats.dtype(&Tensor::f32([2], vec![0.5, value]).expect("fits"))
    }

    #[test]
    fn the_narrowest_that_carries_every_value_is_sent() {
        use v1::Dtype::{Bf16, Int8Scaled, F16, F32};
        for (names, value, dtype) in [
            ("zstd", 1.0, F16),
            ("zstd", 1e6, F16),
            ("f16", 1e6, F16),
            ("f16,f32", 1.0, F16),
            ("f16,f32", -1e6, F32),
            ("f16,f32", f32::NAN, F32),
            ("f16,bf16", 1e6, Bf16),
            ("bf16,f32", 1e6, Bf16),
            ("bf16,f32,f16", f32::MAX, F32),
            ("bf16", f32::MAX, Bf16),
            ("f32", 1.0, F32),
            ("f32, int8", 1e6, Int8Scaled),
        ] {
            assert_eq!(chosen(names, value), dtype, "{names} {value}");
        }
        let whole = Tensor::i64([1], vec![7]).expect("fits");
        assert_eq!(Formats::default().dtype(&whole), v1::Dtype::I64);
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        for wrong in ["", "f64", "f16,", "f16;f32"] {
            let words = wrong.parse::<Formats>().expect_err(wrong).to_string();
            assert!(words.contains("bf16"), "{words}");
        }
    }
}
