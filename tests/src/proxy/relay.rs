//! [`Relay`]: one connection, in both directions.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;

use super::plan::{Fault, Plan};
use super::stop::Stop;
use crate::wire::read_frame_as_it_came;

/// Bytes of a piece of requests at the most.
const PIECE_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Relay {
    client: TcpStream,
    agent: TcpStream,
    plan: Plan,
    /// That came from the agent.
    answers: AtomicUsize,
}

impl Relay {
    pub(super) fn new(client: TcpStream, agent: TcpStream, plan: Plan) -> Self {
        for stream in [&client, &agent] {
            // A socket that has just ended says no to this, and to all that follows.
            let _ = stream.set_nodelay(true);
        }
        Self {
            client,
            agent,
            plan,
            answers: AtomicUsize::new(0),
        }
    }

    /// Ends both sides this far, which ends both threads.
    pub(super) fn close(&self, how: Shutdown) {
        for stream in [&self.client, &self.agent] {
            // One that has ended already is as good.
            let _ = stream.shutdown(how);
        }
    }

    fn fault(&self) -> Option<Fault> {
        self.plan.fault_after(self.answers.load(Ordering::SeqCst))
    }

    /// From the client to the agent, until one of them ends.
    pub(super) fn pass_requests(&self, stop: &Stop) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            if self.fault() == Some(Fault::Hold) {
                // Not read, either: the client's socket fills up.
                stop.wait();
                return Ok(());
            }
            let length = (&self.client).read(&mut piece)?;
            let bytes = piece.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                return self.agent.shutdown(Shutdown::Write);
            }
            match self.fault() {
                Some(Fault::Hold) => {}
                Some(Fault::Delay(time)) => {
                    stop.wait_for(time);
                    (&self.agent).write_all(bytes)?;
                }
                Some(Fault::Slices) => in_slices(&self.agent, bytes)?,
                _ => (&self.agent).write_all(bytes)?,
            }
        }
    }

    /// From the agent to the client, until one of them ends.
    pub(super) fn pass_answers(&self, stop: &Stop) -> io::Result<()> {
        let passed = self.try_pass_answers(stop);
        if passed.is_err() {
            // What has come before still arrives.
            let _ = self.client.shutdown(Shutdown::Write);
        }
        passed
    }

    fn try_pass_answers(&self, stop: &Stop) -> io::Result<()> {
        let (mut client, mut before) = (&self.client, Vec::new());
        loop {
            if self.fault() == Some(Fault::Hold) {
                stop.wait();
                return Ok(());
            }
            let answer = read_frame_as_it_came(&mut &self.agent)?;
            match self.fault() {
                Some(Fault::Delay(time)) => {
                    stop.wait_for(time);
                    client.write_all(&answer)?;
                }
                Some(Fault::Reset) => return self.reset(),
                Some(Fault::HalfClose) => {
                    client.shutdown(Shutdown::Write)?;
                    return io::copy(&mut &self.agent, &mut io::sink()).map(drop);
                }
                Some(Fault::Slices) => in_slices(client, &answer)?,
                Some(Fault::FlippedBit(seed)) => {
                    client.write_all(&with_flipped_bit(&answer, self.random(seed)))?;
                }
                Some(Fault::CutAnswer) => {
                    client.write_all(answer.get(..answer.len() / 2).unwrap_or_default())?;
                    self.close(Shutdown::Both);
                    return Ok(());
                }
                Some(Fault::ReplayedAnswer) => {
                    client.write_all(&[&answer[..], &before].concat())?;
                }
                Some(Fault::Garbage(seed)) => {
                    let mut garbage = answer.clone();
                    self.random(seed).fill(&mut garbage);
                    client.write_all(&garbage)?;
                }
                Some(Fault::Hold) | None => client.write_all(&answer)?,
            }
            before = answer;
            self.answers.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Each answer has its own draws.
    fn random(&self, seed: u64) -> Rng {
        let answers = self.answers.load(Ordering::SeqCst) as u64;
        Rng::with_seed(seed.wrapping_add(answers))
    }

    /// The client meets a reset when the last of the two threads has let go of its socket.
    fn reset(&self) -> io::Result<()> {
        let at_once = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&self.client, at_once)?;
        // Tells the client nothing, and ends the other thread.
        self.client.shutdown(Shutdown::Read)?;
        self.agent.shutdown(Shutdown::Both)
    }
}

fn in_slices(mut to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| to.write_all(&[*byte]))
}

fn with_flipped_bit(answer: &[u8], mut random: Rng) -> Vec<u8> {
    let mut spoiled = answer.to_vec();
    let bit = random.usize(..8 * answer.len());
    if let Some(byte) = spoiled.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    spoiled
}
