//! Where events wait on their way from callers to agents, and what tells whom that they move on.
//!
//! | file | holds |
//! |---|---|
//! | [`intake`](Intake), [`state`](IntakeState) | where callers and the takers of events meet, under one short lock |
//! | `lane` | the events of one level |
//! | [`chunk`](Chunk) | events on their way |
//! | [`room`](Room) | when events go to the disk, and the spool's room as far as `append` must know it |
//! | [`handover`](Handover) | what committer and sender tell each other |
//! | [`opened_spool`](OpenedSpool) | what lies in a spool when it is opened |
//! | [`unacked`](Unacked) | the sender's events, until they are retired |
//! | [`receipt`](Receipt), `receipts` | what became of one event, and who is told |
//! | [`awaited`](Awaited) | for which events somebody waits until an agent has them |
//! | [`stored`](Stored) | up to where events are stored, and who waits for that |
//! | [`request`](Request) | what is asked of the sender |
//! | [`oneshot`](Ticket), [`blocking`](BlockingThread), [`wakeup`] | one value for one waiter; work that may block; how callers are woken |
//! | [`life`](Guard) | how the threads end, together |
//!
//! No thread's own work is here, and no socket or file: see the committer and the sender.

mod awaited;
mod blocking;
mod chunk;
mod handover;
mod intake;
mod lane;
mod life;
mod oneshot;
mod opened_spool;
mod receipt;
mod receipts;
mod request;
mod room;
mod state;
mod stored;
mod turn;
mod unacked;
pub(crate) mod wakeup;

pub(crate) use blocking::BlockingThread;
#[cfg(feature = "hallway")]
pub(crate) use blocking::Work;
pub(crate) use chunk::{Chunk, Part};
pub(crate) use handover::{Handover, Next, Retirements};
pub(crate) use intake::Intake;
pub(crate) use life::Guard;
pub(crate) use oneshot::{Promise, Ticket, Waited, oneshot};
pub(crate) use opened_spool::OpenedSpool;
pub use receipt::{Ack, Delivered, Receipt};
pub(crate) use request::Request;
pub(crate) use room::{Amount, Beginning, CommitReport, Room};
pub(crate) use state::IntakeState;
pub use stored::Stored;
pub(crate) use stored::{DurableMark, Unpark};
pub(crate) use turn::Turn;
pub(crate) use unacked::Unacked;
