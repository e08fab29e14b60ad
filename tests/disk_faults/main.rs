//! What a service keeps, and tells, when the disk under its spool fails.
//!
//! ```text
//! spool-faults strace [PART OF A NAME]   system calls that fail; needs strace
//! spool-faults loop                      a disk whose writes fail; needs root and loop devices
//! ```
//!
//! The service is a process of its own. It appends events while no agent can be reached, and tells
//! which ones are stored. Afterwards everything it told must be in the spool, and come to an agent.

mod aftermath;
mod broken_disk;
mod calls;
mod service;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["service", spool, quota, events] => service::run(spool.as_ref(), quota, events),
        ["strace"] => calls::run(""),
        ["strace", part] => calls::run(part),
        ["loop"] => broken_disk::run(),
        ["loop-inside", home] => broken_disk::run_inside(home.as_ref()),
        _ => Err("there are: strace [PART OF A NAME], loop".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spool-faults: {error}");
            ExitCode::FAILURE
        }
    }
}
