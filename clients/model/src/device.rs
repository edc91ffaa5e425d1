//! Where tensors live: the choice of a device, and of how many threads compute on the CPU.

use std::str::FromStr;

use tch::Device;

/// What `--device` can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first CUDA device, or an error.
    Cuda,
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    /// Not one of the words.
    #[error("unknown device `{0}`: say auto, cpu or cuda")]
    Unknown(String),
    /// CUDA was asked for, and libtorch sees none.
    #[error(
        "--device cuda was asked for, but libtorch sees no CUDA device: check `nvidia-smi` and that \
         LIBTORCH points at a libtorch built with CUDA, or say --device cpu"
    )]
    NoCuda,
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(word: &str) -> Result<Self, DeviceError> {
        match word {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            other => Err(DeviceError::Unknown(other.to_owned())),
        }
    }
}

impl DeviceChoice {
    /// The device that this choice means on this machine.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NoCuda`] when CUDA was asked for and is absent: found at the start, not at the
    /// first batch.
    pub fn resolve(self) -> Result<Device, DeviceError> {
        self.resolve_with(tch::Cuda::is_available())
    }

    fn resolve_with(self, cuda_available: bool) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if !cuda_available => Ok(Device::Cpu),
            Self::Cuda if !cuda_available => Err(DeviceError::NoCuda),
            Self::Auto | Self::Cuda => Ok(Device::Cuda(0)),
        }
    }
}

/// Lets libtorch compute with this many threads on the CPU (at least one). The processes of a local
/// network share few cores: with one thread each, none waits for another's.
pub fn set_threads(threads: u16) {
    tch::set_num_threads(i32::from(threads.max(1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_that_is_absent_is_an_error_and_auto_falls_back() {
        assert_eq!(
            DeviceChoice::Cuda.resolve_with(false),
            Err(DeviceError::NoCuda)
        );
        assert_eq!(
            DeviceChoice::Auto.resolve_with(false),
            Ok::<_, DeviceError>(Device::Cpu)
        );
        assert_eq!(
            DeviceChoice::Auto.resolve_with(true),
            Ok::<_, DeviceError>(Device::Cuda(0))
        );
        assert_eq!(DeviceChoice::Cpu.resolve_with(true), Ok(Device::Cpu));
    }

    #[test]
    fn an_unknown_device_is_named() {
        let error = "gpu".parse::<DeviceChoice>().unwrap_err();
        assert_eq!(error, DeviceError::Unknown("gpu".into()));
        assert!(error.to_string().contains("auto, cpu or cuda"));
    }
}
