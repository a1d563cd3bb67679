//! What every binary needs: settings, telemetry, shutdown, clock and ids.

pub mod clock;
