//! [`Names`]: the addresses of agents that are given by host name.
//!
//! The system's resolver may block for as long as it likes, or for ever, so it is asked on threads
//! that do nothing else. They are started once and kept, and sleep while nobody asks. Each name has
//! its thread, or shares one with others if there are more names than threads; a name is looked up
//! once at a time, however many wait for it.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::agent_url::AgentUrl;
use crate::queue::{BlockingThread, wakeup};
use crate::random;

/// How long an answer is used for who asks again. It may have come too late for who asked first,
/// while the resolver was busy with another name.
const ANSWER_FRESH: Duration = Duration::from_secs(5);

/// Looks up names. The clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    shared: Arc<Shared>,
}

pub(super) type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

#[derive(Debug)]
struct Shared {
    threads: Vec<BlockingThread>,
    look_up: LookUp,
    /// As many as agents with host names.
    names: Mutex<Vec<Name>>,
}

#[derive(Debug)]
struct Name {
    agent: AgentUrl,
    is_asked: bool,
    /// How many answers there were, and the last one.
    answers: u64,
    last: Option<(Instant, Answer)>,
    waiting: Vec<Waker>,
    /// Which address comes first next time.
    turn: usize,
}

/// An error is kept as it is told, for several who wait.
type Answer = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

impl Names {
    /// Starts the threads, `threads_max` at the most, and none if no agent has a host name.
    pub(crate) fn start(agents: &[AgentUrl], threads_max: usize) -> io::Result<Self> {
        Self::start_with(agents, threads_max, ask_system)
    }

    pub(super) fn start_with(
        agents: &[AgentUrl],
        threads_max: usize,
        look_up: LookUp,
    ) -> io::Result<Self> {
        let names: Vec<_> = agents.iter().filter(|agent| agent.is_name()).collect();
        let threads = (0..names.len().min(threads_max)).map(|_| BlockingThread::start("flume-dns"));
        let shared = Shared {
            threads: threads.collect::<io::Result<_>>()?,
            look_up,
            names: Mutex::new(names.into_iter().map(Name::new).collect()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The addresses of the agent's host, at the moment. Each time another one comes first, so that
    /// connections are spread over them.
    pub(super) async fn resolve(&self, agent: &AgentUrl) -> io::Result<Vec<SocketAddr>> {
        let Some((place, answers)) = self.ask(agent) else {
            return ask_system(agent.host(), agent.port());
        };
        let answer = poll_fn(|context| {
            let mut names = self.shared.lock();
            let Some(name) = names.get_mut(place) else {
                return Poll::Pending;
            };
            match name.answer_after(answers) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    let waker = context.waker();
                    if !name.waiting.iter().any(|known| known.will_wake(waker)) {
                        name.waiting.push(waker.clone());
                    }
                    Poll::Pending
                }
            }
        });
        let found = answer.await;
        let addresses = found.map_err(|(kind, told)| io::Error::new(kind, told))?;
        let mut names = self.shared.lock();
        Ok(match names.get_mut(place) {
            Some(name) => name.in_turn(addresses),
            None => addresses,
        })
    }

    /// Has the name looked up, unless that is under way. Says where it is, and how many answers
    /// there were before. `None` for an address, which needs no resolver.
    fn ask(&self, agent: &AgentUrl) -> Option<(usize, u64)> {
        let mut names = self.shared.lock();
        let place = names.iter().position(|name| name.agent == *agent)?;
        let name = names.get_mut(place)?;
        let answers = name.answers;
        if !name.is_asked && !name.is_fresh() {
            name.is_asked = true;
            drop(names);
            self.look_up(place, agent);
        }
        Some((place, answers))
    }

    fn look_up(&self, place: usize, agent: &AgentUrl) {
        let threads = &self.shared.threads;
        let Some(thread) = threads.get(place % threads.len().max(1)) else {
            return;
        };
        let (agent, shared) = (agent.clone(), Arc::downgrade(&self.shared));
        let look_up = self.shared.look_up;
        drop(thread.submit(move || {
            // Else the client has ended while others were looked up.
            if shared.strong_count() > 0 {
                let found = look_up(agent.host(), agent.port());
                answered(&shared, place, found);
            }
        }));
    }
}

fn answered(shared: &Weak<Shared>, place: usize, found: io::Result<Vec<SocketAddr>>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let mut names = shared.lock();
    let Some(name) = names.get_mut(place) else {
        return;
    };
    let answer = found.map_err(|error| (error.kind(), error.to_string()));
    name.is_asked = false;
    name.answers += 1;
    name.last = Some((Instant::now(), answer));
    let waiting = std::mem::take(&mut name.waiting);
    drop(names);
    wakeup::wake(waiting);
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    fn new(agent: &AgentUrl) -> Self {
        Self {
            agent: agent.clone(),
            is_asked: false,
            answers: 0,
            last: None,
            waiting: Vec::new(),
            // Else all clients would begin with the same one.
            turn: random::draw() as usize,
        }
    }

    fn is_fresh(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|(at, answer)| answer.is_ok() && at.elapsed() < ANSWER_FRESH)
    }

