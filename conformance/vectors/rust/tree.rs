//! The values of the vector files: those that JavaScript, JSON and MessagePack share, and a few that only JavaScript has.
//!
//! The files write the latter as objects with one key that starts with `$`. The README of the vectors describes them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// A number. JavaScript converts every number to a double.
    Number(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// JavaScript's `undefined`, which differs from `null`.
    Undefined,
    /// Text with a lone surrogate, as UTF-16.
    LoneSurrogate(Vec<u16>),
    /// A point in time: milliseconds since 1970.
    Date(f64),
    /// A value nested more deeply than the files record.
    Deep,
    /// An event name as our parser returns it: always text, even if the peer sent a number.
    Name(String),
    /// A value that our parser cannot deserialize. It can still be relayed unchanged.
    Unreadable,
}

impl Tree {
    /// Creates a text value.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns the value of this key if the tree is a map that contains it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns the text of a text value.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns whether `found` holds for this value or a nested one.
    pub(crate) fn contains(&self, found: fn(&Self) -> bool) -> bool {
        found(self)
            || match self {
                Self::List(elements) => elements.iter().any(|element| element.contains(found)),
                Self::Map(entries) => entries.iter().any(|(_, value)| value.contains(found)),
                _ => false,
            }
    }

    /// Returns whether our value is the same, or differs only in places that `allowed` accepts.
    pub(crate) fn matches(&self, ours: &Self, allowed: fn(&Self, &Self) -> bool) -> bool {
        let same = match (self, ours) {
            (Self::Null, Self::Null) | (Self::Undefined, Self::Undefined) | (Self::Deep, _) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) | (Self::Date(one), Self::Date(other)) => {
                one == other || (one.is_nan() && other.is_nan())
            }
            (Self::Number(number), Self::Name(name)) => name.parse() == Ok(*number),
            (Self::Text(text), Self::Text(other) | Self::Name(other)) => text == other,
            (Self::LoneSurrogate(one), Self::LoneSurrogate(other)) => one == other,
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::List(one), Self::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.matches(other, allowed))
            }
            (Self::Map(one), Self::Map(other)) => {
                let (one, other) = (unique(one), unique(other));
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(&other)
                        .all(|((key, one), (name, other))| key == name && one.matches(other, allowed))
            }
            _ => false,
        };
        same || allowed(self, ours)
    }

    /// Replaces objects with a `$` key by the values that they represent in a vector file.
    pub(crate) fn resolved(self) -> Self {
        match self {
            Self::List(elements) => Self::List(elements.into_iter().map(Self::resolved).collect()),
            Self::Map(entries) => match entries.first() {
                Some((tag, _)) if tag.starts_with('$') => {
                    let (tag, content) = entries.into_iter().next().unwrap();
                    tagged(&tag, content)
                }
                _ => Self::Map(entries.into_iter().map(|(key, value)| (key, value.resolved())).collect()),
            },
            other => other,
        }
    }
}

/// The entries by key. The last entry wins if a key is repeated.
fn unique(entries: &[(String, Tree)]) -> BTreeMap<&str, &Tree> {
    entries.iter().map(|(key, value)| (key.as_str(), value)).collect()
}

fn tagged(tag: &str, content: Tree) -> Tree {
    match (tag, content) {
        ("$undefined", _) => Tree::Undefined,
        ("$deep", _) => Tree::Deep,
        ("$date", Tree::Number(milliseconds)) => Tree::Date(milliseconds),
        // A date that is out of range in JavaScript.
        ("$date", Tree::Null) => Tree::Date(f64::NAN),
        ("$float", Tree::Text(float)) => Tree::Number(float.parse().unwrap()),
        ("$bytes", Tree::Text(hex)) => Tree::Bytes(from_hex(&hex)),
        ("$utf16", Tree::Text(hex)) => Tree::LoneSurrogate(from_utf16(&hex)),
        ("$entries", Tree::List(entries)) => Tree::Map(
            entries
                .into_iter()
                .map(|entry| {
                    let Tree::List(entry) = entry else { panic!("an entry of $entries must be a pair") };
                    let mut entry = entry.into_iter().map(Tree::resolved);
                    let key = match entry.next().unwrap() {
                        Tree::Text(key) => key,
                        Tree::LoneSurrogate(units) => format!("lone surrogate: {units:x?}"),
                        other => panic!("{other:?} cannot be a key"),
                    };
                    (key, entry.next().unwrap())
                })
                .collect(),
        ),
        (tag, content) => panic!("unknown tag {tag}: {content:?}"),
    }
}

/// Decodes hexadecimal digits.
pub(crate) fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Decodes UTF-16 code units from hexadecimal digits, four per unit.
pub(crate) fn from_utf16(hex: &str) -> Vec<u16> {
    from_hex(hex).chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect()
}

/// Encodes bytes as hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

macro_rules! visit {
    ($($name:ident($value:ident: $type:ty) => $tree:expr;)*) => {$(
        fn $name<E>(self, $value: $type) -> Result<Tree, E> {
            Ok($tree)
        }
    )*};
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    visit! {
        visit_bool(value: bool) => Tree::Bool(value);
        visit_i64(value: i64) => Tree::Number(value as f64);
        visit_u64(value: u64) => Tree::Number(value as f64);
        visit_f64(value: f64) => Tree::Number(value);
        visit_str(value: &str) => Tree::text(value);
        visit_bytes(value: &[u8]) => Tree::Bytes(value.to_vec());
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Tree::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Undefined => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            // JavaScript has one number type. Rust applications use integers for whole numbers.
            Self::Number(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_991.0 => {
                serializer.serialize_i64(*number as i64)
            }
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Text(text) | Self::Name(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(elements) => {
                let mut list = serializer.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|element| list.serialize_element(element))?;
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            Self::LoneSurrogate(_) | Self::Date(_) | Self::Deep | Self::Unreadable => {
                Err(serde::ser::Error::custom("this value exists only in JavaScript"))
            }
        }
    }
}
