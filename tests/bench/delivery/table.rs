//! What a benchmark of rates prints: each way beside Java's client and the best replay of its batch
//! size.

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) batch: usize,
    pub(crate) is_java: bool,
    pub(crate) is_replay: bool,
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
        let same = || rows.iter().filter(|other| other.batch == row.batch);
        let java = same().find(|other| other.is_java);
        let replays = same().filter(|other| other.is_replay);
        let replay = replays.map(|other| other.rate).fold(f64::NAN, f64::max);
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
            "{name:<26} {batch:>6} {rate:>11.0} {cpu_micros:>10.2} {:>11.2}x {:>13.2}x {:>15.2}x  {note}",
            rate / java_rate,
            rate / replay,
            java_cpu / cpu_micros,
        );
    }
}
