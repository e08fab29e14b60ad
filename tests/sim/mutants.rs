//! Do the simulators find bugs? Plants each of [`planted::BUGS`], [`planted_doors::BUGS`],
//! [`planted_spool::BUGS`] and [`planted_hallway::BUGS`] into a copy of the delivery core and the spool, or of the whole client,
//! runs the simulator on it, and expects a broken promise. Beside it, the hallway's simulator is to
//! come into every situation that is named in the client.
//!
//! ```text
//! mutants                  all of them; fails if one survives
//! mutants --only NAME      one of them
//! mutants --list           their names
//! ```

mod planted;
mod planted_doors;
mod planted_hallway;
mod planted_spool;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;
use std::{env, fs, io, thread};

use planted::Bug;

/// Seeds 0 to this; each bug must be found by one of them.
const SEEDS: u32 = 100;
/// A run that takes longer hangs: one without a bug takes two minutes on a machine with nothing else to
/// do. Seconds, for the `timeout` command.
const RUN_SECONDS_MAX: &str = "900";

/// Seeds in which each situation must come to pass.
const SITUATION_SEEDS: u32 = 1000;

/// The simulators' programs: of the delivery core, of the spool, and of all that lies between
/// callers and agents.
const SIM: &str = "sim";
const SPOOL_SIM: &str = "spool-sim";
const HALLWAY_SIM: &str = "hallway-sim";

const MANIFEST: &str = r#"
[package]
name = "nursery"
version = "0.0.0"
edition = "2024"
autobins = false

[workspace]

[features]
default = ["hallway"]
hallway = ["internals"]
internals = []

# Cheap to build again, of many small units: most bugs are found within a few seeds.
[profile.release]
opt-level = 0
codegen-units = 256
incremental = true

[dependencies]
crc32fast = "1.5"
fastrand = { version = "2.5", default-features = false, features = ["std"] }
libc = { version = "0.2", default-features = false }
rustix = { version = "1.1", default-features = false, features = ["fs", "net", "process", "std", "system", "time"] }
thiserror = "2.0"
"#;

/// What only the whole client needs.
const CLIENT_DEPENDENCIES: &str = r#"
getrandom = "0.4"
log = { version = "0.4", default-features = false }
tokio = { version = "1.54", default-features = false, features = ["net", "rt", "time"] }
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
    let core = planted::BUGS.iter().chain(planted_doors::BUGS);
    let rooms = core.chain(planted_spool::BUGS);
    rooms.chain(planted_hallway::BUGS)
}

/// Returns how many bugs survived.
fn hunt(only: Option<&str>) -> io::Result<usize> {
    let nurseries = [Nursery::of_rooms()?, Nursery::of_hallway()?];
    let chosen: Vec<_> = bugs()
        .filter(|bug| only.is_none_or(|name| name == bug.name))
        .collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no bug has this name"));
    }
    let mut hunts = Vec::new();
    for nursery in &nurseries {
        let mut bugs = chosen.clone();
        bugs.retain(|bug| nursery.simulators.contains(&simulator(bug)));
        // Told before anything is built.
        for bug in &bugs {
            nursery.mutated(bug)?;
        }
        if !bugs.is_empty() {
            hunts.push((nursery, bugs));
        }
    }
    println!(
        "{:<36} {:>5}  {:<28} {:>7}",
        "bug", "seeds", "caught by", "seconds"
    );
    // The compiler does most of its work on one core, so the nurseries work side by side.
    thread::scope(|scope| {
        let hunts: Vec<_> = hunts
            .into_iter()
            .map(|(nursery, bugs)| scope.spawn(move || nursery.hunt(&bugs, only.is_none())))
            .collect();
        let ends = hunts.into_iter().map(|hunt| {
            hunt.join()
                .expect("a hunt ends with an error, not with a panic")
        });
        ends.sum()
    })
}

/// A small package with copies of parts of the client and their simulators. Each simulator is one
/// crate with the parts that it works: what it does not reach is not compiled to machine code, and a
/// bug costs one run of the compiler.
struct Nursery {
    origin: PathBuf,
    home: PathBuf,
    simulators: &'static [&'static str],
}

impl Nursery {
    /// One with the delivery core and the spool, each with its simulator.
    fn of_rooms() -> io::Result<Self> {
        let nursery = Self::at("mutants", &[SIM, SPOOL_SIM]);
        nursery.copy("flume-client/src/delivery")?;
        nursery.copy("flume-client/src/spool")?;
        nursery.copy_file("flume-client/src/debug.rs")?;
        nursery.copy_file("flume-client/src/fork.rs")?;
        nursery.copy_file("flume-client/src/reliability.rs")?;
        nursery.copy_file("flume-client/src/seq.rs")?;
        let core = "pub mod delivery;\npub mod reliability;\npub mod seq;\npub use reliability::Reliability;\n";
        nursery.make_crate(SIM, core, &["sim"])?;
        let spool = "mod debug;\npub mod fork;\npub mod seq;\npub mod spool;\n";
        nursery.make_crate(SPOOL_SIM, spool, &["spool_sim"])?;
        nursery.settle("")
    }

