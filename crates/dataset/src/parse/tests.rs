mod accepts;
mod column_mistakes;
mod complete;
mod deployment;
mod editor_schema;
mod kafka_source;
mod mistakes;
mod never_panics;
