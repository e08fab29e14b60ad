use proptest::prelude::*;

use super::*;
use crate::agent_url::dialect::Nesting;
use crate::wire::thrift::Protocol;

#[test]
fn addresses_come_back_as_they_were_written() {
    for text in [
        "avro://web-1:4141",
        "avro://10.0.0.1:1",
        "avro://[fe80::1%eth0]:65535",
        "avro+tls://web_1.example.:4141",
        "avro+deflate://münchen:4141",
        "avro+tls+deflate://[::1]:4141",
        "avro+tls+deflate://a:1?nesting=tls-outside",
        "avro+tls+deflate://a:1?nesting=zlib-outside",
        "thrift://a:1",
        "thrift://a:1?protocol=compact",
        "thrift+tls://a:1?protocol=binary",
        "http://a:80",
        "http://[::1]:8080/flume/in",
        "https://a:443/a%2Fb/~c;d=e,f/",
    ] {
        assert_eq!(read(text).unwrap().to_string(), text);
    }
    for (text, shown) in [
        ("avro://a:1/", "avro://a:1"),
        ("avro://a:0041", "avro://a:41"),
        ("http://a:1/", "http://a:1"),
        (
            "thrift://a:1/?protocol=binary",
            "thrift://a:1?protocol=binary",
        ),
    ] {
        assert_eq!(read(text).unwrap().to_string(), shown);
    }
}

#[test]
fn an_address_is_read_in_its_parts() {
    let url = read("https://[2001:db8::1]:8443/in").unwrap();
    assert_eq!(
        (url.host(), url.port(), url.path()),
        ("2001:db8::1", 8443, "/in")
    );
    assert_eq!((url.scheme(), url.dialect()), (Scheme::Https, None));
    let url = read("thrift://a:1?protocol=binary").unwrap();
    assert_eq!(url.dialect(), Some(Dialect::Protocol(Protocol::Binary)));
    let url = read("avro+tls+deflate://a:1?nesting=zlib-outside").unwrap();
    assert_eq!(url.dialect(), Some(Dialect::Nesting(Nesting::ZlibOutside)));
    assert_eq!(url.path(), "/");
}

#[track_caller]
fn check(text: &str, problem: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), problem, "{text}");
}

#[test]
fn each_mistake_in_a_scheme_is_told_with_the_right_form() {
    let avro = FORMS;
    for text in ["web-1:4141", "", "://web-1:1", "a b://web-1:1"] {
        check(
            text,
            &format!("the protocol is missing; write it as {avro}"),
        );
    }
    for name in ["ftp", "AVRO", "avros", "tls+avro", "+tls"] {
        let problem = format!("the protocol {name:?} is not supported; write it as {avro}");
        check(&format!("{name}://a:1"), &problem);
    }
    for (name, right) in [
        ("avro+deflate+tls", "avro+tls+deflate"),
        ("avro+tls+tls", "avro+tls"),
        ("avro+tls+deflate+tls", "avro+tls+deflate"),
        ("avro+deflate+deflate", "avro+deflate"),
        ("thrift+tls+tls", "thrift+tls"),
    ] {
        let problem = "+tls and +deflate stand there once, in this order; write it as";
        check(
            &format!("{name}://a:1"),
            &format!("{problem} {right}://HOST:PORT"),
        );
    }
    for (name, layer, right) in [
        ("avro+ssl", "ssl", "avro://HOST:PORT"),
        ("avro+", "", "avro://HOST:PORT"),
        ("avro+tls+gzip", "gzip", "avro+tls://HOST:PORT"),
        ("https+mtls", "mtls", "https://HOST:PORT/PATH"),
    ] {
        let problem =
            format!("+{layer} is not known, only +tls and +deflate are; write it as {right}");
        check(&format!("{name}://a:1"), &problem);
    }
    for (name, source, right) in [
        ("thrift+deflate", "Thrift", "thrift://HOST:PORT"),
        ("thrift+tls+deflate", "Thrift", "thrift+tls://HOST:PORT"),
        ("http+deflate", "HTTP", "http://HOST:PORT/PATH"),
        ("http+tls+deflate", "HTTP", "https://HOST:PORT/PATH"),
    ] {
        let problem =
            format!("Flume's {source} source takes nothing compressed; write it as {right}");
        check(&format!("{name}://a:1"), &problem);
    }
    for name in ["http+tls", "https+tls"] {
        let problem = "HTTP over TLS has a name of its own; write it as https://HOST:PORT/PATH";
        check(&format!("{name}://a:1"), problem);
    }
}

