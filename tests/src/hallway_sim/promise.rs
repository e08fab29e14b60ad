//! Promises, and what is told of one that was broken.

/// A promise that was broken, and with which numbers.
pub(super) type Broken = (&'static str, String);
pub(super) type Check = Result<(), Broken>;

/// Something that must hold.
pub(super) fn ensure(
    holds: bool,
    promise: &'static str,
    details: impl FnOnce() -> String,
) -> Check {
    match holds {
        true => Ok(()),
        false => Err((promise, details())),
    }
}
