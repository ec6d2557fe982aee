mod clock;
mod nothing {}
mod breaker;
mod call;
mod conformance;
mod executor;
mod laws;
mod layers;
mod models;
mod retry;
