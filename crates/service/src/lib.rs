//! What every binary needs: settings, secrets, telemetry, shutdown, clock and ids.

pub mod clock;
pub mod http;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
