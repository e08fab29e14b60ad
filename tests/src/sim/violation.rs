//! [`Violation`]: a promise that was broken.

pub(super) type Check = Result<(), Violation>;

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The promise.
    pub name: &'static str,
    /// How it was broken.
    pub detail: String,
}

pub(super) fn broken<T>(name: &'static str, detail: impl Into<String>) -> Result<T, Violation> {
    Err(Violation {
        name,
        detail: detail.into(),
    })
}

pub(super) fn ensure(holds: bool, name: &'static str, detail: impl FnOnce() -> String) -> Check {
    if holds {
        return Ok(());
    }
    broken(name, detail())
}
