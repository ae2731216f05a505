//! Generation: prompts continued token by token.

mod generate;
mod request;
mod sampling;
mod schedule;

pub use generate::generate;
pub use request::{Finish, Request, TokenEvent, TokenSink};
pub use sampling::Sampling;