    /// These addresses, from another one on than the last time. Those of the kind, IPv4 or IPv6, that
    /// the resolver puts first stay first: it knows which one works from here.
    fn in_turn(&mut self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let is_first_kind = addresses.first().map(SocketAddr::is_ipv4);
        addresses.sort_by_key(|address| Some(address.is_ipv4()) != is_first_kind);
        let first = addresses.iter();
        let count = first
            .take_while(|address| Some(address.is_ipv4()) == is_first_kind)
            .count();
        if let Some(first) = addresses.get_mut(..count) {
            first.rotate_left(self.turn % count.max(1));
        }
        self.turn = self.turn.wrapping_add(1);
        addresses
    }

    /// The last answer, if more than `answers` came, or it is fresh.
    fn answer_after(&self, answers: u64) -> Option<Answer> {
        let (_, answer) = self.last.as_ref()?;
        (self.answers > answers || self.is_fresh()).then(|| answer.clone())
    }
}

fn ask_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if found.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    /// Asked for `hangs.test`, it does so until the process ends.
    fn resolver(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match host {
            "hangs.test" => loop {
                thread::park();
            },
            "none.test" => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
            _ => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
        }
    }

    fn names(urls: &[&str], threads_max: usize, look_up: LookUp) -> (Names, Vec<AgentUrl>) {
        let agents: Vec<AgentUrl> = urls.iter().map(|url| url.parse().unwrap()).collect();
        let names = Names::start_with(&agents, threads_max, look_up).unwrap();
        (names, agents)
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        crate::transport::ClientRuntime::new()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn a_name_that_is_never_answered_holds_up_no_other_that_has_a_thread() {
        let urls = ["avro://hangs.test:1", "avro://a.test:2", "avro://1.2.3.4:5"];
        let (names, agents) = names(&urls, 2, resolver);
        assert_eq!(names.shared.threads.len(), 2);
        assert!(names.ask(&agents[0]).is_some());
        let found = wait(names.resolve(&agents[1])).unwrap();
        assert_eq!(found, ["127.0.0.1:2".parse().unwrap()]);
        let found = wait(names.resolve(&agents[2])).unwrap();
        assert_eq!(found, ["1.2.3.4:5".parse().unwrap()]);
    }

    #[test]
    fn each_connection_begins_with_another_address_of_the_kind_that_the_resolver_prefers() {
        let found = ["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"];
        let found: Vec<SocketAddr> = found.iter().map(|it| it.parse().unwrap()).collect();
        let mut name = Name::new(&"avro://a.test:1".parse().unwrap());
        let mut orders: Vec<Vec<String>> = Vec::new();
        for _ in 0..3 {
            let order = name.in_turn(found.clone());
            orders.push(order.iter().map(ToString::to_string).collect());
        }
        orders.sort();
        let expected = [
            ["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"],
            ["[::2]:1", "[::3]:1", "[::1]:1", "10.0.0.1:1"],
            ["[::3]:1", "[::1]:1", "[::2]:1", "10.0.0.1:1"],
        ];
        assert_eq!(orders, expected);
    }

    #[test]
    fn agents_that_are_given_by_address_need_no_thread() {
        let (names, _) = names(&["avro://1.2.3.4:5", "avro://[::1]:5"], 3, resolver);
        assert!(names.shared.threads.is_empty());
    }

    #[test]
    fn an_error_is_told_to_everyone_who_waits_and_to_nobody_after() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let (names, agents) = names(&["avro://none.test:1"], 1, |host, port| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            resolver(host, port)
        });
        for asked in 1..3 {
            let error = wait(names.resolve(&agents[0])).unwrap_err();
            assert_eq!(error.to_string(), "no such name");
            assert_eq!(ASKED.load(Ordering::Relaxed), asked);
        }
    }

    #[test]
    fn an_answer_that_comes_too_late_is_there_for_who_asks_next() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let (names, agents) = names(&["avro://late.test:1"], 1, |host, port| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            resolver(host, port)
        });
        // Nobody waits for this.
        assert!(names.ask(&agents[0]).is_some());
        let has_come = || names.shared.lock()[0].answers == 1;
        while !has_come() {
            thread::yield_now();
        }
        assert!(wait(names.resolve(&agents[0])).is_ok());
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
    }
}
