//! [`Redact`]: which fields never leave the process.

/// What stands in the place of a value that is not told.
pub(crate) const REDACTED: &str = "[redacted]";

/// Names of fields whose values are not told. A field is meant if its name contains one of them,
/// upper and lower case alike.
#[derive(Clone, Debug)]
pub(crate) struct Redact {
    names: Vec<String>,
    /// The bits of the letters that they begin with.
    first: u64,
}

impl Default for Redact {
    fn default() -> Self {
        let names = ["password", "authorization", "token", "secret", "cookie"];
        Self::of(names.map(String::from))
    }
}

impl Redact {
    pub(crate) fn of(names: impl IntoIterator<Item = String>) -> Self {
        let lower = names.into_iter().map(|name| name.to_lowercase());
        let names: Vec<String> = lower.filter(|name| !name.is_empty()).collect();
        let bits = names.iter().filter_map(|name| name.bytes().next());
        let first = bits.fold(0, |all, byte| all | bit_of(byte));
        Self { names, first }
    }

    pub(crate) fn hides(&self, field: &str) -> bool {
        if field.is_ascii() {
            return self.hides_ascii(field.as_bytes());
        }
        let field = field.to_lowercase();
        self.names.iter().any(|name| field.contains(name))
    }
}

impl Redact {
    /// Without a copy, and with few comparisons: this is asked for each field that has no call site.
    fn hides_ascii(&self, field: &[u8]) -> bool {
        let mut rest = field;
        while let Some(byte) = rest.first() {
            if self.first & bit_of(*byte) != 0 && self.names.iter().any(|name| begins(rest, name)) {
                return true;
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        false
    }
}

fn begins(text: &[u8], name: &str) -> bool {
    let begin = text.get(..name.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()))
}

/// One of 64 bits, the same for a letter in upper and lower case.
fn bit_of(byte: u8) -> u64 {
    1 << (byte.to_ascii_lowercase() & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_within_others_in_any_case() {
        let redact = Redact::default();
        for hidden in [
            "password",
            "userPassword",
            "AUTHORIZATION",
            "x-auth-token",
            "Cookie",
        ] {
            assert!(redact.hides(hidden), "{hidden}");
        }
        for shown in ["user", "pass", "tok", ""] {
            assert!(!redact.hides(shown), "{shown}");
        }
        let redact = Redact::of(["Größe".to_owned(), String::new()]);
        assert!(redact.hides("GRÖSSE_größe") && !redact.hides("password"));
    }
}
