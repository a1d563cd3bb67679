//! How an array along a column's path is shaped: which rows hold a value, and what the others lack.
//!
//! A column at the top that may be null is told by its validity alone. Inside structs, *definition
//! levels* count how much of the path there is; inside lists and maps, *repetition levels* tell which
//! entries begin a row. (Parquet's format, "Nested Encoding".)

use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::NullBuffer;

/// One step from a column towards what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// To a field of a struct.
    Field(usize),
    /// To the elements of a list, or the entries of a map.
    Elements,
}

/// The arrays along a path and their shape.
#[derive(Debug)]
pub(super) struct Walk {
    /// The array at the path's end.
    pub(super) leaf: ArrayRef,
    pub(super) shape: Shape,
}

/// Which entries of a batch hold a value of a column.
#[derive(Debug)]
pub(super) enum Shape {
    /// An entry a row: its value is that of the same row.
    Flat {
        /// Rows with a value; `None`: all.
        present: Option<NullBuffer>,
        /// Each row's definition level, where that is more than present or not.
        definition: Option<Vec<u8>>,
    },
    /// Several entries a row, or a single one that tells that there is none.
    Repeated(Entries),
}

/// The entries of a column inside lists or maps.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) repetition: Vec<u8>,
    pub(super) definition: Vec<u8>,
    /// Each entry's index in the array at hand, [`NONE`] where the path has ended before it.
    pub(super) index: Vec<u32>,
}

/// The index of an entry without a value.
pub(super) const NONE: u32 = u32::MAX;

/// Walks from a top-level array along `path`. `optional` says of the array and of what each step leads
/// to whether it may be null. `None` where the arrays are not of that shape.
pub(super) fn walk(top: &ArrayRef, path: &[Step], optional: &[bool]) -> Option<Walk> {
    if path.contains(&Step::Elements) {
        walk_entries(top, path, optional)
    } else {
        walk_rows(top, path, optional)
    }
}

fn field(array: &ArrayRef, index: usize) -> Option<ArrayRef> {
    array
        .as_any()
        .downcast_ref::<StructArray>()?
        .columns()
        .get(index)
        .cloned()
}

fn nulls(array: &ArrayRef) -> Option<NullBuffer> {
    array
        .nulls()
        .filter(|nulls| nulls.null_count() > 0)
        .cloned()
}

fn walk_rows(top: &ArrayRef, path: &[Step], optional: &[bool]) -> Option<Walk> {
    let mut leaf = top.clone();
    let mut along = Vec::with_capacity(optional.len());
    let mut optional = optional.iter();
    if *optional.next()? {
        along.push(nulls(&leaf));
    }
    for step in path {
        let Step::Field(index) = step else {
            return None;
        };
        leaf = field(&leaf, *index)?;
        if *optional.next()? {
            along.push(nulls(&leaf));
        }
    }
    let shape = match along.as_mut_slice() {
        [] => Shape::Flat {
            present: None,
            definition: None,
        },
        [one] => Shape::Flat {
            present: one.take(),
            definition: None,
        },
        several if several.iter().all(Option::is_none) => Shape::Flat {
            present: None,
            definition: None,
        },
        several => {
            let there = |nulls: &Option<NullBuffer>, row| {
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
            };
            let level = |row| several.iter().take_while(|nulls| there(nulls, row)).count() as u8;
            let definition: Vec<u8> = (0..top.len()).map(level).collect();
            let max = several.len() as u8;
            let present = definition.iter().map(|level| *level == max).collect();
            Shape::Flat {
                present: Some(present),
                definition: Some(definition),
            }
        }
    };
    Some(Walk { leaf, shape })
}

fn walk_entries(top: &ArrayRef, path: &[Step], optional: &[bool]) -> Option<Walk> {
    let rows = u32::try_from(top.len()).ok()?;
    let mut entries = Entries {
        repetition: vec![0; rows as usize],
        definition: vec![0; rows as usize],
        index: (0..rows).collect(),
    };
    let mut leaf = top.clone();
    let mut optional = optional.iter();
    let mut depth = 0;
    if *optional.next()? {
        entries.define(&leaf);
    }
    for step in path {
        leaf = match step {
            Step::Field(index) => field(&leaf, *index)?,
            Step::Elements => {
                depth += 1;
                let (offsets, elements) = elements(&leaf)?;
                entries = entries.expand(&offsets, depth);
                elements
            }
        };
        if *optional.next()? {
            entries.define(&leaf);
        }
    }
    Some(Walk {
        leaf,
        shape: Shape::Repeated(entries),
    })
}

/// The offsets of a list or map, and what they lead to.
fn elements(array: &ArrayRef) -> Option<(Vec<i32>, ArrayRef)> {
    if let Some(list) = array.as_any().downcast_ref::<ListArray>() {
        return Some((list.value_offsets().to_vec(), list.values().clone()));
    }
    let map = array.as_any().downcast_ref::<MapArray>()?;
    Some((
        map.value_offsets().to_vec(),
        std::sync::Arc::new(map.entries().clone()),
    ))
}

impl Entries {
    /// Goes one definition level on where the array has a value, and ends where it has none.
    fn define(&mut self, array: &ArrayRef) {
        let nulls = nulls(array);
        for (index, definition) in self.index.iter_mut().zip(&mut self.definition) {
            if *index == NONE {
                continue;
            }
            if nulls
                .as_ref()
                .is_some_and(|nulls| nulls.is_null(*index as usize))
            {
                *index = NONE;
            } else {
                *definition += 1;
            }
        }
    }

    /// Puts the elements of each list in its place; an empty list keeps an entry, which ends.
    fn expand(self, offsets: &[i32], depth: u8) -> Self {
        let elements = offsets.last().copied().unwrap_or(0) - offsets.first().copied().unwrap_or(0);
        let room = self.index.len() + elements as usize;
        let mut expanded = Self {
            repetition: Vec::with_capacity(room),
            definition: Vec::with_capacity(room),
            index: Vec::with_capacity(room),
        };
        for ((repetition, definition), index) in self
            .repetition
            .iter()
            .zip(&self.definition)
            .zip(&self.index)
        {
            let range = match *index {
                NONE => 0..0,
                index => offsets[index as usize]..offsets[index as usize + 1],
            };
            if range.is_empty() {
                expanded.push(*repetition, *definition, NONE);
                continue;
            }
            let mut repetition = *repetition;
            for element in range {
                expanded.push(repetition, definition + 1, element as u32);
                repetition = depth;
            }
        }
        expanded
    }

    fn push(&mut self, repetition: u8, definition: u8, index: u32) {
        self.repetition.push(repetition);
        self.definition.push(definition);
        self.index.push(index);
    }

    /// The entry after the last one of `rows` rows from the entry `from` on.
    pub(super) fn end_of_rows(&self, from: usize, rows: usize) -> usize {
        let mut end = from;
        for _ in 0..rows {
            end += 1;
            while self.repetition.get(end).is_some_and(|level| *level > 0) {
                end += 1;
            }
        }
        end
    }
}
