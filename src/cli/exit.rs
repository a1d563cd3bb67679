//! The exit codes of what only `frazil` meets: sources and decoders.

#[cfg(test)]
pub(crate) use frazil_cli::exit::render;
pub(crate) use frazil_cli::exit::{Exit, Failure, plain, report};

use frazil::{
    decode::DecoderError,
    source::{Remedy, SourceError, kafka::KafkaError},
};

/// The code that an error means: that of its first cause which knows what can be done about it.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Failed)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<SourceError>() {
        return Some(after(error.remedy()));
    }
    if let Some(error) = cause.downcast_ref::<KafkaError>() {
        return Some(after(error.remedy()));
    }
    if cause.is::<DecoderError>() {
        return Some(Exit::Usage);
    }
    Exit::of_cause(cause)
}

fn after(remedy: Remedy) -> Exit {
    match remedy {
        Remedy::Retry => Exit::Failed,
        Remedy::Usage => Exit::Usage,
        Remedy::Stop => Exit::Stopped,
    }
}
