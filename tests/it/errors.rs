//! What `main` prints of an error that it returns: `Debug`, which is the message.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use flume_appender::{Filter, LayoutError, Level};
use flume_client::avro_body::{BodySchema, PushAvroError};
use flume_client::event::HeaderFault;
use flume_client::{AgentUrl, Client, EventBatch, StoreError, error};
use flume_mini_agent::StartError;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// Names of public errors, each with whether it derives `Debug`.
fn public_errors(source: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for part in source.split("#[derive(").skip(1) {
        let (derived, rest) = part.split_once(")]").unwrap();
        let begins = ["pub enum ", "pub struct ", "pub(", "enum ", "struct "];
        let begins_an_item = |line: &&str| begins.iter().any(|word| line.starts_with(word));
        let item = rest.lines().map(str::trim_start).find(begins_an_item);
        let item = item.unwrap_or_default();
        if derived.contains("thiserror::Error")
            && (item.starts_with("pub enum ") || item.starts_with("pub struct "))
        {
            found.push((item.to_owned(), derived.contains("Debug")));
        }
    }
    found
}

#[test]
fn no_public_error_of_any_crate_derives_its_debug() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(workspace).unwrap() {
        let folder = entry.unwrap().path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut files);
        }
    }
    let read = |file: &PathBuf| public_errors(&fs::read_to_string(file).unwrap());
    let errors: Vec<_> = files.iter().flat_map(read).collect();
    assert!(errors.len() > 20, "they are not found: {errors:?}");
    let derived: Vec<_> = errors.iter().filter(|(_, derives)| *derives).collect();
    assert!(derived.is_empty(), "{derived:?}");
}

#[test]
fn what_main_prints_of_an_error_that_it_returns_is_the_message() {
    let schema = || BodySchema::parse("\"int\"").unwrap();
    let misfit = EventBatch::new().push_avro(&schema(), &[], "text");
    let misfit: PushAvroError = misfit.unwrap_err();
    let taken = flume_log::InstallError::Build(flume_appender::BuildError::Random);
    let zero = StartError::Zero {
        setting: "capacity",
    };
    let errors: Vec<Box<dyn Error>> = vec![
        Box::new(Client::builder().build().unwrap_err()),
        Box::new("nonsense".parse::<AgentUrl>().unwrap_err()),
        Box::new(HeaderFault::EmptyKey),
        Box::new(StoreError::Closed),
        Box::new(error::SpoolError::Quota),
        Box::new(error::Removed::Directory),
        Box::new(error::DecodeError::LeftOver { bytes: 1 }),
        Box::new(error::SessionError::ProtocolRefused),
        Box::new(error::FrameError::NoBuffers),
        Box::new(BodySchema::parse("nonsense").unwrap_err()),
        Box::new(schema().with_url("a\0b").unwrap_err()),
        Box::new(misfit),
        Box::new(flume_appender::Appender::builder().build().unwrap_err()),
        Box::new("a=loud".parse::<Filter>().unwrap_err()),
        Box::new("loud".parse::<Level>().unwrap_err()),
        Box::new(LayoutError::new("a reason")),
        Box::new(flume_tracing::InitError::NoAgent),
        Box::new(taken),
        Box::new(zero),
    ];
    for error in errors {
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
