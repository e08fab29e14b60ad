//! Key-values of the crate `log`, written with the kinds they have.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flume_appender::capture::{FieldWriter, Key};
use log::kv::{self, Source, VisitSource, VisitValue};

use crate::shapes::Cursor;

/// What stands for a pair that a source could not give.
const UNKNOWN: &str = "kv";

/// Writes all pairs of a record. A source is user code: what it gave before it failed or panicked
/// stays.
pub(crate) fn write(source: &dyn Source, cursor: &mut Cursor, fields: &mut FieldWriter<'_>) {
    let mut pairs = Pairs { cursor, fields };
    let visited = catch_unwind(AssertUnwindSafe(|| source.visit(&mut pairs)));
    if !matches!(visited, Ok(Ok(()))) {
        fields.broken(cursor.key(UNKNOWN));
    }
}

struct Pairs<'a, 'b> {
    cursor: &'a mut Cursor,
    fields: &'a mut FieldWriter<'b>,
}

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(Pair {
            name: key.as_str(),
            cursor: self.cursor,
            fields: self.fields,
        })
    }
}

/// A key that waits for its value.
struct Pair<'a, 'b> {
    name: &'a str,
    cursor: &'a mut Cursor,
    fields: &'a mut FieldWriter<'b>,
}

impl<'a> Pair<'a, '_> {
    /// Only a field that is written has one.
    fn key(&mut self) -> Key<'a> {
        self.cursor.key(self.name)
    }
}

impl<'v> VisitValue<'v> for Pair<'_, '_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        #[cfg(feature = "kv_sval")]
        if crate::nested::is_nested(&value) {
            let key = self.key();
            match crate::nested::to_json(&value) {
                Some(json) => self.fields.json(key, &json),
                None => self.fields.broken(key),
            }
            return Ok(());
        }
        let key = self.key();
        self.fields.display(key, &value);
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.u64(key, value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.i64(key, value);
        Ok(())
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.u128(key, value);
        Ok(())
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.i128(key, value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.f64(key, value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.bool(key, value);
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.text(key, value);
        Ok(())
    }

    #[cfg(feature = "kv_std")]
    fn visit_error(&mut self, error: &(dyn std::error::Error + 'static)) -> Result<(), kv::Error> {
        let key = self.key();
        self.fields.error(key, error);
        Ok(())
    }

    #[cfg(feature = "kv_std")]
    fn visit_borrowed_error(
        &mut self,
        error: &'v (dyn std::error::Error + 'static),
    ) -> Result<(), kv::Error> {
        self.visit_error(error)
    }
}
