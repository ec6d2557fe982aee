//! Limits that change while they are in use, keys that are closed, permits that come back.

mod adaptive;
mod found;
mod laws;
mod said;
mod threads;
mod world;
