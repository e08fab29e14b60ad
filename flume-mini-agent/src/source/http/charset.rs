//! The encodings that Flume's JSON handler takes, as Java reads and writes them. No IO.

use std::borrow::Cow;

/// The encoding of a request, and of the bodies of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Utf16,
    Utf32,
    /// None is named: what came is read as ISO-8859-1 and what is stored is UTF-8, which spoils all
    /// but ASCII.
    Unnamed,
}

impl Charset {
    /// The charset a `Content-Type` names. JSON that names none is UTF-8.
    pub(super) fn of(content_type: Option<&str>) -> Option<Self> {
        let content_type = content_type.unwrap_or_default();
        let is_json = ["application/json", "text/json"]
            .iter()
            .any(|json| content_type.trim().eq_ignore_ascii_case(json));
        let mut parameters = content_type.split(';').skip(1);
        let name = parameters.find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            let is_charset = key.trim().eq_ignore_ascii_case("charset");
            is_charset.then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        match name.as_deref() {
            None if is_json => Some(Self::Utf8),
            None => Some(Self::Unnamed),
            Some("utf-8") => Some(Self::Utf8),
            Some("utf-16") => Some(Self::Utf16),
            Some("utf-32") => Some(Self::Utf32),
            Some(_) => None,
        }
    }

    /// The text; what is none becomes U+FFFD. Without a byte order mark the first byte is the
    /// highest. The mark is no part of the text.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        let text: Cow<'_, str> = match self {
            Self::Unnamed => bytes.iter().copied().map(char::from).collect(),
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Utf16 => {
                let (bytes, little) = match bytes {
                    [0xff, 0xfe, rest @ ..] => (rest, true),
                    _ => (bytes, false),
                };
                let (units, rest) = bytes.as_chunks::<2>();
                let unit = |unit: &[u8; 2]| match little {
                    true => u16::from_le_bytes(*unit),
                    false => u16::from_be_bytes(*unit),
                };
                let mut text =
                    String::from_utf16_lossy(&units.iter().map(unit).collect::<Vec<_>>());
                if !rest.is_empty() {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
                text.into()
            }
            Self::Utf32 => {
                let (bytes, little) = match bytes {
                    [0xff, 0xfe, 0, 0, rest @ ..] => (rest, true),
                    _ => (bytes, false),
                };
                let (units, rest) = bytes.as_chunks::<4>();
                let unit = |unit: &[u8; 4]| match little {
                    true => u32::from_le_bytes(*unit),
                    false => u32::from_be_bytes(*unit),
                };
                let char = |unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                let mut text: String = units.iter().map(|bytes| char(unit(bytes))).collect();
                if !rest.is_empty() {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
                text.into()
            }
        };
        match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text.into_owned(),
        }
    }

    /// The bytes. Java writes a byte order mark before UTF-16, and none before UTF-32.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 | Self::Unnamed => text.as_bytes().to_vec(),
            Self::Utf16 if text.is_empty() => Vec::new(),
            Self::Utf16 => {
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                units.flat_map(u16::to_be_bytes).collect()
            }
            Self::Utf32 => text
                .chars()
                .flat_map(|c| u32::from(c).to_be_bytes())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_charset_comes_from_the_content_type() {
        let check = |kind, charset| assert_eq!(Charset::of(kind), charset, "{kind:?}");
        check(None, Some(Charset::Unnamed));
        check(Some("text/plain"), Some(Charset::Unnamed));
        check(Some("application/json; x=y"), Some(Charset::Unnamed));
        check(Some("TEXT/json"), Some(Charset::Utf8));
        check(Some("application/json"), Some(Charset::Utf8));
        check(Some("a/b; charset=UTF-8"), Some(Charset::Utf8));
        check(Some("a/b;x=y;Charset=\"utf-16\""), Some(Charset::Utf16));
        check(Some("a/b; charset=utf-32"), Some(Charset::Utf32));
        check(Some("a/b; charset=ISO-8859-1"), None);
        check(Some("a/b; charset=utf-16le"), None);
    }

    #[test]
    fn bodies_are_written_as_java_writes_them() {
        assert_eq!(Charset::Utf16.encode("é"), b"\xfe\xff\x00\xe9");
        assert_eq!(Charset::Utf16.encode(""), b"");
        assert_eq!(Charset::Utf32.encode("é"), b"\x00\x00\x00\xe9");
    }

    #[test]
    fn the_byte_order_mark_decides_and_is_no_text() {
        assert_eq!(Charset::Utf8.decode(b"\xef\xbb\xbfa"), "a");
        assert_eq!(Charset::Utf16.decode(b"\x00a"), "a");
        assert_eq!(Charset::Utf16.decode(b"\xfe\xff\x00a"), "a");
        assert_eq!(Charset::Utf16.decode(b"\xff\xfea\x00"), "a");
        assert_eq!(Charset::Utf32.decode(b"\x00\x00\xfe\xff\x00\x00\x00a"), "a");
        assert_eq!(Charset::Utf32.decode(b"\xff\xfe\x00\x00a\x00\x00\x00"), "a");
    }

    #[test]
    fn without_a_charset_bytes_are_characters_and_stored_as_utf_8() {
        let read = Charset::Unnamed.decode("é".as_bytes());
        assert_eq!(Charset::Unnamed.encode(&read), "Ã©".as_bytes());
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(Charset::Utf8.decode(b"a\xff"), "a\u{fffd}");
        assert_eq!(
            Charset::Utf16.decode(b"\xd8\x00\x00a\x00"),
            "\u{fffd}a\u{fffd}"
        );
        assert_eq!(
            Charset::Utf32.decode(b"\x00\x11\x00\x00\x00"),
            "\u{fffd}\u{fffd}"
        );
    }

    proptest! {
        #[test]
        fn text_survives_every_charset(text in "[^\u{feff}]*") {
            for charset in [Charset::Utf8, Charset::Utf16, Charset::Utf32] {
                prop_assert_eq!(charset.decode(&charset.encode(&text)), text.as_str());
            }
        }
    }
}
