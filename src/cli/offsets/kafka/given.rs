//! Positions as they are typed: `0=1200`, or `web:0=1200` where there are several topics.

use std::collections::BTreeSet;

use frazil::source::kafka::{Cluster, Partition, Seek};

use crate::cli::exit::Failure;

/// Partitions that an error names one by one.
const NAMED_MAX: usize = 20;

/// One position as it was typed.
#[derive(Debug, PartialEq, Eq)]
struct Typed<'a> {
    topic: Option<&'a str>,
    number: i32,
    offset: u64,
}

/// The positions that were typed, in the order of the partitions that there are.
///
/// # Errors
/// No position, an unknown or ambiguous partition, or one that is named twice; the message lists those that there are.
pub(super) fn positions(
    texts: &[String],
    known: &[Partition],
) -> Result<Vec<Option<u64>>, Failure> {
    let topics: BTreeSet<&str> = known.iter().map(|one| &*one.topic).collect();
    let mut positions = vec![None; known.len()];
    for text in texts {
        let wrong = |why: &str| {
            Failure::usage(format!("set position `{text}`"))
                .because(why.to_owned())
                .next(listed(known, topics.len() > 1))
        };
        let typed = parse(text).ok_or_else(|| {
            wrong("it is not a partition's number, `=` and an offset, as in 0=1200 or web:0=1200")
        })?;
        if typed.topic.is_none() && topics.len() > 1 {
            return Err(wrong("the dataset has several topics, so it must name one"));
        }
        let is_it = |one: &Partition| {
            one.number == typed.number && typed.topic.is_none_or(|topic| *topic == *one.topic)
        };
        let at = known
            .iter()
            .position(is_it)
            .ok_or_else(|| wrong("there is no such partition"))?;
        if positions[at].replace(typed.offset).is_some() {
            return Err(wrong("the partition is named twice"));
        }
    }
    Ok(positions)
}

fn parse(text: &str) -> Option<Typed<'_>> {
    let (partition, offset) = text.split_once('=')?;
    let (topic, number) = match partition.rsplit_once(':') {
        Some((topic, number)) => (Some(topic), number),
        None => (None, partition),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    if !is_number(number) || !is_number(offset) {
        return None;
    }
    Some(Typed {
        topic,
        number: number.parse().ok()?,
        offset: offset.parse().ok()?,
    })
}

/// The partitions that there are, as they are typed.
fn listed(known: &[Partition], with_topics: bool) -> String {
    let name = |one: &Partition| {
        if with_topics {
            format!("{}:{}", one.topic, one.number)
        } else {
            one.number.to_string()
        }
    };
    let names: Vec<String> = known.iter().take(NAMED_MAX).map(name).collect();
    let more = match known.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.as_slice() {
        [] => "the topics have no partitions".to_owned(),
        names => format!("the partitions are {}{more}", names.join(", ")),
    }
}

/// Refuses positions that the topic does not hold: a writer would stop at them.
///
/// # Errors
/// As above, or a cluster that does not answer.
pub(super) fn are_held(
    positions: &[Option<u64>],
    partitions: &[Partition],
    cluster: &dyn Cluster,
) -> anyhow::Result<()> {
    let asked = partitions.iter().zip(positions);
    let (names, wanted): (Vec<Partition>, Vec<u64>) = asked
        .filter_map(|(partition, position)| Some((partition.clone(), (*position)?)))
        .unzip();
    let first = cluster.offsets(&names, Seek::Earliest)?;
    let end = cluster.offsets(&names, Seek::Latest)?;
    for ((partition, wanted), (first, end)) in names.iter().zip(wanted).zip(first.iter().zip(end)) {
        if !(*first..=end).contains(&wanted) {
            return Err(
                Failure::usage(format!("set {partition} to offset {wanted}"))
                    .because(format!("the topic holds {first} to {end}"))
                    .into(),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(names: &[(&str, i32)]) -> Vec<Partition> {
        let partition = |(topic, number): &(&str, i32)| Partition {
            topic: (*topic).into(),
            number: *number,
        };
        names.iter().map(partition).collect()
    }

    fn given(texts: &[&str], known: &[Partition]) -> Result<Vec<Option<u64>>, String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        positions(&texts, known).map_err(|error| crate::cli::exit::render(&error.into()))
    }

    #[test]
    fn positions_are_found_by_number_and_where_needed_by_topic() {
        let one = partitions(&[("web", 0), ("web", 1), ("web", 3)]);
        let told = given(&["3=77", "web:0=1200"], &one).unwrap();
        assert_eq!(told, [Some(1_200), None, Some(77)]);
        let two = partitions(&[("web", 0), ("shop.web", 0)]);
        assert_eq!(given(&["shop.web:0=5"], &two).unwrap(), [None, Some(5)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_partitions_that_there_are() {
        let one = partitions(&[("web", 0), ("web", 1)]);
        for (text, why) in [
            ("2=5", "no such partition"),
            ("shop:0=5", "no such partition"),
            ("0", "0=1200"),
            ("0=", "0=1200"),
            ("0=-5", "0=1200"),
            ("+0=5", "0=1200"),
            ("zero=5", "0=1200"),
            ("0=99999999999999999999", "0=1200"),
        ] {
            let told = given(&[text], &one).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
            assert!(told.contains("the partitions are 0, 1"), "{text}: {told}");
        }
        let twice = given(&["0=1", "0=2"], &one).unwrap_err();
        assert!(twice.contains("named twice"), "{twice}");
        let two = partitions(&[("web", 0), ("shop", 0)]);
        let told = given(&["0=5"], &two).unwrap_err();
        assert!(told.contains("web:0, shop:0"), "{told}");
    }
}
