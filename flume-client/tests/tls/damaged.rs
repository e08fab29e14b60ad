//! Cut, changed and absurd stores: an error, no panic, no memory on a file's word.

use flume_client::tls::truststore::{
    CERTIFICATE_BYTES_MAX, ENTRIES_MAX, FILE_BYTES_MAX, TrustStore,
};
use proptest::prelude::*;

use crate::sha1::sha1;
use crate::stores::{
    NONE, ONE, OTHER_PASSWORD, PASSWORD, SECRET_JCEKS, THREE, TWO_JCEKS, VERSION_1, WITH_KEY, read,
};

const STORES: [(&[u8], &str); 7] = [
    (NONE, PASSWORD),
    (ONE, OTHER_PASSWORD),
    (THREE, PASSWORD),
    (VERSION_1, PASSWORD),
    (TWO_JCEKS, PASSWORD),
    (WITH_KEY, PASSWORD),
    (SECRET_JCEKS, PASSWORD),
];

/// Most bytes that reading a short file may allocate in these tests.
const ALLOCATED_BYTES_MAX: u64 = 4096;

/// What an error says, between the path and the advice.
#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    let mut error = None;
    let allocated = allocation_counter::measure(|| error = read(bytes, None).err());
    let message = error.expect("it cannot be read").to_string();
    let message = message.strip_prefix("cannot take certificates from \"conf/agents.jks\": ");
    let advice = ". If Java can read it, make PEM of it: `keytool -list -rfc -keystore \
                  conf/agents.jks > ca.pem`";
    let problem = message.and_then(|it| it.strip_suffix(advice));
    assert_eq!(problem, Some(expected), "{message:?}");
    assert!(bytes.len() > 4096 || allocated.bytes_max < ALLOCATED_BYTES_MAX);
}

