//! Names of the functions that every template has.

use super::Global;

/// The function of a name.
pub(crate) fn global(name: &str) -> Option<Global> {
    Some(match name {
        "range" => Global::Range,
        "dict" => Global::Dict,
        "lipsum" => Global::Lipsum,
        "cycler" => Global::Cycler,
        "joiner" => Global::Joiner,
        "namespace" => Global::Namespace,
        "raise_exception" => Global::RaiseException,
        "strftime_now" => Global::StrftimeNow,
        _ => return None,
    })
}
