//! JSON as a tree that can also hold what JSON forbids: keys given twice, numbers of any length, broken strings.

use serde_json::Value;

use super::bytes;
use super::random::Random;

/// A value. What is not an object or a list is kept as its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
}

/// Literals that readers stumble over.
const LITERALS: [&str; 48] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "0.5",
    "-0.5",
    "1.0",
    "1e-5",
    "1e-320",
    "1e308",
    "-1e308",
    "1e400",
    "1e-400",
    "255",
    "65536",
    "16777217",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[[]]",
    "{\"\":{}}",
    "\"\"",
    "\"0\"",
    "\"a\"",
    "\"\u{e9}\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"../x\"",
    "\"/etc/passwd\"",
    "\"__proto__\"",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "\u{0}",
];

/// The words of one format: keys and values that its reader knows, as JSON text.
pub struct Words {
    /// Keys, without quotes.
    pub keys: &'static [&'static str],
    /// Values.
    pub values: &'static [&'static str],
}

impl Node {
    /// The tree of a document.
    pub fn parse(text: &str) -> Self {
        Self::from_value(&serde_json::from_str(text).unwrap())
    }

    /// The tree of a value.
    pub fn from_value(value: &Value) -> Self {
        match value {
            Value::Object(map) => {
                Self::Object(map.iter().map(|(key, value)| (key.clone(), Self::from_value(value))).collect())
            }
            Value::Array(list) => Self::List(list.iter().map(Self::from_value).collect()),
            other => Self::Text(other.to_string()),
        }
    }

    /// The document.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    out.push(if place == 0 { '[' } else { ',' });
                    item.write(out);
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Object(fields) => {
                for (place, (key, value)) in fields.iter().enumerate() {
                    out.push(if place == 0 { '{' } else { ',' });
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    value.write(out);
                }
                out.push_str(if fields.is_empty() { "{}" } else { "}" });
            }
        }
    }

    fn count(&self) -> usize {
        1 + match self {
            Self::Object(fields) => fields.iter().map(|(_, value)| value.count()).sum(),
            Self::List(items) => items.iter().map(Self::count).sum(),
            Self::Text(_) => 0,
        }
    }

    /// The node with the given number, counted from this one in the order of the text.
    fn at(&mut self, number: usize) -> &mut Self {
        if number == 0 {
            return self;
        }
        let mut left = number - 1;
        let children: Vec<&mut Self> = match self {
            Self::Object(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
            Self::List(items) => items.iter_mut().collect(),
            Self::Text(_) => Vec::new(),
        };
        for child in children {
            let count = child.count();
            if left < count {
                return child.at(left);
            }
            left -= count;
        }
        unreachable!("numbers are below the count")
    }
}

/// One change somewhere in the tree.
pub fn mutate(random: &mut Random, root: &mut Node, words: &Words) {
    let count = root.count();
    let other = root.at(random.below(count)).clone();
    // Long lists of plain values would draw almost every change to themselves.
    let node = if random.one_in(2) { root.at(random.below(count)) } else { walk(random, root) };
    if random.one_in(24) {
        *node = nested(random, node);
        return;
    }
    if random.one_in(8) {
        *node = other;
        return;
    }
    match node {
        Node::Object(fields) => mutate_object(random, fields, words),
        Node::List(items) => mutate_list(random, items, words),
        Node::Text(text) => *text = literal(random, text, words),
    }
}

/// A node reached by choosing a child on every level.
fn walk<'a>(random: &mut Random, node: &'a mut Node) -> &'a mut Node {
    let children = match &node {
        Node::Object(fields) => fields.len(),
        Node::List(items) => items.len(),
        Node::Text(_) => 0,
    };
    if children == 0 || random.one_in(4) {
        return node;
    }
    let place = random.below(children);
    match node {
        Node::Object(fields) => walk(random, &mut fields[place].1),
        Node::List(items) => walk(random, &mut items[place]),
        Node::Text(_) => node,
    }
}

fn mutate_object(random: &mut Random, fields: &mut Vec<(String, Node)>, words: &Words) {
    let key = |random: &mut Random| (*random.pick(words.keys)).to_owned();
    if fields.is_empty() {
        fields.push((key(random), Node::Text(literal(random, "", words))));
        return;
    }
    let (at, to) = (random.below(fields.len()), random.below(fields.len()));
    match random.below(6) {
        0 => drop(fields.remove(at)),
        // The same key again.
        1 => fields.push(fields[at].clone()),
        2 => fields[at].0 = if random.one_in(2) { key(random) } else { fields[to].0.clone() },
        3 => fields.insert(to, (key(random), Node::Text(literal(random, "", words)))),
        4 => {
            let (a, b) = (fields[at].1.clone(), fields[to].1.clone());
            (fields[at].1, fields[to].1) = (b, a);
        }
        _ => fields.swap(at, to),
    }
}

fn mutate_list(random: &mut Random, items: &mut Vec<Node>, words: &Words) {
    if items.is_empty() {
        items.push(Node::Text(literal(random, "", words)));
        return;
    }
    let (at, to) = (random.below(items.len()), random.below(items.len()));
    match random.below(5) {
        0 => drop(items.remove(at)),
        1 => items.clear(),
        2 => items.swap(at, to),
        3 => items.insert(to, Node::Text(literal(random, "", words))),
        _ => {
            let copies = *random.pick(&[1, 1, 2, 9, 300]);
            let copy = items[at].clone();
            items.extend(std::iter::repeat_n(copy, copies));
        }
    }
}

/// The node inside lists or objects, a few or very many of them.
fn nested(random: &mut Random, node: &Node) -> Node {
    let depth = *random.pick(&[1, 1, 2, 126, 127, 128, 129, 5000]);
    let (open, close) = *random.pick(&[("[", "]"), ("{\"a\":", "}")]);
    Node::Text(format!("{}{}{}", open.repeat(depth), node.text(), close.repeat(depth)))
}

/// Another literal: a known word, a number near the old one, or one that readers stumble over.
fn literal(random: &mut Random, old: &str, words: &Words) -> String {
    match random.below(8) {
        0..3 => (*random.pick(words.values)).to_owned(),
        3 => match old.parse::<i128>() {
            Ok(number) => random.pick(&[number + 1, number - 1, number * 2, -number, number << 32]).to_string(),
            Err(_) => (*random.pick(words.values)).to_owned(),
        },
        4 => random.pick(&bytes::NUMBERS).to_string(),
        5 if old.starts_with('"') => {
            let times = *random.pick(&[2, 50, 3000]);
            Value::from(old.trim_matches('"').repeat(times)).to_string()
        }
        _ => (*random.pick(&LITERALS)).to_owned(),
    }
}

/// A document after one to three changes to its tree, and now and then one to its text.
pub fn mutated(random: &mut Random, root: &Node, words: &Words) -> Vec<u8> {
    let mut root = root.clone();
    for _ in 0..=random.below(3) {
        mutate(random, &mut root, words);
    }
    let mut bytes = root.text().into_bytes();
    if random.one_in(8) {
        bytes::mutate(random, &mut bytes);
    }
    bytes
}

#[test]
fn trees_keep_their_text() {
    let text = r#"{"a":[1,{"b":"c\"d"},[]],"e":{},"f":1.5}"#;
    let mut node = Node::parse(text);
    assert_eq!(node.text(), text);
    assert_eq!(node.count(), 8);
    assert_eq!(*node.at(4), Node::Text("\"c\\\"d\"".to_owned()));
    assert_eq!(*node.at(7), Node::Text("1.5".to_owned()));
}
