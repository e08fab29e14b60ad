//! Do the simulators find bugs? Plants each of [`planted::BUGS`] and [`planted_spool::BUGS`] into a
//! copy of the delivery core and the spool, runs the simulator on it, and expects a broken promise.
//!
//! ```text
//! mutants                  all of them; fails if one survives
//! mutants --only NAME      one of them
//! mutants --list           their names
//! ```

mod planted;
mod planted_spool;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;
use std::{env, fs, io};

use planted::Bug;

/// Seeds 0 to this; each bug must be found by one of them.
const SEEDS: u32 = 100;
/// A run that takes longer hangs. Seconds, for the `timeout` command.
const RUN_SECONDS_MAX: &str = "180";

const WORKSPACE: &str = r#"
[workspace]
resolver = "3"
members = ["flume-client", "tests"]

# Cheap to build, and still fast enough for a hundred seeds.
[profile.release]
opt-level = 1
codegen-units = 16
incremental = true
"#;

const CLIENT: &str = r#"
[package]
name = "flume-client"
version = "0.0.0"
edition = "2024"

[dependencies]
crc32fast = "1.5"
fastrand = { version = "2.5", default-features = false, features = ["std"] }
rustix = { version = "1.1", default-features = false, features = ["fs", "process", "std"] }
libc = { version = "0.2", default-features = false }
thiserror = "2.0"
"#;

/// Only what the simulators need: the rest of the crate would be built for nothing.
const CLIENT_LIB: &str = "
pub mod delivery;
pub mod fork;
pub mod reliability;
pub mod spool;
pub use reliability::Reliability;
";

const TESTS: &str = r#"
[package]
name = "flume-tests"
version = "0.0.0"
edition = "2024"
autotests = false
autobins = false

[[bin]]
name = "sim"
path = "sim/sim.rs"

[[bin]]
name = "spool-sim"
path = "sim/spool_sim.rs"

[dependencies]
fastrand = { version = "2.5", default-features = false, features = ["std"] }
flume-client = { path = "../flume-client" }
"#;

