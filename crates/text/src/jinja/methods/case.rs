//! Upper and lower case.

/// A letter that has a case.
fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase() || is_title(c)
}

/// One of the few letters that are two, of which the first is large.
fn is_title(c: char) -> bool {
    use unicode_categories::UnicodeCategories;
    c.is_letter_titlecase()
}

/// `upper` and the like; none for another name.
pub(super) fn converted(text: &str, name: &str) -> Option<String> {
    match name {
        "upper" => Some(text.to_uppercase()),
        "lower" => Some(text.to_lowercase()),
        "casefold" => Some(text.to_lowercase().replace('ß', "ss").replace('ς', "σ")),
        "swapcase" => Some(swapped(text)),
        "capitalize" => Some(capitalized(text)),
        "title" => Some(titled(text)),
        _ => None,
    }
}

fn swapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

/// The first letter large, all others small.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| large(first) + &letters.as_str().to_lowercase())
}

/// A letter as a word begins with it: of one that becomes several, only the first is large.
fn large(c: char) -> String {
    match c {
        'Ǆ' | 'ǆ' => 'ǅ'.into(),
        'Ǉ' | 'ǉ' => 'ǈ'.into(),
        'Ǌ' | 'ǌ' => 'ǋ'.into(),
        'Ǳ' | 'ǳ' => 'ǲ'.into(),
        // Titles in Georgian have no large letters, and the four above are large already.
        'ა'..='ჿ' | 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' => c.into(),
        _ => {
            let mut upper = c.to_uppercase();
            let first = upper.next();
            first.into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// Each run of letters that have a case begins large.
fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&large(c));
        }
        inside = is_cased(c);
    }
    out
}

/// `islower`, `isupper`, `istitle`.
pub(super) fn is(text: &str, name: &str) -> bool {
    match name {
        "islower" => text.chars().any(char::is_lowercase) && !text.chars().any(|c| c.is_uppercase() || is_title(c)),
        "isupper" => text.chars().any(char::is_uppercase) && !text.chars().any(|c| c.is_lowercase() || is_title(c)),
        _ => {
            let (mut inside, mut found) = (false, false);
            for c in text.chars() {
                let large = c.is_uppercase() || is_title(c);
                if (large && inside) || (c.is_lowercase() && !inside) {
                    return false;
                }
                inside = is_cased(c);
                found |= inside;
            }
            found
        }
    }
}
