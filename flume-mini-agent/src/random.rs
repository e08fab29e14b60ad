//! Random bits that no other agent draws.

/// Bits from the system, as those of Java's UUIDs are: a generator of this process says the same in
/// each fork of it, and in each clone of its machine.
pub(crate) fn draw() -> u128 {
    let mut bits = [0; 16];
    match getrandom::fill(&mut bits) {
        Ok(()) => u128::from_ne_bytes(bits),
        // In a sandbox that forbids the call.
        Err(_) => fastrand::u128(..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_whose_own_generators_are_alike_draw_different_bits() {
        let draw = || {
            fastrand::seed(1);
            draw()
        };
        assert_ne!(draw(), draw());
    }
}
