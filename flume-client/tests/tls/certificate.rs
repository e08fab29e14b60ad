//! What is read from certificates, beside what `openssl x509 -text` says of them.

use flume_client::tls::certificate::{Certificate, NAME_CHARS_MAX, NAMES_MAX, moment};
use proptest::prelude::*;
use rcgen::{DnType, DnValue, KeyPair};

use crate::peer::{Authority, params};
use crate::stores::CERTIFICATE;

#[test]
fn a_certificate_of_openssls_is_read_as_openssl_reads_it() {
    let read = Certificate::read(CERTIFICATE).unwrap();
    assert_eq!((&*read.subject, &*read.issuer), ("CN=one", "CN=one"));
    assert!(read.is_self_signed());
    // openssl x509 -inform der -in one.der -noout -dates
    assert_eq!(moment(read.not_before), "2026-11-28 14:30:12 UTC");
    assert_eq!(moment(read.not_after), "2126-11-04 14:30:12 UTC");
    assert!(read.names.is_empty());
}

#[test]
fn names_and_addresses_of_hosts_are_read_in_order() {
    let names = ["b.example", "10.1.2.3", "*.a.example", "2001:db8::1"];
    let mut params = params("agent", &names);
    let name = &mut params.distinguished_name;
    name.push(DnType::OrganizationName, "Größe, Ltd");
    name.push(
        DnType::LocalityName,
        DnValue::BmpString("Zürich".try_into().unwrap()),
    );
    name.push(DnType::CustomDnType(vec![1, 2, 3]), "x");
    let authority = Authority::new("root");
    let read = Certificate::read(&authority.sign(&params).der()).unwrap();
    assert_eq!(read.names, names);
    assert_eq!(read.subject, "CN=agent, O=Größe, Ltd, L=Zürich, ?=x");
    assert_eq!(read.issuer, "CN=root");
    assert!(!read.is_self_signed());
    assert_eq!(moment(read.not_before), "2025-01-01 00:00:00 UTC");
    assert_eq!(moment(read.not_after), "2026-12-31 00:00:00 UTC");
}

#[test]
fn times_of_both_notations_are_read() {
    for (year, month, day) in [
        (1950, 1, 1),
        (1999, 12, 31),
        (2000, 2, 29),
        (2049, 12, 31),
        (2050, 1, 1),
        (9999, 12, 31),
    ] {
        let mut params = params("agent", &[]);
        params.not_before = rcgen::date_time_ymd(1950, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let expected = params.not_after.unix_timestamp();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = Certificate::read(certificate.der()).unwrap();
        assert_eq!(read.not_after, expected);
        assert_eq!(
            moment(expected),
            format!("{year:04}-{month:02}-{day:02} 00:00:00 UTC")
        );
    }
}

#[test]
fn moments_are_those_of_the_command_date() {
    // date -u -d @SECONDS '+%F %T UTC'
    for (seconds, expected) in [
        (0, "1970-01-01 00:00:00 UTC"),
        (-1, "1969-12-31 23:59:59 UTC"),
        (951_782_400, "2000-02-29 00:00:00 UTC"),
        (1_582_934_400, "2020-02-29 00:00:00 UTC"),
        (4_107_542_399, "2100-02-28 23:59:59 UTC"),
        (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        (1_796_055_306, "2026-11-30 16:15:06 UTC"),
    ] {
        assert_eq!(moment(seconds), expected);
    }
}

#[test]
fn long_and_many_names_are_cut() {
    let long = "n".repeat(1000);
    let names: Vec<_> = (0..300)
        .map(|number| format!("a{number}.example"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let certificate = Authority::new("root").sign(&params(&long, &names));
    let read = Certificate::read(&certificate.der()).unwrap();
    assert_eq!(read.names.len(), NAMES_MAX);
    assert_eq!(read.subject.len(), "CN=".len() + NAME_CHARS_MAX);
}

#[test]
fn a_certificate_that_is_cut_anywhere_is_none() {
    let der = Authority::new("root").agent().der();
    for length in 0..der.len() {
        assert_eq!(Certificate::read(&der[..length]), None, "{length}");
    }
}

proptest! {
    #[test]
    fn no_changed_bytes_break_anything(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        thread_local! {
            static DER: Vec<u8> = Authority::new("root").agent().der().to_vec();
        }
        let mut der = DER.with(Clone::clone);
        for (at, byte) in changes {
            let length = der.len();
            der[at % length] = byte;
        }
        if let Some(read) = Certificate::read(&der) {
            let shown = [&read.subject, &read.issuer].into_iter().chain(&read.names);
            for text in shown {
                prop_assert!(!text.contains(char::is_control));
            }
            let _ = moment(read.not_before);
        }
    }

    #[test]
    fn no_bytes_break_anything(bytes in prop::collection::vec(prop_oneof![Just(0x30), Just(2), any::<u8>()], 0..200)) {
        let _ = Certificate::read(&bytes);
    }

    #[test]
    fn no_number_of_seconds_breaks_anything(seconds in any::<i64>()) {
        let _ = moment(seconds);
    }
}
