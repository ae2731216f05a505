//! `strftime_now` of chat templates.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::strftime::strftime;

/// The current time in UTC by a `strftime` format. UTC, so that machines in different zones write the same prompt.
pub(crate) fn strftime_now(format: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    strftime(format, seconds)
}
