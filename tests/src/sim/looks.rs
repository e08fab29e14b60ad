//! [`FullLoad`]: what was seen of the window under full load.

use super::time::Nanos;

#[derive(Debug, Default)]
pub(super) struct FullLoad {
    pub(super) looked_at: Nanos,
    /// Looks at the window since the last check, the sum of its sizes, and the smallest.
    pub(super) looks: u32,
    pub(super) sum: u32,
    pub(super) smallest: u32,
    pub(super) is_sequential: bool,
    pub(super) shrinks: bool,
}

impl FullLoad {
    pub(super) fn mean(&self) -> f64 {
        f64::from(self.sum) / f64::from(self.looks.max(1))
    }

    pub(super) fn forget(&mut self) {
        self.looks = 0;
        self.sum = 0;
    }
}
