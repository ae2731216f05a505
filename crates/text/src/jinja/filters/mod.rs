//! jinja2's filters, and transformers' `tojson`.

mod access;
mod choose;
mod html;
mod json;
mod number;
mod sequence;
mod text;

pub(crate) use json::json_text;

use super::arguments::Given;
use super::error::{Result, refuse};
use super::run::Run;
use super::value::Value;

/// What a filter does.
pub(crate) type Filter = fn(&Run, Value, Given) -> Result<Value>;

/// The filter of a name.
pub(crate) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "abs" => number::abs,
        "attr" => choose::attr,
        "batch" => sequence::batch,
        "capitalize" => text::capitalize,
        "center" => text::center,
        "count" | "length" => sequence::length,
        "d" | "default" => default,
        "dictsort" => sequence::dictsort,
        "e" | "escape" => html::escape_filter,
        "filesizeformat" => number::filesizeformat,
        "first" => sequence::first,
        "float" => number::float,
        "forceescape" => html::forceescape,
        "format" => text::format,
        "groupby" => choose::groupby,
        "indent" => text::indent,
        "int" => number::int,
        "items" => sequence::items,
        "join" => sequence::join,
        "last" => sequence::last,
        "list" => sequence::list,
        "lower" => text::lower,
        "map" => choose::map,
        "max" => sequence::max,
        "min" => sequence::min,
        "pprint" => json::pprint,
        "random" => sequence::random,
        "reject" => choose::reject,
        "rejectattr" => choose::rejectattr,
        "replace" => text::replace,
        "reverse" => sequence::reverse,
        "round" => number::round,
        "safe" => html::safe,
        "select" => choose::select,
        "selectattr" => choose::selectattr,
        "slice" => sequence::slice,
        "sort" => sequence::sort,
        "string" => text::string,
        "striptags" => html::striptags,
        "sum" => sequence::sum,
        "title" => text::title,
        "tojson" => json::tojson,
        "trim" => text::trim,
        "truncate" => text::truncate,
        "unique" => sequence::unique,
        "upper" => text::upper,
        "urlencode" => html::urlencode,
        "urlize" => |_, _, _| refuse("the filter 'urlize' is not supported"),
        "wordcount" => text::wordcount,
        "wordwrap" => |_, _, _| refuse("the filter 'wordwrap' is not supported"),
        "xmlattr" => html::xmlattr,
        _ => return None,
    })
}

fn default(_: &Run, value: Value, given: Given) -> Result<Value> {
    let [default, boolean] = given.bind("default", ["default_value", "boolean"])?;
    let missing = value.is_undefined() || (boolean.is_some_and(|boolean| boolean.is_true()) && !value.is_true());
    Ok(if missing { default.unwrap_or_else(|| Value::text("")) } else { value })
}
