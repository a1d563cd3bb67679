mod accepts;
mod column_mistakes;
mod deployment;
mod editor_schema;
mod kafka_source;
mod mistakes;
mod never_panics;
