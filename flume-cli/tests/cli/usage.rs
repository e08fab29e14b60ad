//! Wrong usage, and help.

use std::fs;
use std::path::Path;

use crate::support::command::flume;

#[track_caller]
fn check_usage(args: &[&str], word: &str) {
    let run = flume(args);
    run.check(2, &[word]);
    assert_eq!(run.stdout, "");
}

#[test]
fn wrong_usage_is_told_with_the_value_and_the_way_out() {
    check_usage(&["send"], "--agent <URL>");
    check_usage(
        &["send", "--agent", "ftp://a:1"],
        "write it as avro://HOST:PORT",
    );
    check_usage(&["send", "--agent", "avro://a"], "the port is missing");
    let send = ["send", "--agent", "avro://127.0.0.1:1"];
    let with = |more: &[&'static str]| [&send, more].concat();
    check_usage(&with(&["-H", "k"]), "KEY=VALUE");
    check_usage(&with(&["-H", "=v"]), "the key is empty");
    check_usage(&with(&["-H", "k=1", "-H", "k=2"]), "\"k\" is given twice");
    check_usage(
        &with(&["--reliability", "end-to-end"]),
        "name a directory with --spool DIR",
    );
    for level in ["in-memory", "best-effort"] {
        check_usage(
            &with(&["--spool", "/nowhere", "--reliability", level]),
            "leave out either --spool or --reliability",
        );
    }
    check_usage(&with(&["--spool", ""]), "--spool");
    check_usage(&with(&["--reliability", "exactly-once"]), "best-effort");
    check_usage(&with(&["--timeout", "10"]), "500ms, 10s, 2m");
    check_usage(&with(&["--batch", "0"]), "0 is not in 1..=100000");
    check_usage(
        &["agent", "--sink", "hdfs"],
        "write it as logger, null, collect or file_roll:DIR",
    );
    check_usage(
        &["agent", "--bind", "127.0.0.1:0", "--capacity", "0"],
        "capacity is 0",
    );
    check_usage(
        &["agent", "--bind", "127.0.0.1:0", "--capacity", "10"],
        "transaction_capacity 100",
    );
    check_usage(
        &[
            "agent",
            "--name",
            "a1",
            "--config",
            "a.properties",
            "--bind",
            "127.0.0.1:0",
        ],
        "the argument '--name <NAME>' cannot be used with '--bind <HOST:PORT>'",
    );
    check_usage(&["agent", "--config", "a.properties"], "--name <NAME>");
    check_usage(&["agent", "--name", "a1"], "--config <FILE>");
    check_usage(&["agent", "--lenient"], "--config <FILE>");
    for address in ["foo", "127.0.0.1", "127.0.0.1:99999", ":41414", "::1:4141"] {
        check_usage(&["agent", "--bind", address], "write it as HOST:PORT");
        let args = ["agent", "--bind", "[::1]:0", "--control", address];
        check_usage(&args, "write it as HOST:PORT");
    }
    check_usage(&["ping"], "<URL>...");
    check_usage(&["ping", "a:1"], "write it as avro://HOST:PORT");
}

#[test]
fn sizes_of_a_spool_have_units_and_bounds_and_need_a_spool() {
    let send = ["send", "--agent", "avro://127.0.0.1:1"];
    let with = |more: &[&'static str]| [&send, more].concat();
    check_usage(&with(&["--spool-free", "1MiB"]), "--spool <DIR>");
    check_usage(&with(&["--spool-bytes", "1GiB"]), "--spool <DIR>");
    let spool = ["--spool", "/nowhere"];
    let spooled = |more: &[&'static str]| with(&[&spool, more].concat());
    check_usage(
        &spooled(&["--spool-free", "64"]),
        "as 512KiB, 64MiB, 1GiB or 1GB",
    );
    check_usage(
        &spooled(&["--spool-bytes", "1GiBB"]),
        "as 512KiB, 64MiB, 1GiB or 1GB",
    );
    check_usage(
        &spooled(&["--spool-bytes", "1KiB"]),
        "--spool-bytes is 1 KiB; it must lie between",
    );
}

#[test]
fn too_many_headers_are_wrong_usage() {
    let headers: Vec<String> = (0..65).map(|number| format!("-Hk{number}=v")).collect();
    let mut args = vec!["send", "--agent", "avro://127.0.0.1:1"];
    args.extend(headers.iter().map(String::as_str));
    check_usage(&args, "65 headers are given; an event carries up to 64");
}

#[test]
fn help_says_what_this_is_and_is_not_and_lists_the_exit_codes() {
    let run = flume(&["--help"]);
    run.check(0, &[]);
    for word in [
        "For Apache Flume; not related to the Rust crate named flume",
        "Exit codes:",
        "124",
    ] {
        assert!(run.stdout.contains(word), "{word}: {}", run.stdout);
    }
}

#[test]
fn the_help_of_agent_has_the_control_interface_and_the_names_of_all_faults() {
    let run = flume(&["agent", "--help"]);
    run.check(0, &[]);
    let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = flume_mini_agent::Fault::NAMES.join(", ");
    for word in [names.as_str(), "GET /events", "PUT /faults", "130"] {
        assert!(text.contains(word), "{word}: {}", run.stdout);
    }
}

#[test]
fn the_help_of_send_has_the_exit_codes_too() {
    let run = flume(&["send", "--help"]);
    run.check(0, &[]);
    assert!(
        run.stdout.contains("124  nothing was delivered in time"),
        "{}",
        run.stdout
    );
}

/// Each is run with `--help` behind it, which is shown only if all before it is understood.
#[test]
fn every_command_line_in_the_readmes_is_understood() {
    for (readme, least) in [("README.md", 8), ("../README.md", 7)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(readme);
        let text = fs::read_to_string(&path).unwrap();
        let blocks = text.split("```sh\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
        let commands = lines.filter_map(|line| {
            let command = line
                .split(" #")
                .next()
                .unwrap()
                .split(" | ")
                .last()
                .unwrap();
            command.strip_prefix("flume ")
        });
        let mut understood = 0;
        for command in commands {
            let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
            let run = flume(&args);
            assert_eq!(run.code, Some(0), "{readme}: flume {command}: {run:#?}");
            understood += 1;
        }
        assert!(understood >= least, "{readme}: {understood} commands");
    }
}
