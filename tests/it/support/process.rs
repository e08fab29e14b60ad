//! What this process uses.

use std::fs;

/// Threads of this process.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Open files and sockets of this process.
pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident memory of this process.
pub(crate) fn resident_bytes() -> usize {
    flume_tests::resident_bytes(std::process::id()).unwrap() as usize
}

/// Likewise, without what is part of a file.
pub(crate) fn anonymous_bytes() -> usize {
    flume_tests::anonymous_bytes(std::process::id()).unwrap() as usize
}

/// How often the client's threads went to sleep so far, and how long they ran.
pub(crate) fn effort() -> (u64, u64) {
    let mut sums = (0, 0);
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        let read = |file| fs::read_to_string(task.join(file)).unwrap();
        let (status, stat) = (read("status"), read("stat"));
        if !status.contains("flume-") {
            continue;
        }
        let mut lines = status.lines();
        let switches = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sums.0 += switches.unwrap().trim().parse::<u64>().unwrap();
        // In user and in system mode: the 14th and 15th field, the 2nd is the name.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ran = fields.skip(11).take(2);
        sums.1 += ran.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
    }
    sums
}
