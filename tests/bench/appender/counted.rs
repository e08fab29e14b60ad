//! The measured calls with every allocation counted, in a program of its own: counting takes time.

mod child;
mod contenders;
mod event;
mod measure;
mod ours;
mod running;
mod sinks;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<std::alloc::System> = alloc_tracker::Allocator::system();

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match child::run(&args) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("the bench `appender` starts this program");
            ExitCode::FAILURE
        }
    }
}
