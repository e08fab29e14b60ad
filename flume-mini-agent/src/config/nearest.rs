//! Which known name a misspelt one was probably meant to be.

/// Longer names are not compared: the work grows with the square of the length.
const LENGTH_MAX: usize = 64;

/// The known name nearest to `wanted`, if one is near enough to be worth naming.
pub(super) fn nearest<'k>(
    wanted: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    if wanted.len() > LENGTH_MAX {
        return None;
    }
    let folded = fold(wanted);
    let near = |name: &&str| {
        let distance = match fold(name) {
            // "directory" for "sink.directory".
            other if wanted.len() >= 4 && other.ends_with(&folded) => 0,
            // "prot" for "port".
            other if sorted(&folded) == sorted(&other) => 1,
            other => distance(&folded, &other),
        };
        (distance <= wanted.len().max(3) / 3).then_some(distance)
    };
    let known = known.into_iter().filter(|name| name.len() <= LENGTH_MAX);
    let candidates = known.filter_map(|name| near(&name).map(|distance| (distance, name)));
    candidates.min().map(|(_, name)| name.to_owned())
}

/// Case, hyphens, underscores and dots are what people get wrong most.
fn fold(name: &str) -> Vec<char> {
    let signs = |c: &char| !matches!(c, '-' | '_' | '.');
    name.chars()
        .filter(signs)
        .flat_map(char::to_lowercase)
        .collect()
}

fn sorted(letters: &[char]) -> Vec<char> {
    let mut letters = letters.to_vec();
    letters.sort_unstable();
    letters
}

/// Insertions, deletions and replacements that lead from one to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(from.len())
}
