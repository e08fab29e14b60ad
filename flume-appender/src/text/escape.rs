//! Texts as JSON strings.

/// Writes a text in quotes, as a JSON string.
#[inline]
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// The same of a text's bytes.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, text: &[u8]) {
    // What is short and plain, as most is, is looked at and copied by words of a fixed length, which
    // saves the call that copies any length.
    let copied = match text.len() {
        4..8 => put_short::<4, 5>(out, text),
        8..16 => put_short::<8, 9>(out, text),
        16..32 => put_short::<16, 17>(out, text),
        32..=64 => put_short::<32, 33>(out, text),
        _ => false,
    };
    if !copied {
        out.push(b'"');
        put_escaped_bytes(out, text);
        out.push(b'"');
    }
}

/// Writes a text of `N` to `2 * N` bytes in quotes, if it needs no escape: its first and its last `N`
/// bytes, which overlap, the last ones with the quote, `QUOTED` bytes. `false`: it does, and nothing is
/// written.
#[inline]
fn put_short<const N: usize, const QUOTED: usize>(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
        return false;
    };
    let mut end = [b'"'; QUOTED];
    let Some(before_quote) = end.first_chunk_mut() else {
        return false;
    };
    if !(is_plain(first) && is_plain(last)) {
        return false;
    }
    *before_quote = *last;
    out.push(b'"');
    let start = out.len();
    out.extend_from_slice(first);
    out.truncate(start + text.len() - N);
    out.extend_from_slice(&end);
    true
}

/// Whether none of so many bytes needs an escape.
#[inline]
fn is_plain<const N: usize>(bytes: &[u8; N]) -> bool {
    // Each question is put to all bytes, without an early end: the compiler makes one of it then.
    let any = |is: fn(u8) -> bool| {
        let bytes = bytes.iter();
        bytes.fold(false, |before, byte| before | is(*byte))
    };
    let needs = any(|byte| byte < 0x20)
        | any(|byte| byte == b'"')
        | any(|byte| byte == b'\\')
        | any(|byte| byte == 0x7f)
        | any(|byte| byte == LEAD);
    !needs
}

/// Writes what stands between the quotes of a JSON string.
pub(crate) fn put_escaped(out: &mut Vec<u8>, text: &str) {
    put_escaped_bytes(out, text.as_bytes());
}

/// Most texts need no escape, so eight bytes are looked at together.
fn put_escaped_bytes(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let plain = plain_length(rest);
        let (before, after) = rest.split_at(plain);
        out.extend_from_slice(before);
        rest = match after {
            [] => return,
            // What is a control character to Unicode and to some terminals has two bytes.
            [LEAD, byte @ 0x80..=0x9f, others @ ..] => {
                put_escape(out, *byte);
                others
            }
            [LEAD, others @ ..] => {
                out.push(LEAD);
                others
            }
            [byte, others @ ..] => {
                put_escape(out, *byte);
                others
            }
        };
    }
}

/// The first byte of the letters from U+0080 to U+00BF.
const LEAD: u8 = 0xc2;

/// How many bytes at the beginning need no escape.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let found = escapes(u64::from_le_bytes(*word));
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let plain = rest.iter().take_while(|byte| !needs_escape(**byte));
    length + plain.count()
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    // All of it is looked at, without a jump.
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7f) | (byte == LEAD)
}

/// The high bit of each byte that may need an escape; the lowest one that is set surely does.
#[inline]
fn escapes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    // Subtracting borrows into a byte's high bit if it was less; a byte whose own high bit was set is
    // not meant. The borrow may go on to higher bytes, so only the lowest one that is found counts.
    let less_than = |value: u64, limit: u64| value.wrapping_sub(ONES * limit) & !value;
    let equals = |byte: u8| less_than(word ^ (ONES * u64::from(byte)), 1);
    (less_than(word, 0x20) | equals(b'"') | equals(b'\\') | equals(0x7f) | equals(LEAD)) & HIGH
}

#[cold]
fn put_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) {
        let mut out = Vec::new();
        put_string(&mut out, text);
        let read: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(read, text);
        let written = std::str::from_utf8(&out).unwrap();
        assert!(!written.contains(char::is_control), "{written:?}");
    }

    #[test]
    fn every_text_comes_back_from_json_as_it_was() {
        check("");
        check("plain text of more than eight bytes");
        check("\u{9b}31m \u{80}\u{9f}\u{a0}°é");
        check("\u{1b}[31mred\u{1b}[0m \"quoted\" \\ \r\n\t\u{7f}\0");
        let mut seed = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text: String = (0..seed.usize(..40))
                .map(|_| match seed.u32(..4) {
                    0 => char::from(seed.u8(..)),
                    1 => seed.char(..),
                    _ => seed.alphanumeric(),
                })
                .collect();
            check(&text);
        }
    }

    #[test]
    fn what_needs_an_escape_is_found_wherever_it_stands() {
        for length in 1..=70 {
            let plain = "x".repeat(length);
            check(&plain);
            for special in ["\"", "\\", "\u{1f}", "\u{7f}", "\u{85}", "\u{e9}"] {
                for at in 0..length {
                    let mut text = plain.clone();
                    text.replace_range(at..=at, special);
                    check(&text);
                }
            }
        }
    }
}
