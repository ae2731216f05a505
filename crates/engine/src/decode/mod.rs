//! Generation: prompts continued token by token.

mod generate;
mod sampling;

pub use generate::{Finish, Request, TokenEvent, generate};
pub use sampling::Sampling;
