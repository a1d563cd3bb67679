//! Which fields of a record are looked for, and which columns take them.

use arrow_schema::{DataType, FieldRef, SchemaRef};
use frazil_dataset::{
    Column, Dataset, FieldPath, FieldSource, Format, SpecialSource, UnknownFields,
};

use super::{DecoderError, names::Names, rows::special_name};
use crate::coerce::{Member, Target, TimeRule};

/// What a decoder fills, and from where.
#[derive(Debug)]
pub(super) struct Plan {
    /// The objects of a record that are looked into; the first is the record itself.
    pub(super) nodes: Vec<Node>,
    /// How many fields are looked for: the slots of a row.
    pub(super) slots: usize,
    /// The table's columns in its order, save the rescued one.
    pub(super) columns: Vec<ColumnPlan>,
    /// The table's schema.
    pub(super) schema: SchemaRef,
    /// The place of the rescued column.
    pub(super) rescued: Option<usize>,
    /// What becomes of other fields.
    pub(super) unknown_fields: UnknownFields,
}

/// An object that is looked into.
#[derive(Debug)]
pub(super) struct Node {
    /// The names of its fields.
    pub(super) names: Names,
    /// What becomes of each.
    pub(super) fields: Vec<NodeField>,
    /// Whether a name is an array's index, so that arrays are looked into as well.
    pub(super) indexed: bool,
}

/// A field that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeField {
    /// Where its value goes.
    pub(super) slot: u32,
    /// Up to here are the slots of the fields within it.
    pub(super) slots_end: u32,
    /// Whether a column takes it, and not only a field within it.
    pub(super) taken: bool,
    /// Whether a column takes all of it, so that nothing within it is left over.
    pub(super) whole: bool,
    /// The object within it that is looked into.
    pub(super) node: Option<u32>,
}

/// A column of the table.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) name: String,
    /// A record without a value for it is a dead letter.
    pub(super) required: bool,
    /// Where its value is looked for, in this order.
    pub(super) sources: Vec<Source>,
    /// What it is coerced into.
    pub(super) target: Target,
}

/// Where a value is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A field of the record.
    Field {
        slot: u32,
        /// The names that lead to it, itself the last.
        path: Vec<String>,
        /// Whether another column looks there, too.
        shared: bool,
        /// Of a struct: where its fields are.
        members: Vec<Member>,
    },
    /// What frazil knows of the record.
    Special(SpecialSource),
}

