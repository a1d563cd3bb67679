//! What somebody probably meant: the nearest known word to a misspelt one.

/// The candidate nearest to `word`, if it is near enough to be a slip of the fingers: at most one
/// edit in three letters. Case and `-` for `_` count as nothing.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no slip of a known key, and distance is quadratic in the length.
    const WORD_CHARS_MAX: usize = 64;
    if word.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    let written = word;
    let word = fold(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = fold(candidate);
            let length = word.chars().count().max(folded.chars().count());
            let distance = distance(&word, &folded);
            (distance <= (length / 3).max(1) && distance < length).then_some((distance, candidate))
        })
        // Of `Host` and `host`, `hots` is the latter.
        .min_by_key(|(near, candidate)| (*near, distance(written, candidate)))
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && l == right[j - 1] && left[i - 1] == r {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = last;
        last = row;
    }
    last[right.len()]
}

/// `` `a`, `b` and `c` ``, for messages.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_mended_and_another_word_is_not() {
        let known = ["columns", "partition_by", "table", "format"];
        for (word, expected) in [
            ("colums", Some("columns")),
            ("Columns", Some("columns")),
            ("partition-by", Some("partition_by")),
            ("partitioned_by", Some("partition_by")),
            ("tabel", Some("table")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), known), None);
        assert_eq!(
            nearest("x", ["y"]),
            None,
            "a word of one letter is no slip of another"
        );
    }

    #[test]
    fn swaps_are_one_edit() {
        assert_eq!(distance("tabel", "table"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(listed([]), "");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
