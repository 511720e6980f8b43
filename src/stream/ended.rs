//! [`Ended`]: why there is nothing more of a stream.

/// The stream has ended; the text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(pub &'static str);
