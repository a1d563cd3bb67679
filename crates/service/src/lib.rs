//! What every binary needs: settings, telemetry, shutdown, clock and ids.

pub mod clock;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