/// A store of version 2 with these aliases, types and certificates, and the password `x`.
fn store(entries: &[(&[u8], &[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\xfe\xed\xfe\xed\0\0\0\x02".to_vec();
    bytes.extend((entries.len() as u32).to_be_bytes());
    for (alias, kind, der) in entries {
        bytes.extend(2_u32.to_be_bytes());
        bytes.extend((alias.len() as u16).to_be_bytes());
        bytes.extend(*alias);
        bytes.extend((-1_i64).to_be_bytes());
        bytes.extend((kind.len() as u16).to_be_bytes());
        bytes.extend(*kind);
        bytes.extend((der.len() as u32).to_be_bytes());
        bytes.extend(*der);
    }
    bytes.extend(sha1(&[b"\0x", b"Mighty Aphrodite", &bytes]));
    bytes
}

/// A store with other bytes at a place.
fn with(store: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut store = store.to_vec();
    store[at..at + bytes.len()].copy_from_slice(bytes);
    store
}

#[test]
fn a_store_that_is_cut_anywhere_is_an_error_with_and_without_its_password() {
    for (store, password) in STORES {
        for length in 0..store.len() {
            for password in [Some(password), None] {
                read(&store[..length], password).unwrap_err();
            }
        }
    }
}

#[test]
fn with_the_password_any_changed_byte_is_an_error_and_without_it_nothing_breaks() {
    for (store, password) in STORES {
        for at in 0..store.len() {
            let change = |bits| with(store, at, &[store[at] ^ bits]);
            read(&change(1 << (at % 8)), Some(password)).unwrap_err();
            for bits in [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff] {
                let _ = read(&change(bits), None);
            }
        }
    }
}

#[test]
fn numbers_of_two_gibibytes_are_refused_before_anything_is_kept() {
    for number in [0x7fff_ffff_u32, 0x8000_0000, 0xffff_ffff] {
        let bytes = number.to_be_bytes();
        check(
            &with(THREE, 8, &bytes),
            &format!("the number of its entries is {number}, more than the 100000 allowed"),
        );
        // The length of the first certificate: after its kind, alias, time and type.
        check(
            &with(THREE, 12 + 4 + 5 + 8 + 7, &bytes),
            &format!("the length of a certificate is {number}, more than the 65536 allowed"),
        );
        check(
            &with(THREE, 12, &bytes),
            &format!("an entry is of the kind {number}, which is not known"),
        );
        check(
            &with(THREE, 4, &bytes),
            &format!("it is of version {number}; 1 and 2 are known"),
        );
    }
    check(&with(THREE, 16, &[0xff, 0xff]), "it ends inside an alias");
    let entries = ENTRIES_MAX.to_be_bytes();
    check(
        &with(NONE, 8, &entries),
        "it ends inside the kind of an entry",
    );
}

#[test]
fn fewer_entries_than_there_are_leave_bytes_over() {
    let left_over = THREE.len() - 12 - 20;
    let expected = format!("{left_over} bytes are left over after its entries");
    check(&with(THREE, 8, &[0; 4]), &expected);
    check(
        &[ONE, b"\n"].concat(),
        "1 bytes are left over after its entries",
    );
}

#[test]
fn a_certificate_of_another_type_is_an_error() {
    check(
        &store(&[(b"a\nb", b"PGP", b"x")]),
        r#""a\nb" is a certificate of the type "PGP", not X.509"#,
    );
    read(&store(&[(b"a", b"x509", b"x")]), Some("x")).unwrap();
}

#[test]
fn a_long_name_is_shown_in_part() {
    let long = vec![b'n'; 0xffff];
    let shown = "n".repeat(100);
    check(
        &store(&[(&long, &long, b"x")]),
        &format!("{shown:?} is a certificate of the type {shown:?}, not X.509"),
    );
}

#[test]
fn what_is_at_a_limit_is_read_and_what_is_over_it_is_not() {
    let der = vec![0; CERTIFICATE_BYTES_MAX as usize + 1];
    read(&store(&[(b"a", b"X.509", &der[1..])]), Some("x")).unwrap();
    let over = "the length of a certificate is 65537, more than the 65536 allowed";
    check(&store(&[(b"a", b"X.509", &der)]), over);

    let entries = vec![(&b"a"[..], &b"X.509"[..], &b""[..]); ENTRIES_MAX as usize + 1];
    let full = store(&entries[1..]);
    let TrustStore::Java(found) = read(&full, Some("x")).unwrap() else {
        panic!("no Java trust store");
    };
    assert_eq!(found.len(), 100_000);
    let over = "the number of its entries is 100001, more than the 100000 allowed";
    check(&store(&entries), over);

    let mut file = NONE.to_vec();
    file.resize(FILE_BYTES_MAX, 0);
    check(&file, "16777184 bytes are left over after its entries");
    file.push(0);
    let message = read(&file, None).unwrap_err().to_string();
    assert_eq!(
        message,
        "cannot take certificates from \"conf/agents.jks\": it has 16777217 bytes, more than the \
         16777216 allowed. Give one of the authorities alone that sign the agents' certificates"
    );
}

#[test]
fn an_alias_is_read_as_java_writes_it_and_what_is_no_text_is_replaced() {
    for (bytes, alias) in [
        (&b""[..], ""),
        (b"a\xc0\x80b", "a\0b"),
        (b"\xc3\xb6\xe2\x82\xac", "ö€"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
        // Half of a pair, the four bytes of UTF-8, a sign that is cut, and none at all.
        (b"\xed\xa0\xbdx", "\u{fffd}x"),
        (b"\xf0\x9f", "\u{fffd}\u{fffd}"),
        (b"\xe2\x82", "\u{fffd}\u{fffd}"),
        (b"\xc3x", "\u{fffd}x"),
        (b"\xff", "\u{fffd}"),
    ] {
        let store = store(&[(bytes, b"X.509", b"der")]);
        let TrustStore::Java(found) = read(&store, Some("x")).unwrap() else {
            panic!("no Java trust store");
        };
        let [found] = &found[..] else {
            panic!("not one certificate");
        };
        assert_eq!((found.alias.as_str(), found.created_ms), (alias, -1));
        assert_eq!(found.der, b"der");
    }
}

#[test]
fn the_line_for_a_key_has_no_alias_that_a_terminal_would_not_show_as_it_is() {
    for alias in [&b"a\nb"[..], b"\xff", &[b'n'; 101]] {
        let mut store = store(&[(alias, b"X.509", b"")]);
        store[15] = 1;
        let message = read(&store, None).unwrap_err().to_string();
        let line = "`keytool -importkeystore -srckeystore conf/agents.jks -destkeystore key.p12 ";
        assert!(message.contains(line), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

proptest! {
    #[test]
    fn no_bytes_after_the_beginning_of_a_store_break_anything(
        magic in prop::sample::select(vec![&b"\xfe\xed\xfe\xed\0\0\0\x02"[..], b"\xce\xce\xce\xce\0\0\0\x01"]),
        entries in 0_u32..4,
        rest in prop::collection::vec(prop_oneof![Just(0), Just(2), any::<u8>()], 0..100),
    ) {
        let file = [magic, &entries.to_be_bytes(), &rest].concat();
        let _ = read(&file, None);
        let _ = read(&file, Some(PASSWORD));
    }
}
