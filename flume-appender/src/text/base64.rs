//! Bytes as base64, RFC 4648 with padding.

const DIGITS: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes as base64.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |bits: u32| DIGITS.get((bits & 63) as usize).copied().unwrap_or(b'=');
    for group in bytes.chunks(3) {
        let mut three = [0; 4];
        if let Some(place) = three.get_mut(1..1 + group.len()) {
            place.copy_from_slice(group);
        }
        let bits = u32::from_be_bytes(three);
        let digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
        let (told, padded) = digits.split_at(group.len() + 1);
        out.extend_from_slice(told);
        out.extend(padded.iter().map(|_| b'='));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_examples_of_rfc_4648_are_written() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            super::put(&mut out, bytes.as_bytes());
            assert_eq!(out, expected.as_bytes());
        }
    }
}
