//! `${env:NAME}` in values.

use flume_mini_agent::config::{AgentConfig, SourceKind};

use crate::support::{AGENT, agent};

fn lookup(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("4242".to_owned()),
        "EMPTY" => Some(String::new()),
        "NESTED" => Some("${env:PORT}".to_owned()),
        _ => None,
    }
}

/// What the bind address `value` comes to, or what is said about it.
fn bind(value: &str) -> Result<String, String> {
    let text = agent(&["sources.r1.bind"], &format!("sources.r1.bind = {value}"));
    match AgentConfig::reader("a1").env(lookup).read(&text) {
        Ok(loaded) => match &loaded.config.sources[0].kind {
            SourceKind::Avro(avro) => Ok(avro.bind.clone()),
            other => panic!("{other:?}"),
        },
        Err(error) => Err(error.problems()[0].kind().to_string()),
    }
}

#[test]
fn a_variable_is_put_in() {
    assert_eq!(bind("${env:PORT}").unwrap(), "4242");
    assert_eq!(bind("a${ENV:PORT}b${env:PORT}c").unwrap(), "a4242b4242c");
}

#[test]
fn a_variable_that_is_not_set_has_its_default_or_is_an_error() {
    assert_eq!(bind("${env:HOST:-local:host}").unwrap(), "local:host");
    assert_eq!(bind("${env:PORT:-1}").unwrap(), "4242");
    assert_eq!(
        bind("${env:HOST}").unwrap_err(),
        "the environment variable \"HOST\" is not set"
    );
}

#[test]
fn an_empty_variable_leaves_an_empty_value() {
    assert_eq!(bind("${env:EMPTY}").unwrap_err(), "has no value");
}

#[test]
fn a_dollar_before_it_makes_it_plain_text() {
    assert_eq!(bind("$${env:PORT}").unwrap(), "${env:PORT}");
    assert_eq!(bind("$1 {} ${").unwrap(), "$1 {} ${");
}

#[test]
fn any_other_lookup_is_an_error_that_names_it() {
    for name in ["sys:user.home", "date:yyyy", "a1.x", "f1['key']", ""] {
        assert_eq!(
            bind(&format!("${{{name}}}")).unwrap_err(),
            format!(
                "\"${{{name}}}\" cannot be resolved: only ${{env:NAME}} and ${{env:NAME:-DEFAULT}} can"
            )
        );
    }
    assert!(
        bind("${env:${env:PORT}}")
            .unwrap_err()
            .contains("cannot be resolved")
    );
}

#[test]
fn a_variable_in_a_variable_is_an_error_that_does_not_show_its_value() {
    assert_eq!(
        bind("${env:NESTED}").unwrap_err(),
        "the environment variable \"NESTED\" has a variable in its value"
    );
}

#[test]
fn when_lenient_what_cannot_be_resolved_stays_as_it_is() {
    let text = agent(
        &["sources.r1.bind"],
        "sources.r1.bind = ${sys:x}-${env:PORT}",
    );
    let loaded = AgentConfig::reader("a1")
        .env(lookup)
        .lenient()
        .read(&text)
        .unwrap();
    let SourceKind::Avro(avro) = &loaded.config.sources[0].kind else {
        panic!("no avro source");
    };
    assert_eq!(avro.bind, "${sys:x}-4242");
    assert_eq!(loaded.notes.len(), 1);
}

#[test]
fn values_do_not_grow_without_bound() {
    let text = format!("{AGENT}a1.x = {}\n", "${env:BIG}".repeat(10_000));
    let big = |_: &str| Some("x".repeat(100_000));
    let error = AgentConfig::reader("a1").env(big).read(&text).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("the values have more than 1048576 bytes"),
        "{}",
        &message[..200]
    );
}
