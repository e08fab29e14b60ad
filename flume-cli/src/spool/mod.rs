//! `flume spool`: what a spool holds, whether it is sound, and ways out for its events.
//!
//! | file | holds |
//! |---|---|
//! | `source` | a spool that is looked at; nothing can be written to it |
//! | `examined` | all that was found in it |
//! | `finding` | what is wrong, in words and for scripts |
//! | `event` | an event as it is shown |
//! | `ls`, `show` | what is found: a line for each spool, and all of one |
//! | `drain` | its events, delivered |
//! | `elsewhere` | what lies beside one's own place in a directory |
//! | `export`, `avro_file`, `new_file` | its events as a file |
//! | `prune` | what of its files nobody needs |
//! | `problem` | why a command cannot do its work |
//! | `progress`, `table` | how things look |
//!
//! Each command is a file with its arguments and `run`; a new one is a variant of
//! [`SpoolCommand`].

mod avro_file;
mod drain;
mod elsewhere;
mod event;
mod examined;
mod export;
mod finding;
mod ls;
mod new_file;
mod problem;
mod progress;
mod prune;
mod show;
mod source;
mod table;

use std::path::Path;

use clap::{Args, Subcommand};
use flume_client::BuildError;

use self::drain::DrainArgs;
pub(crate) use self::elsewhere::{Elsewhere, is_taking_over};
use self::export::ExportArgs;
use self::ls::LsArgs;
use self::problem::Problem;
use self::prune::PruneArgs;
use self::show::ShowArgs;
use self::source::Spool;
use crate::exit::Exit;

/// Look into spools, and empty them: events on a disk that no agent has acknowledged yet.
///
/// A spool is a directory in which a service keeps events from `append` to the acknowledgement.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SpoolArgs {
    #[command(subcommand)]
    command: SpoolCommand,
}

#[derive(Debug, Subcommand)]
enum SpoolCommand {
    Ls(LsArgs),
    #[command(visible_alias = "verify")]
    Show(ShowArgs),
    Drain(DrainArgs),
    Export(ExportArgs),
    Prune(PruneArgs),
}

const HELP: &str = "\
ls, show and export never write into a spool and may look at one that is in use; what they tell may
then be in the middle of a change.

Exit codes:
    0  all went well
    1  something cannot be read or written, or there is no spool; drain delivers everything else
       first, unless no spool can be opened
    2  wrong usage
    4  drain delivered nothing: no agent could be used
    5  drain delivered a part, the rest is still in the spool
    6  a spool is damaged; what can be read of it was read
    7  a spool is in use by another process, and the command needs it for itself
  124  drain delivered nothing in time, and an agent still owed an answer
  130  interrupted by Ctrl-C, SIGTERM, or SIGHUP when the terminal goes";

/// Whether some segment of a spool cannot be read now, as far as its header tells.
pub(crate) fn is_any_unread(path: &Path) -> bool {
    let spool = Spool::find(path).ok().flatten();
    spool.is_some_and(|spool| spool.is_any_unread())
}

/// Tells the user why there is no client, for whoever needs one.
pub(crate) fn refuse(error: BuildError) -> Exit {
    Problem::from(error).tell()
}

pub(crate) fn run(args: &SpoolArgs) -> Exit {
    let done = match &args.command {
        SpoolCommand::Ls(args) => ls::run(args),
        SpoolCommand::Show(args) => show::run(args),
        SpoolCommand::Drain(args) => drain::run(args),
        SpoolCommand::Export(args) => export::run(args),
        SpoolCommand::Prune(args) => prune::run(args),
    };
    done.unwrap_or_else(|problem| problem.tell())
}