    /// One with the whole client, and the simulator of its hallway.
    fn of_hallway() -> io::Result<Self> {
        let nursery = Self::at("mutants-hallway", &[HALLWAY_SIM]);
        nursery.copy("flume-client/src")?;
        let client = fs::read_to_string(nursery.origin.join("flume-client/src/lib.rs"))?;
        nursery.make_crate(HALLWAY_SIM, &client, &["hallway_sim", "spool_sim"])?;
        nursery.settle(CLIENT_DEPENDENCIES)
    }

    fn at(name: &str, simulators: &'static [&'static str]) -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let origin = manifest.parent().unwrap_or(manifest).to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let home = target.unwrap_or_else(|| origin.join("target")).join(name);
        Self {
            origin,
            home,
            simulators,
        }
    }

    /// Writes the root of a simulator's crate: these modules of the client, beside whose files it
    /// lies, these modules of the tests, and the program. It goes by both crates' names.
    fn make_crate(&self, simulator: &str, client: &str, modules: &[&str]) -> io::Result<()> {
        let mut root = client.to_owned();
        root += "extern crate self as flume_client;\nextern crate self as flume_tests;\n";
        root += "#[path = \"../../tests/src/long_run.rs\"]\npub mod long_run;\n";
        for module in modules {
            self.copy(&format!("tests/src/{module}"))?;
            root += &format!("#[path = \"../../tests/src/{module}/mod.rs\"]\npub mod {module};\n");
        }
        let program = format!("tests/sim/{}.rs", simulator.replace('-', "_"));
        let program = fs::read_to_string(self.origin.join(program))?;
        let start = "pub fn start() -> ExitCode { main() }";
        root += &format!("mod program {{\n{program}\n{start}\n}}\n");
        root += "fn main() -> std::process::ExitCode { program::start() }\n";
        self.write(&format!("flume-client/src/{simulator}.rs"), &root)
    }

    fn settle(self, more_dependencies: &str) -> io::Result<Self> {
        self.copy_file("tests/src/long_run.rs")?;
        let programs = self.simulators.iter().map(|name| {
            format!("[[bin]]\nname = \"{name}\"\npath = \"../flume-client/src/{name}.rs\"\n")
        });
        let programs: String = programs.collect();
        let manifest = [MANIFEST, more_dependencies, &programs].concat();
        self.write("tests/Cargo.toml", &manifest)?;
        fs::copy(
            self.origin.join("Cargo.lock"),
            self.home.join("tests/Cargo.lock"),
        )?;
        Ok(self)
    }

    /// Looks for these bugs, one after the other. Returns how many survived.
    fn hunt(&self, bugs: &[&Bug], with_situations: bool) -> io::Result<usize> {
        for simulator in self.simulators {
            let begin = Instant::now();
            if let Fate::Caught(seed, promise) = self.run(simulator, &[])? {
                let text =
                    format!("without a bug {simulator} breaks \"{promise}\" with seed {seed}");
                return Err(io::Error::other(text));
            }
            tell(&format!("(none, {simulator})"), SEEDS, "-", begin);
        }
        if with_situations && self.simulators.contains(&HALLWAY_SIM) {
            self.situations()?;
        }
        let mut survivors = 0;
        for bug in bugs {
            let begin = Instant::now();
            self.plant(bug)?;
            let fate = self.run(simulator(bug), bug.words)?;
            self.restore(bug)?;
            match fate {
                Fate::Caught(seed, promise) => tell(bug.name, seed + 1, &promise, begin),
                Fate::Survived => {
                    survivors += 1;
                    tell(bug.name, SEEDS, "SURVIVED", begin);
                }
            }
        }
        Ok(survivors)
    }

    /// Prints how often each situation came to pass.
    fn situations(&self) -> io::Result<()> {
        let ran = Command::new(self.home.join("target/release").join(HALLWAY_SIM))
            .args(["--from", "0", "--seeds", &SITUATION_SEEDS.to_string()])
            .arg("--situations")
            .output()?;
        println!("{}", text(&ran));
        match ran.status.success() {
            true => Ok(()),
            false => Err(io::Error::other("some situations never came to pass")),
        }
    }

    /// Builds a simulator and runs it, with these words besides.
    fn run(&self, simulator: &str, words: &[&str]) -> io::Result<Fate> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "--offline", "--release"])
            .args(["--bin", simulator])
            .args([
                "--config",
                "build.rustflags=['-Awarnings', '--cfg=situations']",
            ])
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            // Whatever holds where the other things are built: here all is built again and again.
            .env_remove("CARGO_INCREMENTAL")
            .current_dir(self.home.join("tests"));
        let built = cargo.output()?;
        if !built.status.success() {
            return Err(io::Error::other(text(&built)));
        }
        let ran = Command::new("timeout")
            .arg(RUN_SECONDS_MAX)
            .arg(self.home.join("target/release").join(simulator))
            .args(["--from", "0", "--seeds", &SEEDS.to_string()])
            .args(words)
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

    fn copy_file(&self, file: &str) -> io::Result<()> {
        self.write(file, &fs::read_to_string(self.origin.join(file))?)
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.home.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)
    }
}

/// The simulator that is to find a bug.
fn simulator(bug: &Bug) -> &'static str {
    match bug.folder {
        "delivery" => SIM,
        "spool" => SPOOL_SIM,
        _ => HALLWAY_SIM,
    }
}

/// A line of the table, with the time since `begin`.
fn tell(bug: &str, seeds: u32, promise: &str, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    println!("{bug:<36} {seeds:>5}  {promise:<28} {seconds:>7.1}");
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
