//! [`Failure`]: what is not as it should be.

pub(crate) type Failure = Box<dyn std::error::Error>;