/// What came of a bug.
enum Fate {
    /// By the seed, which broke the promise.
    Caught(u32, String),
    Survived,
}

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let only = match (args.next().as_deref(), args.next()) {
        (None, None) => None,
        (Some("--only"), Some(name)) => Some(name),
        (Some("--list"), None) => {
            bugs().for_each(|bug| println!("{}", bug.name));
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("mutants [--only NAME | --list]");
            return ExitCode::from(2);
        }
    };
    match hunt(only.as_deref()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(survivors) => {
            println!("{survivors} bugs survived");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn bugs() -> impl Iterator<Item = &'static Bug> {
    planted::BUGS.iter().chain(planted_spool::BUGS)
}

/// Returns how many bugs survived.
fn hunt(only: Option<&str>) -> io::Result<usize> {
    let chosen = |bug: &&Bug| only.is_none_or(|name| name == bug.name);
    let bugs: Vec<_> = bugs().filter(chosen).collect();
    if bugs.is_empty() {
        return Err(io::Error::other("no bug has this name"));
    }
    let nursery = Nursery::new()?;
    for bug in &bugs {
        nursery.mutated(bug)?;
    }
    let begin = Instant::now();
    for folder in ["delivery", "spool"] {
        if let Fate::Caught(seed, promise) = nursery.run(folder)? {
            let text = format!("the unchanged {folder} breaks \"{promise}\" with seed {seed}");
            return Err(io::Error::other(text));
        }
    }
    println!(
        "{:<36} {:>5}  {:<28} {:>7}",
        "bug", "seeds", "caught by", "seconds"
    );
    let seconds = begin.elapsed().as_secs_f64();
    println!("{:<36} {SEEDS:>5}  {:<28} {seconds:>7.1}", "(none)", "-");
    let mut survivors = 0;
    for bug in bugs {
        let begin = Instant::now();
        nursery.plant(bug)?;
        let fate = nursery.run(bug.folder)?;
        nursery.restore(bug)?;
        let seconds = begin.elapsed().as_secs_f64();
        let (seeds, promise) = match fate {
            Fate::Caught(seed, promise) => (seed + 1, promise),
            Fate::Survived => {
                survivors += 1;
                (SEEDS, "SURVIVED".into())
            }
        };
        println!("{:<36} {seeds:>5}  {promise:<28} {seconds:>7.1}", bug.name);
    }
    Ok(survivors)
}

/// A small workspace with copies of the core and the simulator.
struct Nursery {
    origin: PathBuf,
    home: PathBuf,
}

impl Nursery {
    fn new() -> io::Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let origin = manifest.parent().unwrap_or(manifest).to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let home = target
            .unwrap_or_else(|| origin.join("target"))
            .join("mutants");
        let nursery = Self { origin, home };
        nursery.copy("flume-client/src/delivery")?;
        nursery.copy("flume-client/src/spool")?;
        nursery.copy("tests/src/sim")?;
        nursery.copy("tests/src/spool_sim")?;
        nursery.copy("tests/sim")?;
        for file in [
            "Cargo.lock",
            "flume-client/src/fork.rs",
            "flume-client/src/reliability.rs",
        ] {
            fs::copy(nursery.origin.join(file), nursery.home.join(file))?;
        }
        nursery.write("Cargo.toml", WORKSPACE)?;
        nursery.write("flume-client/Cargo.toml", CLIENT)?;
        nursery.write("flume-client/src/lib.rs", CLIENT_LIB)?;
        nursery.write("tests/Cargo.toml", TESTS)?;
        nursery.write("tests/src/lib.rs", "pub mod sim;\npub mod spool_sim;\n")?;
        Ok(nursery)
    }

    /// Builds the simulator of this folder and runs it.
    fn run(&self, folder: &str) -> io::Result<Fate> {
        let simulator = match folder {
            "spool" => "spool-sim",
            _ => "sim",
        };
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "--offline", "--release"])
            .args(["--bin", simulator])
            .args(["--config", "build.rustflags=['-Awarnings']"])
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            // Whatever holds where the other things are built: here all is built again and again.
            .env_remove("CARGO_INCREMENTAL")
            .current_dir(&self.home);
        let built = cargo.output()?;
        if !built.status.success() {
            return Err(io::Error::other(text(&built)));
        }
        let ran = Command::new("timeout")
            .arg(RUN_SECONDS_MAX)
            .arg(self.home.join("target/release").join(simulator))
            .args(["--from", "0", "--seeds", &SEEDS.to_string()])
            .output()?;
        if ran.status.success() {
            return Ok(Fate::Survived);
        }
        let output = text(&ran);
        let verdict = output.lines().find_map(verdict);
        verdict.ok_or_else(|| io::Error::other(format!("no verdict: {}\n{output}", ran.status)))
    }

    fn plant(&self, bug: &Bug) -> io::Result<()> {
        self.write(&source(bug), &self.mutated(bug)?)
    }

    fn restore(&self, bug: &Bug) -> io::Result<()> {
        let source = source(bug);
        self.write(&source, &fs::read_to_string(self.origin.join(&source))?)
    }

    fn mutated(&self, bug: &Bug) -> io::Result<String> {
        let text = fs::read_to_string(self.origin.join(source(bug)))?;
        let matches = text.matches(bug.find).count();
        if matches != 1 {
            let Bug {
                name, file, find, ..
            } = bug;
            let text = format!("{name} is stale: {file} has {matches} times:\n{find}");
            return Err(io::Error::other(text));
        }
        Ok(text.replace(bug.find, bug.replace))
    }

    fn copy(&self, folder: &str) -> io::Result<()> {
        let to = self.home.join(folder);
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(self.origin.join(folder))? {
            let from = entry?.path();
            if let Some(name) = from.file_name().and_then(|name| name.to_str())
                && from.is_dir()
            {
                self.copy(&format!("{folder}/{name}"))?;
            }
            if let Some(name) = from.file_name().filter(|_| from.is_file()) {
                fs::write(to.join(name), fs::read(&from)?)?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.home.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)
    }
}

fn source(bug: &Bug) -> String {
    format!("flume-client/src/{}/{}", bug.folder, bug.file)
}

fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}

/// Reads `seed 7 breaks "promise": details`.
fn verdict(line: &str) -> Option<Fate> {
    let (seed, rest) = line.strip_prefix("seed ")?.split_once(" breaks \"")?;
    let (promise, _) = rest.split_once('"')?;
    Some(Fate::Caught(seed.parse().ok()?, promise.into()))
}
