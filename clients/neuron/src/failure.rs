//! The ways in which a call can fail, as types, as words and on the wire.

use std::error::Error;

use tonic::{metadata::MetadataValue, Code, Status};

/// Metadata key that carries the machine-readable code of a failure, see [`Failure::code`].
pub const FAILURE_KEY: &str = "noesis-failure";

/// Longest words of a failure, in bytes; a peer's are cut to it.
const WORDS_LIMIT: usize = 512;

/// Why a call got no answer, or none that can be used.
///
/// A failure pays nobody, so it is not signed: forging one achieves no more than cutting the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A message or tensor whose parts do not fit each other or the modality.
    #[error("bad shape: {0}")]
    BadShape(String),
    /// Another modality than the neuron's.
    #[error("wrong modality: {0}")]
    WrongModality(String),
    /// NaN or an infinity among the values of inputs, gradient or answer.
    #[error("not finite: a value is NaN or infinite; send or accept none of them")]
    NotFinite,
    /// A message above the limit.
    #[error("too large: {0}")]
    TooLarge(String),
    /// No signature, another's, or one of something else.
    #[error("unauthenticated: {0}")]
    Unauthenticated(String),
    /// The same signed request once more, or one so old that it cannot be told.
    #[error(
        "replayed: the request was seen before or may have been; sign it anew, with the clock set"
    )]
    Replayed,
    /// A caller that the chain does not know.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// A full queue, or a neuron that has only just started.
    #[error("busy: the neuron takes no more calls at the moment; try again later")]
    Busy,
    /// No answer in time.
    #[error("deadline: no answer in time; wait longer or send a smaller batch")]
    Deadline,
    /// Something that the protocol reserves and the neuron does not speak.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// No connection. Only ever found by the caller itself.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// A fault of the neuron's own.
    #[error("internal: {0}")]
    Internal(String),
}

impl Failure {
    /// The machine-readable code, as it travels under [`FAILURE_KEY`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadShape(_) => "bad-shape",
            Self::WrongModality(_) => "wrong-modality",
            Self::NotFinite => "not-finite",
            Self::TooLarge(_) => "too-large",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Replayed => "replayed",
            Self::NotAllowed(_) => "not-allowed",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Unsupported(_) => "unsupported",
            Self::Unreachable(_) => "unreachable",
            Self::Internal(_) => "internal",
        }
    }

    fn grpc_code(&self) -> Code {
        match self {
            Self::BadShape(_) | Self::NotFinite => Code::InvalidArgument,
            Self::WrongModality(_) => Code::FailedPrecondition,
            Self::TooLarge(_) => Code::OutOfRange,
            Self::Unauthenticated(_) => Code::Unauthenticated,
            Self::Replayed => Code::AlreadyExists,
            Self::NotAllowed(_) => Code::PermissionDenied,
            Self::Busy => Code::ResourceExhausted,
            Self::Deadline => Code::DeadlineExceeded,
            Self::Unsupported(_) => Code::Unimplemented,
            Self::Unreachable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::BadShape(words)
            | Self::WrongModality(words)
            | Self::TooLarge(words)
            | Self::Unauthenticated(words)
            | Self::NotAllowed(words)
            | Self::Unsupported(words)
            | Self::Unreachable(words)
            | Self::Internal(words) => tame(words),
            Self::NotFinite | Self::Replayed | Self::Busy | Self::Deadline => self.to_string(),
        }
    }

    /// Reads a failure from a gRPC status: by its code in the metadata where there is one, by what
    /// gRPC says otherwise.
    pub fn from_status(status: &Status) -> Self {
        let words = tame(status.message());
        let code = status.metadata().get(FAILURE_KEY);
        match code.and_then(|code| code.to_str().ok()) {
            Some("bad-shape") => return Self::BadShape(words),
            Some("wrong-modality") => return Self::WrongModality(words),
            Some("not-finite") => return Self::NotFinite,
            Some("too-large") => return Self::TooLarge(words),
            Some("unauthenticated") => return Self::Unauthenticated(words),
            Some("replayed") => return Self::Replayed,
            Some("not-allowed") => return Self::NotAllowed(words),
            Some("busy") => return Self::Busy,
            Some("deadline") => return Self::Deadline,
            Some("unsupported") => return Self::Unsupported(words),
            // "unreachable" is not for a peer to say.
            Some(_) => return Self::Internal(words),
            None => {}
        }
        if let Some(failure) = found_in(status) {
            return failure.clone();
        }
        match status.code() {
            Code::DeadlineExceeded => Self::Deadline,
            Code::OutOfRange => Self::TooLarge(words),
            // A status with a source was made here, of an error of the connection.
            _ if status.source().is_some() => Self::Unreachable(format!(
                "{}; is the neuron running at its published endpoint?",
                tame(&chain(status))
            )),
            Code::Cancelled => Self::Deadline,
            Code::InvalidArgument => Self::BadShape(words),
            Code::FailedPrecondition => Self::WrongModality(words),
            Code::Unauthenticated => Self::Unauthenticated(words),
            Code::AlreadyExists => Self::Replayed,
            Code::PermissionDenied => Self::NotAllowed(words),
            Code::ResourceExhausted => Self::Busy,
            Code::Unimplemented => Self::Unsupported(words),
            Code::Unavailable => Self::Unreachable(words),
            _ => Self::Internal(words),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut status = Self::new(failure.grpc_code(), failure.words());
        let code = MetadataValue::from_static(failure.code());
        status.metadata_mut().insert(FAILURE_KEY, code);
        status
    }
}

/// The failure that is the cause of an error of the transport, where it is one of ours.
pub(crate) fn found_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Failure> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(failure) = error.downcast_ref() {
            return Some(failure);
        }
        cause = error.source();
    }
    None
}

/// An error and all its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// Words of unknown origin made fit for a log line: bounded, without control characters.
pub(crate) fn tame(words: &str) -> String {
    let mut tamed = String::with_capacity(words.len().min(WORDS_LIMIT));
    for letter in words.chars() {
        if tamed.len() + letter.len_utf8() > WORDS_LIMIT {
            break;
        }
        tamed.push(if letter.is_control() { ' ' } else { letter });
    }
    tamed
}
