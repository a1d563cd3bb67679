//! What a dataset is: its columns, formats, partitioning, sort order, limits and retention, as one
//! TOML file states them, and where a deployment's catalogs, storages and Kafka clusters are.
//!
//! This crate does no I/O: it turns text into checked values, or into diagnostics that point at
//! file, line and column. Reading files and the environment is `frazil_service`'s.

mod column;
mod dataset;
mod deployment;
mod diagnostic;
mod field_source;
mod format;
mod keys;
mod layout;
mod names;
mod parse;
mod pattern;
mod suggest;
mod time;
mod time_format;
mod types;
pub mod units;

pub use column::{
    Column, ColumnType, FieldPath, FieldSource, Profile, SpecialSource, StructField, TimeFormat,
};
pub use dataset::{
    CheckpointPolicy, CompletePolicy, Dataset, DedupKey, DedupPolicy, EventTime, KafkaIsolation,
    KafkaSourceSpec, KafkaStart, KafkaTopics, Limits, OverLimit, PartitionField, Share,
    SnapshotsPolicy, SortDirection, SortField, SourceSpec, TableName, Transform, UnknownFields,
};
pub use deployment::{
    AccessKeys, Authorization, AzureCredentials, AzureSettings, CatalogKind, CatalogSettings,
    Connection, Deployment, GcsCredentials, GcsSettings, HdfsSettings, HeaderText, HiveSettings,
    KafkaCluster, KafkaClusterError, KafkaPasswordMechanism, KafkaSasl, KafkaTls, OAuth2Settings,
    PostgresSettings, RestSettings, S3Checksum, S3Credentials, S3Encryption, S3Settings,
    SecretReference, SigV4Settings, SqliteSettings, StorageSettings, TlsSettings, TransferSettings,
};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use format::{Format, Multiline, Separated, Syslog};
pub use parse::{FILE_BYTES_MAX, parse_dataset, parse_deployment, parse_environment, stated_name};
pub use pattern::{Pattern, UNNAMED};
pub use suggest::nearest;
pub use time::parse_time;
pub use time_format::time_zone;
pub use units::{
    UnitError, format_bytes, format_duration, parse_bytes, parse_duration, parse_share,
};
