//! The memory plan: what a session will hold, before a weight is read.

mod dry_run;
mod inspect;
mod ledger;

pub use dry_run::{MemoryPlan, PassShape, plan, plan_on};
pub use inspect::inspect;
pub use ledger::{DeviceLayout, Ledger, LedgerBuffer};
