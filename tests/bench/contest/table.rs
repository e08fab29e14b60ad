//! What a benchmark of rates prints: each way beside Java's client and the best replay of its batch
//! size.

/// Who delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    /// Flume's own client.
    Java,
    /// The bytes that our client sends, made before.
    Replay,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) batch: usize,
    pub(crate) who: Who,
    /// Events per second.
    pub(crate) rate: f64,
    /// Of the sender's CPU, per event.
    pub(crate) cpu_micros: f64,
    pub(crate) note: String,
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<26} {:>6} {:>11} {:>10} {:>12} {:>14} {:>16}",
        "", "batch", "events/s", "CPU us/ev", "rate / Java", "rate / replay", "CPU Java / this"
    );
    for row in rows {
        let same = |who| {
            let same = move |other: &&Row| other.batch == row.batch && other.who == who;
            rows.iter().filter(same)
        };
        let java = same(Who::Java).next();
        let replays = same(Who::Replay).map(|other| other.rate);
        let replay = replays.fold(f64::NAN, f64::max);
        let (java_rate, java_cpu) =
            java.map_or((f64::NAN, f64::NAN), |java| (java.rate, java.cpu_micros));
        let Row {
            name,
            batch,
            rate,
            cpu_micros,
            note,
            ..
        } = row;
        println!(
            "{name:<26} {batch:>6} {rate:>11.0} {cpu_micros:>10.2} {:>12} {:>14} {:>16}  {note}",
            times(rate / java_rate),
            times(rate / replay),
            times(java_cpu / cpu_micros),
        );
    }
}

/// A ratio; there is none to what was not measured.
fn times(ratio: f64) -> String {
    match ratio.is_nan() {
        true => "-".to_owned(),
        false => format!("{ratio:.2}x"),
    }
}