impl Plan {
    /// The plan for a dataset and its table.
    pub(super) fn new(dataset: &Dataset, schema: &SchemaRef) -> Result<Self, DecoderError> {
        let rescued = match &dataset.rescued {
            None => None,
            Some(name) => Some(rescued_column(name, schema)?),
        };
        let mut draft = Draft::default();
        let mut columns = Vec::new();
        for (place, field) in schema.fields().iter().enumerate() {
            if Some(place) == rescued {
                continue;
            }
            let definition = dataset.columns.iter().find(|one| one.name == *field.name());
            let sources = sources(dataset, definition, field.name());
            for source in &sources {
                if let Wanted::Field(path) = source {
                    draft.want(path, field.data_type());
                }
            }
            columns.push((field, definition, sources));
        }
        let mut nodes = Vec::new();
        let mut slots = 0;
        draft.settle(&mut nodes, &mut slots);
        let columns = columns
            .into_iter()
            .map(|(field, definition, wanted)| {
                let target = target(dataset, definition, field)?;
                let sources: Vec<Source> = wanted
                    .into_iter()
                    .map(|one| draft.source(one, field.data_type()))
                    .collect();
                for instant in [SpecialSource::IngestedAt, SpecialSource::Timestamp] {
                    let name = special_name(&instant);
                    if sources.contains(&Source::Special(instant)) && !target.takes_instants() {
                        return Err(DecoderError::NotATime {
                            column: field.name().clone(),
                            name,
                        });
                    }
                }
                Ok(ColumnPlan {
                    name: field.name().clone(),
                    required: !field.is_nullable() || definition.is_some_and(|one| one.required),
                    sources,
                    target,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            nodes,
            slots: slots as usize,
            columns,
            schema: schema.clone(),
            rescued,
            unknown_fields: dataset.unknown_fields,
        })
    }
}

fn rescued_column(name: &str, schema: &SchemaRef) -> Result<usize, DecoderError> {
    let found = schema.column_with_name(name);
    match found {
        Some((place, field)) if *field.data_type() == DataType::Utf8 => Ok(place),
        _ => Err(DecoderError::NoRescuedColumn {
            column: name.to_owned(),
        }),
    }
}

fn target(
    dataset: &Dataset,
    definition: Option<&Column>,
    field: &arrow_schema::Field,
) -> Result<Target, DecoderError> {
    let column = || field.name().clone();
    let parse = definition.and_then(|one| one.parse.as_ref());
    let timezone = definition.and_then(|one| one.timezone.as_deref());
    let time = TimeRule::new(parse, timezone).map_err(|timezone| {
        let column = column();
        DecoderError::UnknownTimezone { column, timezone }
    })?;
    let profile = definition.and_then(|one| one.coerce);
    let profile = profile.unwrap_or(dataset.profile);
    let stated = definition.map(|one| &one.column_type);
    Target::new(field, stated, profile, &time).map_err(|unsupported| {
        let column = column();
        DecoderError::UnsupportedType {
            column,
            unsupported,
        }
    })
}

/// A source before the slots are numbered.
#[derive(Debug)]
enum Wanted {
    Field(WantedField),
    Special(SpecialSource),
}

#[derive(Debug, Clone)]
struct WantedField {
    path: Vec<String>,
    /// Whether only a field of exactly this name will do.
    exact: bool,
}

/// Where a column's value is looked for.
fn sources(dataset: &Dataset, definition: Option<&Column>, name: &str) -> Vec<Wanted> {
    let own = |column: &Column| matches!(&column.from[..], [FieldSource::Field(path)] if !path.pointer && path.text == column.name);
    let by_itself = || dataset.columns.iter().filter(|column| own(column)).count() == 1;
    match definition {
        Some(column) if dataset.format == Format::Raw && own(column) && by_itself() => {
            vec![Wanted::Special(SpecialSource::Raw)]
        }
        Some(column) => column.from.iter().flat_map(wanted).collect(),
        None => vec![Wanted::Field(WantedField {
            path: vec![name.to_owned()],
            exact: false,
        })],
    }
}

/// The places that one entry of `from` means: the field of that name, then the path that its dots spell.
fn wanted(source: &FieldSource) -> Vec<Wanted> {
    let path = match source {
        FieldSource::Special(special) => return vec![Wanted::Special(special.clone())],
        FieldSource::Field(path) => path,
    };
    let FieldPath {
        text,
        steps,
        pointer,
    } = path;
    let by_steps = Wanted::Field(WantedField {
        path: steps.clone(),
        exact: *pointer,
    });
    if *pointer || steps.len() == 1 {
        return vec![by_steps];
    }
    let by_name = Wanted::Field(WantedField {
        path: vec![text.clone()],
        exact: true,
    });
    vec![by_name, by_steps]
}

/// The tree of wanted fields while it grows.
#[derive(Debug, Default)]
struct Draft {
    name: String,
    exact: bool,
    /// How many columns look here.
    takers: u32,
    /// Whether one of them takes all that is here.
    whole: bool,
    slot: u32,
    children: Vec<Draft>,
}

impl Draft {
    fn want(&mut self, field: &WantedField, data_type: &DataType) {
        let mut place = self;
        for name in &field.path {
            place = place.child_mut(name);
            place.exact &= field.exact;
        }
        place.take(data_type);
    }

    /// A column of a type looks here, a struct at the fields within.
    fn take(&mut self, data_type: &DataType) {
        self.takers += 1;
        let DataType::Struct(fields) = data_type else {
            self.whole = true;
            return;
        };
        for field in fields {
            let child = self.child_mut(field.name());
            child.exact = false;
            child.take(field.data_type());
        }
    }

    fn child_mut(&mut self, name: &str) -> &mut Self {
        let known = self.children.iter().position(|one| one.name == name);
        let index = known.unwrap_or_else(|| {
            self.children.push(Draft {
                name: name.to_owned(),
                exact: true,
                ..Draft::default()
            });
            self.children.len() - 1
        });
        &mut self.children[index]
    }

    fn child(&self, name: &str) -> &Self {
        let child = self.children.iter().find(|one| one.name == name);
        child.expect("the field was wanted when the draft was made")
    }

    /// Numbers the slots, parents before children, and makes the nodes; gives this one's node.
    fn settle(&mut self, nodes: &mut Vec<Node>, slots: &mut u32) -> u32 {
        let number = nodes.len();
        let names = self
            .children
            .iter()
            .map(|one| (one.name.as_str(), !one.exact));
        nodes.push(Node {
            names: Names::with_looseness(names),
            fields: Vec::new(),
            indexed: self.children.iter().any(|one| is_index(&one.name)),
        });
        for child in &mut self.children {
            child.slot = *slots;
            *slots += 1;
            let node = (!child.children.is_empty()).then(|| child.settle(nodes, slots));
            let field = NodeField {
                slot: child.slot,
                slots_end: *slots,
                taken: child.takers > 0,
                whole: child.whole,
                node,
            };
            nodes[number].fields.push(field);
        }
        let Node { names, fields, .. } = &mut nodes[number];
        let simple = |field: &NodeField| match field.node {
            None => field.slot,
            Some(_) => u32::MAX,
        };
        names.set_slots(fields.iter().map(simple).collect());
        number as u32
    }

    fn source(&self, wanted: Wanted, data_type: &DataType) -> Source {
        let field = match wanted {
            Wanted::Special(special) => return Source::Special(special),
            Wanted::Field(field) => field,
        };
        let place = field
            .path
            .iter()
            .fold(self, |place, name| place.child(name));
        Source::Field {
            slot: place.slot,
            shared: place.takers > 1,
            members: place.members(data_type),
            path: field.path,
        }
    }

    fn members(&self, data_type: &DataType) -> Vec<Member> {
        let DataType::Struct(fields) = data_type else {
            return Vec::new();
        };
        let member = |field: &FieldRef| {
            let child = self.child(field.name());
            Member {
                slot: child.slot,
                members: child.members(field.data_type()),
            }
        };
        fields.iter().map(member).collect()
    }
}

/// Whether a step can be an array's index: digits without a leading zero.
fn is_index(name: &str) -> bool {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    digits && (name == "0" || !name.starts_with('0'))
}
