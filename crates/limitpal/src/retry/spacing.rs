//! By what one delay of a run is computed.

use std::time::Duration;

/// By what the delay after one attempt is computed.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
#[non_exhaustive]
pub enum Spacing {
    /// The policy's delays.
    #[default]
    Policy,
    /// The delays after errors of the class with this number.
    Class(usize),
    /// This many seconds, jittered and capped as the policy's delays are.
    Given(f64),
    /// What the server asked for in seconds, at most `max_server_delay` of them.
    Server(f64),
    /// Exactly this long.
    Exactly(Duration),
}

impl Spacing {
    /// Returns the delay that a server asks for; none if that is no time: negative, or no number.
    pub fn server(seconds: f64) -> Option<Self> {
        (seconds >= 0.0 && seconds.is_finite()).then_some(Self::Server(seconds))
    }
}