#[test]
fn each_mistake_in_host_and_port_is_told_with_the_right_form() {
    for (text, form) in [
        ("avro://:4141", "avro://HOST:PORT"),
        ("avro://", "avro://HOST:PORT"),
        ("avro://[::1:4141", "avro://HOST:PORT"),
        ("avro://::1:4141", "avro://HOST:PORT"),
        ("avro://fe80::1:4141", "avro://HOST:PORT"),
        ("avro://[web-1]:4141", "avro://HOST:PORT"),
        ("avro://[fe80::1%]:4141", "avro://HOST:PORT"),
        ("avro://web 1:4141", "avro://HOST:PORT"),
        ("avro://web\u{1b}1:4141", "avro://HOST:PORT"),
        ("thrift+tls:///in", "thrift+tls://HOST:PORT"),
        ("http:///in", "http://HOST:PORT/PATH"),
    ] {
        let problem = "the host is missing or malformed; write it as";
        check(
            text,
            &format!("{problem} {form}, an IPv6 address in brackets"),
        );
    }
    for (text, form) in [
        ("avro://web-1", "avro://HOST:PORT"),
        ("avro://[::1]", "avro://HOST:PORT"),
        ("avro://[::1]4141", "avro://HOST:PORT"),
        ("https://collector/in", "https://HOST:PORT/PATH"),
    ] {
        let problem = "the port is missing, and Flume's sources have no default one; write it as";
        check(text, &format!("{problem} {form}"));
    }
    for port in ["", "0", "65536", "+41", "-1", "4x", "٤"] {
        let problem = "the port must be a number from 1 to 65535";
        check(&format!("avro://web-1:{port}"), problem);
    }
}

#[test]
fn each_mistake_in_a_path_is_told_with_the_way_out() {
    check(
        "thrift+tls://a:1/in",
        "only HTTP has a path; write it as thrift+tls://HOST:PORT",
    );
    check(
        "avro://a:1//",
        "only HTTP has a path; write it as avro://HOST:PORT",
    );
    for (path, sign) in [
        ("a b", ' '),
        ("ü", 'ü'),
        ("%2", '%'),
        ("%zz", '%'),
        ("\n", '\n'),
    ] {
        let problem = format!("the path has {sign:?} in it: write its bytes in UTF-8 as %XX each");
        check(&format!("http://a:1/{path}"), &problem);
    }
    check(
        "http://a:1/in#here",
        "what follows the # says nothing to an agent; leave it out",
    );
}

#[test]
fn each_mistake_in_an_option_is_told_with_those_that_there_are() {
    check(
        "avro://a:1?x=y",
        "avro has no options; leave out the ? and what follows it",
    );
    check(
        "http://a:1?",
        "http has no options; leave out the ? and what follows it",
    );
    check(
        "avro+tls://a:1?nesting=tls-outside",
        "the option nesting is only for avro+tls+deflate; leave it out",
    );
    check(
        "avro+tls+deflate://a:1?protocol=binary",
        "the option protocol is only for thrift and thrift+tls; leave it out",
    );
    for option in ["transport=framed", "sesame==", "sesame", ""] {
        check(
            &format!("thrift://a:1?{option}"),
            "what follows the ? is no option; write ?protocol=compact or ?protocol=binary",
        );
    }
    check(
        "thrift://a:1?protocol",
        "protocol is \"\"; write ?protocol=compact or ?protocol=binary",
    );
    // Flume's own client takes this for compact.
    check(
        "thrift://a:1?protocol=Binary",
        "protocol is \"Binary\"; write ?protocol=compact or ?protocol=binary",
    );
    check(
        "avro+tls+deflate://a:1?nesting=",
        "nesting is \"\"; write ?nesting=tls-outside or ?nesting=zlib-outside",
    );
    check(
        "thrift://a:1?protocol=binary&protocol=compact",
        "protocol is the only option; leave out the & and what follows it",
    );
}

#[test]
fn credentials_are_refused_and_not_shown() {
    let refused = "addresses are shown in logs, so they take no user and no password: leave out what \
                   is before the @;";
    let avro = format!("{refused} Flume's Avro source asks for none");
    check("avro://user@web-1:4141", &avro);
    check("avro://user:12/34?5#6@web-1:4141", &avro);
    check(
        "https://user:secret@a:1/in",
        &format!(
            "{refused} credentials come from a callback, a file or the environment; an @ of the \
             path is written %40"
        ),
    );
    for (text, shown) in [
        ("avro://me:open@sesame@a:1", "avro://***@a:1"),
        ("avro://me:open/se?sa#me@a:1", "avro://***@a:1"),
        ("me:sesame@a:1", "***@a:1"),
        ("me:sesame@avro://a:1", "***@avro://a:1"),
        ("https://a:1/in?key=sesame", "https://a:1/in?***"),
        ("avro://a:1#sesame", "avro://a:1#***"),
    ] {
        let message = text.parse::<AgentUrl>().unwrap_err().to_string();
        let begin = format!("{shown:?} is not the address of an agent: ");
        assert!(message.starts_with(&begin), "{message}");
        assert!(!message.contains("sesame"), "{message}");
    }
}

