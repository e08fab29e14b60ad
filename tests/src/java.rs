//! Java and Maven on this machine, and the jars and classes of a Flume version.
//!
//! Everything lands under `<target directory>/flume/<version>/`:
//!
//! | path | holds |
//! |---|---|
//! | `lock` | the file whose lock lets one process at a time resolve or compile |
//! | `lib/` | the jars |
//! | `resolved` | written last: a copy of the pom the jars were resolved from |
//! | `classes/` | what `javac` made of our own sources |

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::{HarnessError, Result, wait_until};

/// Long enough for a cold Maven repository on a slow line.
const MAVEN_TIMEOUT: Duration = Duration::from_secs(900);
const JAVAC_TIMEOUT: Duration = Duration::from_secs(120);
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);
const JAVA_MAJOR_MIN: u32 = 17;

/// A release of Apache Flume the tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// 1.11.0: Netty 4, a pool of threads per source, replies out of order when pipelined.
    V1_11,
    /// 1.9.0: Netty 3, replies in order.
    V1_9,
}

impl Version {
    /// Every version, newest first.
    pub const ALL: [Self; 2] = [Self::V1_11, Self::V1_9];

    fn number(self) -> &'static str {
        match self {
            Self::V1_11 => "1.11.0",
            Self::V1_9 => "1.9.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

/// Says whether Java and Maven can be used here; asks them once per process.
///
/// # Errors
///
/// What is missing, when something is.
pub fn java_available() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(probe).clone()
}

/// Whether tests that need Java can run here. A test that gets `false` returns at once.
///
/// # Panics
///
/// With `CI=true` in the environment and something missing: a skip that could have run is a
/// failure.
#[must_use]
pub fn require_java() -> bool {
    let Err(missing) = java_available() else {
        return true;
    };
    let message = format!(
        "needs Java 17 and Maven: {missing}. \
         Install them with `apt-get install openjdk-17-jdk-headless maven` \
         or `brew install openjdk@17 maven`"
    );
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{message} (with CI=true, a skip that could have run is a failure)"
    );
    // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
    writeln!(io::stderr(), "SKIPPED: this test {message}").expect("stderr takes a line");
    false
}

/// The class path entry with all jars of `version`; resolves them on first use.
pub(crate) fn jars(version: Version) -> Result<PathBuf> {
    let home = home(version)?;
    let _lock = lock(&home)?;
    resolve(version, &home)
}

/// Compiles a source file of `interop/java/` and returns the class path to run it with.
pub(crate) fn compile(version: Version, source: &str) -> Result<String> {
    let home = home(version)?;
    let _lock = lock(&home)?;
    let jars = resolve(version, &home)?;
    let source = manifest_dir().join("interop/java").join(source);
    let classes = home.join("classes");
    let class = classes.join(
        source
            .with_extension("class")
            .file_name()
            .unwrap_or_default(),
    );
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    if modified(&class).is_none_or(|compiled| Some(compiled) <= modified(&source)) {
        let mut javac = Command::new("javac");
        javac
            .arg("-cp")
            .arg(&jars)
            .arg("-d")
            .arg(&classes)
            .arg(&source);
        run(&mut javac, JAVAC_TIMEOUT)?;
    }
    Ok(format!("{}:{}", classes.display(), jars.display()))
}

/// Runs a command to its end and returns its standard output; kills it after `timeout`.
pub(crate) fn run(command: &mut Command, timeout: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let doing = |e: io::Error| HarnessError::doing(format!("running {name}"), e);
    // Files, not pipes: a full pipe would block the child while we only look whether it ended.
    let mut output = tempfile::tempfile().map_err(doing)?;
    let mut errors = tempfile::tempfile().map_err(doing)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(doing)?)
        .stderr(errors.try_clone().map_err(doing)?)
        .spawn()
        .map_err(doing)?;
    let mut ended = None;
    let in_time = wait_until(&format!("the end of {name}"), timeout, || {
        ended = child.try_wait().transpose();
        ended.is_some()
    });
    if in_time.is_err() {
        child.kill().and_then(|()| child.wait()).map_err(doing)?;
    }
    let output = text(&mut output).map_err(doing)?;
    let errors = text(&mut errors).map_err(doing)?;
    match ended.transpose().map_err(doing)? {
        Some(status) if status.success() => Ok(output),
        status => {
            let ending = status.map_or_else(|| "timeout".to_owned(), |s| s.to_string());
            Err(HarnessError::new(format!(
                "{name} ended with {ending}\n{output}\n{errors}"
            )))
        }
    }
}

fn probe() -> Result<(), String> {
    let version = |program: &str, option: &str| {
        run(Command::new(program).arg(option), PROBE_TIMEOUT).map_err(|e| {
            format!(
                "`{program} {option}` does not run ({})",
                e.to_string().trim()
            )
        })
    };
    version("java", "--version")?;
    // "javac 17.0.15"
    let compiler = version("javac", "--version")?;
    let major = compiler
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < JAVA_MAJOR_MIN) {
        return Err(format!("found only {:?}", compiler.trim()));
    }
    version("mvn", "--version").map(drop)
}

fn resolve(version: Version, home: &Path) -> Result<PathBuf> {
    let pom = manifest_dir().join("interop/pom/pom.xml");
    let lib = home.join("lib");
    let marker = home.join("resolved");
    let doing = |e: io::Error| HarnessError::doing(format!("resolving Flume {version}"), e);
    let wanted = fs::read(&pom).map_err(doing)?;
    if fs::read(&marker).ok().as_deref() != Some(&wanted) {
        // Jars of an older pom, or of a run that was cut short, would stay on the class path.
        if lib.exists() {
            fs::remove_dir_all(&lib).map_err(doing)?;
        }
        let mut maven = Command::new("mvn");
        maven
            .args(["-q", "-B", "-f"])
            .arg(&pom)
            .arg("dependency:copy-dependencies");
        maven.arg(format!("-Dflume.version={version}"));
        maven.arg(format!("-DoutputDirectory={}", lib.display()));
        run(&mut maven, MAVEN_TIMEOUT)?;
        fs::write(&marker, &wanted).map_err(doing)?;
    }
    Ok(lib.join("*"))
}

/// `<target directory>/flume/<version>`.
fn home(version: Version) -> Result<PathBuf> {
    let home = target_dir()?.join("flume").join(version.number());
    fs::create_dir_all(&home).map_err(|e| HarnessError::doing(home.display(), e))?;
    Ok(home)
}

/// Held until the returned file is dropped.
fn lock(home: &Path) -> Result<File> {
    let path = home.join("lock");
    let doing = |e: io::Error| HarnessError::doing(format!("locking {}", path.display()), e);
    let file = File::create(&path).map_err(doing)?;
    file.lock().map_err(doing)?;
    Ok(file)
}

/// Cargo marks its target directory, and this executable lies in it. That beats
/// `CARGO_TARGET_DIR`, which may be relative to a directory we do not know.
fn target_dir() -> Result<PathBuf> {
    let here = env::current_exe().map_err(|e| HarnessError::doing("own executable", e))?;
    let marked = here
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file());
    marked
        .map(Path::to_path_buf)
        .or_else(|| env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
        .ok_or_else(|| HarnessError::new(format!("no target directory above {}", here.display())))
}

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
