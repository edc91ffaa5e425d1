//! Shares of one, as the chain stores them and as people read them.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Parts in one.
const ONE: u64 = 1_000_000_000_000_000_000;

macro_rules! share {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode,
            DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
        )]
        pub struct $name(pub $inner);

        impl $name {
            /// One.
            pub const ONE: Self = Self(ONE as $inner);

            /// The value as a floating-point number, for display and clients only.
            pub fn to_f64(self) -> f64 {
                self.0 as f64 / ONE as f64
            }
        }

        /// Serialises as a JSON number, which is what a reader expects of a share.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_f64(self.to_f64())
            }
        }

        /// Reads the JSON number back; exact to the precision of `f64`. Saturates.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = f64::deserialize(deserializer)?;
                Ok(Self((value * ONE as f64) as $inner))
            }
        }
    };
}

share!(
    /// A share between 0 and 1 in parts of 10^18 (what FRAME calls a `Perquintill`).
    Share,
    u64
);
share!(
    /// A signed number between -1 and 1 in parts of 10^18.
    SignedShare,
    i64
);

/// Shares in JSON as whole parts of 10^18, for what a runtime reads: `#[serde(with = "share_parts")]`.
pub mod share_parts {
    use super::{Deserialize, Deserializer, Serializer, Share};

    /// Writes the parts.
    pub fn serialize<S: Serializer>(share: &Share, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(share.0)
    }

    /// Reads the parts.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        u64::deserialize(deserializer).map(Share)
    }
}
