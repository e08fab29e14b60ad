//! Prints what each kind of hostile peer costs a mini-agent in memory: `hostile [PART OF A NAME]`.

use std::process::ExitCode;

use flume_tests::{Result, hostile};

fn main() -> ExitCode {
    let told = match std::env::args().nth(1).as_deref() {
        Some("agent") => hostile::serve(),
        wanted => tell(wanted.unwrap_or_default()),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(wanted: &str) -> Result<()> {
    let program = std::env::current_exe().unwrap_or_else(|_| "hostile".into());
    let connections = hostile::CONNECTIONS;
    println!("{connections} connections each; KiB of memory per connection, connections ended");
    for peer in hostile::peers() {
        if !peer.to_string().contains(wanted) {
            continue;
        }
        let figures = hostile::measure(&program, &peer)?;
        let kib = figures.bytes_per_connection().div_ceil(1024);
        println!("{kib:>6} {:>5}  {peer}", figures.ended);
    }
    Ok(())
}
