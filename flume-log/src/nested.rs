//! Lists and structures among the key-values, as JSON.

use std::panic::{AssertUnwindSafe, catch_unwind};

use log::kv;
use sval::Stream;

/// Whether a value is a list or a structure. Its own code is stopped before it has written anything:
/// a text must not be made twice.
pub(crate) fn is_nested(value: &kv::Value<'_>) -> bool {
    let mut look = Look { is_nested: false };
    let seen = catch_unwind(AssertUnwindSafe(|| sval::stream(&mut look, value)));
    drop(seen);
    look.is_nested
}

/// `None`: the value's own code failed or panicked.
pub(crate) fn to_json(value: &kv::Value<'_>) -> Option<String> {
    let written = catch_unwind(AssertUnwindSafe(|| sval_json::stream_to_string(value)));
    written.ok()?.ok()
}

/// Sees how a value begins.
struct Look {
    is_nested: bool,
}

impl Look {
    fn stop(&self) -> sval::Result {
        sval::error()
    }

    fn nested(&mut self) -> sval::Result {
        self.is_nested = true;
        sval::error()
    }
}

// Records begin as maps, and tuples as lists.
impl<'sval> Stream<'sval> for Look {
    fn null(&mut self) -> sval::Result {
        self.stop()
    }

    fn bool(&mut self, _: bool) -> sval::Result {
        self.stop()
    }

    fn text_begin(&mut self, _: Option<usize>) -> sval::Result {
        self.stop()
    }

    fn text_fragment_computed(&mut self, _: &str) -> sval::Result {
        self.stop()
    }

    fn text_end(&mut self) -> sval::Result {
        self.stop()
    }

    fn i64(&mut self, _: i64) -> sval::Result {
        self.stop()
    }

    fn f64(&mut self, _: f64) -> sval::Result {
        self.stop()
    }

    fn seq_begin(&mut self, _: Option<usize>) -> sval::Result {
        self.nested()
    }

    fn seq_value_begin(&mut self) -> sval::Result {
        self.stop()
    }

    fn seq_value_end(&mut self) -> sval::Result {
        self.stop()
    }

    fn seq_end(&mut self) -> sval::Result {
        self.stop()
    }

    fn map_begin(&mut self, _: Option<usize>) -> sval::Result {
        self.nested()
    }
}
