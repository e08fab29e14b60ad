//! What calls cost, seen by the clocks of threads and of the process.

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use alloc_tracker::{Operation, Session};
use rustix::time::{ClockId, clock_gettime};

use crate::event::{Around, Call};
use crate::running::{Result, Running};

/// Calls of each thread before its measured ones: what is made on first use is there then.
const WARM_CALLS: u64 = 5_000;

/// Calls of a thread in a row, when they are paced.
const BURST: u64 = 10;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) threads: u64,
    /// Of all threads.
    pub(crate) calls: u64,
    /// Ten calls a millisecond, of all threads together, instead of one after the other.
    pub(crate) is_paced: bool,
    /// Each call is timed, which adds 25 ns to it.
    pub(crate) is_timed: bool,
}

/// Of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) caller_ns: f64,
    pub(crate) process_ns: f64,
    pub(crate) caller_allocations: f64,
    pub(crate) process_allocations: f64,
    pub(crate) p999_ns: f64,
}

/// What one thread saw.
#[derive(Default)]
struct Seen {
    /// CPU time of its calls.
    calls_ns: u64,
    /// And with its pauses.
    all_ns: u64,
    times: Vec<u32>,
}

/// Calls from all threads, and waits until all that was logged is through.
pub(crate) fn measure(running: &mut Running, load: Load) -> Result<Cost> {
    let session = Session::new();
    let (of_callers, of_process) = (session.operation("callers"), session.operation("process"));
    let all_seen = Mutex::new(Vec::new());
    let (warm, ready) = (
        Barrier::new(load.threads as usize + 1),
        Barrier::new(load.threads as usize + 1),
    );
    let (call, around) = (running.call, running.around);
    let mut started = 0;
    let mut counted = None;
    let settled = thread::scope(|scope| {
        for thread in 0..load.threads {
            let (warm, ready, of_callers, all_seen) = (&warm, &ready, &of_callers, &all_seen);
            scope.spawn(move || {
                let seen = one_thread(thread, load, (call, around), (warm, ready), of_callers);
                let mut all = all_seen.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(seen);
            });
        }
        warm.wait();
        let settled = running.settle(WARM_CALLS * load.threads);
        started = cpu_ns(ClockId::ProcessCPUTime);
        counted = Some(of_process.measure_process());
        ready.wait();
        settled
    });
    settled?;
    running.settle((WARM_CALLS + load.calls / load.threads) * load.threads)?;
    drop(counted);
    let process = cpu_ns(ClockId::ProcessCPUTime) - started;
    let seen = all_seen
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(cost(seen, process, load, &session))
}

fn one_thread(
    thread: u64,
    load: Load,
    (call, around): (Call, Around),
    (warm, ready): (&Barrier, &Barrier),
    allocations: &Operation,
) -> Seen {
    let calls = load.calls / load.threads;
    let first = thread * calls;
    let mut seen = Seen::default();
    if load.is_timed {
        seen.times.reserve_exact(calls as usize);
    }
    around(&mut || {
        (0..WARM_CALLS).for_each(call);
        warm.wait();
        ready.wait();
        let started = cpu_ns(ClockId::ThreadCPUTime);
        let counted = allocations.measure_thread();
        if load.is_paced {
            paced(first, calls, load, call, &mut seen);
        } else {
            flat_out(first, calls, load, call, &mut seen);
        }
        drop(counted);
        seen.all_ns = cpu_ns(ClockId::ThreadCPUTime) - started;
    });
    seen
}

fn flat_out(first: u64, calls: u64, load: Load, call: Call, seen: &mut Seen) {
    let started = cpu_ns(ClockId::ThreadCPUTime);
    if load.is_timed {
        timed(first, calls, call, seen);
    } else {
        (first..first + calls).for_each(call);
    }
    seen.calls_ns = cpu_ns(ClockId::ThreadCPUTime) - started;
}

fn paced(first: u64, calls: u64, load: Load, call: Call, seen: &mut Seen) {
    let pause = Duration::from_millis(load.threads);
    let mut next = Instant::now();
    for burst in (first..first + calls).step_by(BURST as usize) {
        next += pause;
        // A service's calls come by the clock: that is what is measured here.
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let calls = BURST.min(first + calls - burst);
        let started = cpu_ns(ClockId::ThreadCPUTime);
        if load.is_timed {
            timed(burst, calls, call, seen);
        } else {
            (burst..burst + calls).for_each(call);
        }
        seen.calls_ns += cpu_ns(ClockId::ThreadCPUTime) - started;
    }
}

/// One reading of the clock a call: the end of one is the begin of the next.
fn timed(first: u64, calls: u64, call: Call, seen: &mut Seen) {
    let mut before = Instant::now();
    for number in first..first + calls {
        call(number);
        let after = Instant::now();
        let time = (after - before).as_nanos();
        seen.times.push(u32::try_from(time).unwrap_or(u32::MAX));
        before = after;
    }
}

/// What the pauses of callers cost is no cost of logging.
fn cost(seen: Vec<Seen>, process: u64, load: Load, session: &Session) -> Cost {
    let calls_ns: u64 = seen.iter().map(|seen| seen.calls_ns).sum();
    let all_ns: u64 = seen.iter().map(|seen| seen.all_ns).sum();
    let mut times: Vec<u32> = seen.into_iter().flat_map(|seen| seen.times).collect();
    times.sort_unstable();
    let calls = load.calls as f64;
    let report = session.to_report();
    let allocations = |name: &str| {
        let mut operations = report.operations();
        let found = operations.find(|(known, _)| *known == name);
        found.map_or(0.0, |(_, it)| it.total_allocations_count() as f64 / calls)
    };
    Cost {
        caller_ns: calls_ns as f64 / calls,
        process_ns: (process + calls_ns).saturating_sub(all_ns) as f64 / calls,
        caller_allocations: allocations("callers"),
        process_allocations: allocations("process"),
        p999_ns: times
            .get(times.len() * 999 / 1000)
            .map_or(f64::NAN, |it| f64::from(*it)),
    }
}

fn cpu_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
