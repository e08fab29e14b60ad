//! A random UUID as Java's `UUID.randomUUID` prints it.

/// `prefix` and the UUID of version 4 with these bits, except the six that are fixed.
pub(super) fn from_bits(prefix: &str, bits: u128) -> String {
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    format!(
        "{prefix}{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_set_and_all_other_bits_kept() {
        assert_eq!(from_bits("", 0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            from_bits("x", u128::MAX),
            "xffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(
            from_bits("", 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }
}