#[test]
fn a_scheme_that_this_build_is_without_names_the_features() {
    let problem = |scheme, compiled: &[Feature]| refuse_missing(scheme, compiled);
    for scheme in [Scheme::Avro, Scheme::Thrift] {
        assert_eq!(problem(scheme, &[]), Ok(()));
    }
    let all = [Feature::Tls, Feature::Compression, Feature::Http];
    for scheme in Scheme::ALL {
        assert_eq!(problem(scheme, &all), Ok(()));
    }
    for (scheme, compiled, features) in [
        (
            Scheme::AvroTls,
            &[][..],
            "avro+tls needs flume-client with features = [\"tls\"]",
        ),
        (
            Scheme::AvroTlsDeflate,
            &[Feature::Tls],
            "avro+tls+deflate needs flume-client with features = [\"compression\"]",
        ),
        (
            Scheme::Https,
            &[],
            "https needs flume-client with features = [\"http\", \"tls\"]",
        ),
    ] {
        let message = problem(scheme, compiled).unwrap_err().to_string();
        let rest = ", which this build is without; name them in Cargo.toml";
        assert_eq!(message, format!("{features}{rest}"));
    }
}

#[test]
fn the_same_agent_is_known_however_it_is_written() {
    let is_same = |one, other| read(one).unwrap().is_same(&read(other).unwrap());
    for (one, other) in [
        ("avro://a:1", "avro://A.:1"),
        ("avro://[::1]:1", "avro://[0:0::1]:1"),
        ("avro://a:1", "avro+tls+deflate://a:1"),
        ("thrift://a:1?protocol=binary", "thrift+tls://a:1"),
        ("http://a:1/in", "https://a:1/in"),
        ("http://a:1/", "http://a:1"),
    ] {
        assert!(is_same(one, other), "{one} {other}");
    }
    for (one, other) in [
        ("avro://a:1", "avro://a:2"),
        ("avro://a:1", "avro://b:1"),
        ("avro://a:1", "thrift://a:1"),
        ("http://a:1/in", "http://a:1/out"),
    ] {
        assert!(!is_same(one, other), "{one} {other}");
    }
}

/// Pieces of addresses in any order, and any signs between them.
fn nearly_an_address() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "avro", "thrift", "http", "https", "+tls", "+deflate", "://", "[", "::1", "fe80::1",
            "%eth0", "]", ":", "4141", "65535", "/", "in", "%2F", "?", "&", "protocol", "nesting",
            "=", "compact", "zlib-outside", "#", "@", "web-1",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    let rest = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let beginning = proptest::sample::select(vec![
        "",
        "avro://",
        "avro+tls+deflate://a:1",
        "thrift://a:1?",
        "http://a:1/",
        "https://",
    ]);
    (beginning, rest).prop_map(|(beginning, rest)| format!("{beginning}{rest}"))
}

fn address() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-z0-9_][a-z0-9_.-]{0,20}",
        any::<std::net::Ipv4Addr>().prop_map(|it| it.to_string()),
        any::<Ipv6Addr>().prop_map(|it| format!("[{it}]")),
    ];
    let scheme = proptest::sample::select(Scheme::ALL.to_vec());
    let path = "(/[a-z0-9._~!$&'()*+,;=:-]{1,8}|/%[0-9A-F]{2}){0,4}";
    (scheme, host, 1u16.., path, any::<Option<bool>>()).prop_map(
        |(scheme, host, port, path, dialect)| {
            let path = match scheme.door() {
                Door::Http => path,
                Door::Avro | Door::Thrift => String::new(),
            };
            let dialect = match (scheme, dialect) {
                (_, None) => "",
                (Scheme::AvroTlsDeflate, Some(true)) => "?nesting=tls-outside",
                (Scheme::AvroTlsDeflate, Some(false)) => "?nesting=zlib-outside",
                (Scheme::Thrift | Scheme::ThriftTls, Some(true)) => "?protocol=compact",
                (Scheme::Thrift | Scheme::ThriftTls, Some(false)) => "?protocol=binary",
                _ => "",
            };
            format!("{scheme}://{host}:{port}{path}{dialect}")
        },
    )
}

proptest! {
    #[test]
    fn every_address_comes_back_as_it_was_written(text in address()) {
        prop_assert_eq!(read(&text).unwrap().to_string(), text);
    }

    #[test]
    fn any_text_is_an_address_that_comes_back_or_a_problem(text in nearly_an_address()) {
        match read(&text) {
            Ok(url) => {
                prop_assert!(url.is_same(&url));
                prop_assert_eq!(read(&url.to_string()), Ok(url));
            }
            Err(problem) => {
                let message = AgentUrlError::new(&text, problem).to_string();
                prop_assert!(message.contains("is not the address of an agent: "));
            }
        }
        let _: Result<AgentUrl, _> = text.parse();
    }
}
