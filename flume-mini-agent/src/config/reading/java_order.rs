//! The order in which Java walks through a `HashSet` of strings.
//!
//! Flume keeps a source's channels and a group's sinks in hash sets before it makes lists of them.
//! So their order in the file does not count, and with `channels = c1 c2 c3` an event is committed
//! to `c3` first. The order decides which channels already hold a batch that then fails, so it is
//! rebuilt here. Sources: Flume's `FlumeConfiguration.validateSources` and `validGroupSinks`,
//! `java.util.HashMap`.
//!
//! Not here: buckets of 8 names and more, which Java turns into trees.

const TABLE_LENGTH_MIN: usize = 16;

/// As iterated by `new HashSet<>(names)`.
pub(super) fn copied(names: &[String]) -> Vec<String> {
    // The set is made for n / 0.75 + 1 entries and rounds up to a power of two.
    let room = names.len().saturating_mul(4) / 3 + 1;
    in_table(names, room.next_power_of_two().max(TABLE_LENGTH_MIN))
}

/// As iterated by a `new HashSet<>()` to which `names` were added one by one.
pub(super) fn grown(names: &[String]) -> Vec<String> {
    let mut length = TABLE_LENGTH_MIN;
    while names.len() > length / 4 * 3 {
        length *= 2;
    }
    in_table(names, length)
}

fn in_table(names: &[String], length: usize) -> Vec<String> {
    let mut ordered = names.to_vec();
    // A stable sort: names in one bucket stay as they were added.
    ordered.sort_by_key(|name| spread(hash(name)) as usize & (length - 1));
    ordered
}

/// `String.hashCode`.
fn hash(name: &str) -> u32 {
    let units = name.encode_utf16();
    units.fold(0, |hash, unit| {
        u32::wrapping_add(hash.wrapping_mul(31), u32::from(unit))
    })
}

/// `HashMap` mixes the upper half in before it takes the lower bits.
fn spread(hash: u32) -> u32 {
    hash ^ (hash >> 16)
}
