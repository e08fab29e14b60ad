//! `reached!`: the situations that a simulator is to come into, named where they are met. Without
//! `--cfg situations` it is nothing at all.

#[cfg(situations)]
use std::cell::RefCell;
#[cfg(situations)]
use std::collections::BTreeMap;

#[cfg(situations)]
thread_local! {
    static REACHED: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts a situation of this thread.
#[cfg(situations)]
pub(crate) fn note(name: &'static str) {
    REACHED.with_borrow_mut(|reached| *reached.entry(name).or_default() += 1);
}

/// The situations that this thread came into since the last call, and how often.
#[cfg(situations)]
#[must_use]
pub fn take() -> BTreeMap<&'static str, u64> {
    REACHED.take()
}

/// Says that a situation was met.
macro_rules! reached {
    ($name:literal) => {
        #[cfg(situations)]
        crate::situations::note($name);
    };
}

pub(crate) use reached;
