//! Texts as they stand in bodies: times, numbers and escaped strings. All of it is **pure**.

pub(crate) mod base64;
pub(crate) mod escape;
pub(crate) mod nested;
pub(crate) mod number;
pub(crate) mod time;
