//! A program that is set up from its environment: each in a process of its own, which has variables
//! of its own and one subscriber for all its calls.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flume_mini_agent::MiniAgent;
use serde_json::Value;

const CHILD: &str = "FLUME_TEST_ENVIRONMENT";
const VARIABLES: [&str; 4] = [
    "FLUME_AGENTS",
    "FLUME_SPOOL",
    "FLUME_RELIABILITY",
    "FLUME_LOG",
];
const PATIENCE: Duration = Duration::from_secs(20);

/// The program. Tells its settings, and what became of its lines.
fn program() {
    let guard = match flume_tracing::effective_config() {
        Ok(config) => {
            println!("\n{config}");
            flume_tracing::init_from_env()
        }
        Err(error) => Err(error),
    };
    match guard {
        Ok(guard) => {
            tracing::info!("not wanted");
            tracing::error!("wanted");
            let report = guard.close(PATIENCE).wait();
            println!("delivered {}", report.events.delivered);
        }
        Err(error) => println!("\nrefused: {error}"),
    }
}

/// What the program tells with these variables.
fn told(test: &str, variables: &[(&str, &OsStr)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("it is known"));
    command
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1");
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let output = command.envs(variables.iter().copied()).output();
    let output = output.expect("it can be started");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is a text")
}

#[test]
fn a_program_is_set_up_from_its_variables_and_can_print_them() {
    if std::env::var_os(CHILD).is_some() {
        return program();
    }
    let test = "a_program_is_set_up_from_its_variables_and_can_print_them";
    let agent = MiniAgent::builder().start().unwrap();
    let address = agent.url().replace("avro://", "");
    let home = tempfile::tempdir().unwrap();
    let spool = home.path().join("spool");
    let told = told(
        test,
        &[
            ("FLUME_AGENTS", address.as_ref()),
            ("FLUME_SPOOL", spool.as_ref()),
            ("FLUME_RELIABILITY", "end-to-end".as_ref()),
            ("FLUME_LOG", "error,hyper=warn".as_ref()),
        ],
    );
    let expected = [
        format!("agents = avro://{address} (FLUME_AGENTS)"),
        format!("spool = {} (FLUME_SPOOL)", spool.display()),
        "reliability = end-to-end (FLUME_RELIABILITY)".to_owned(),
        "filter = error,hyper=warn (FLUME_LOG)".to_owned(),
        "delivered 1".to_owned(),
    ];
    for line in expected {
        assert!(told.lines().any(|it| it == line), "no {line:?} in {told}");
    }
    let events = agent.wait_for(1, PATIENCE).unwrap();
    let body: Value = serde_json::from_slice(events[0].body()).unwrap();
    assert_eq!(body["msg"], "wanted");
    assert!(has_files(&spool), "nothing went through the spool");
}

fn has_files(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory);
    entries.is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn a_wrong_value_is_refused_with_its_variable_and_itself() {
    if std::env::var_os(CHILD).is_some() {
        return program();
    }
    let test = "a_wrong_value_is_refused_with_its_variable_and_itself";
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let check = |variables: &[(&str, &OsStr)], words: &[&str]| {
        let told = told(test, variables);
        let refused = told.lines().find(|line| line.starts_with("refused: "));
        let refused = refused.unwrap_or_else(|| panic!("it was not refused: {told}"));
        for word in words {
            assert!(refused.contains(word), "no {word:?} in {refused}");
        }
    };
    let agent = ("FLUME_AGENTS", OsStr::new("127.0.0.1:1"));
    check(&[], &["FLUME_AGENTS"]);
    check(
        &[("FLUME_AGENTS", "a".as_ref())],
        &["FLUME_AGENTS", "avro://a"],
    );
    let spool = ("FLUME_SPOOL", file.as_os_str());
    let path = file.display().to_string();
    check(&[agent, spool], &["FLUME_SPOOL", &path]);
    let always = ("FLUME_RELIABILITY", OsStr::new("always"));
    check(&[agent, always], &["FLUME_RELIABILITY", "always"]);
    let end_to_end = ("FLUME_RELIABILITY", OsStr::new("end-to-end"));
    check(
        &[agent, end_to_end],
        &["FLUME_RELIABILITY", "end-to-end", "spool"],
    );
    let loud = ("FLUME_LOG", OsStr::new("hyper=loud"));
    check(&[agent, loud], &["FLUME_LOG", "loud"]);
}
