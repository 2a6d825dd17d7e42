//! A value of a vector file: what JavaScript, JSON and MessagePack have in common, and the few things that only JavaScript has.
//!
//! The files write the latter as objects with one key that starts with `$`; see the README beside them.

#![allow(dead_code, reason = "shared by tests that need different parts of it")]

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// Every number is what JavaScript makes of it.
    Number(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// `undefined`, which is not `null`.
    Undefined,
    /// Text with half a surrogate pair, as UTF-16.
    HalfPair(Vec<u16>),
    /// A point in time: milliseconds since 1970.
    Date(f64),
    /// Deeper than the files go.
    Deep,
    /// An event's name as ours gives it: text, also when it was a number.
    Name(String),
    /// Something that ours does not read as a value. Its text can still be passed on.
    Unreadable,
}

impl Tree {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The value of this key, when it is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text, when it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Whether `found` is in here, at any depth.
    pub(crate) fn contains(&self, found: fn(&Self) -> bool) -> bool {
        found(self)
            || match self {
                Self::List(elements) => elements.iter().any(|element| element.contains(found)),
                Self::Map(entries) => entries.iter().any(|(_, value)| value.contains(found)),
                _ => false,
            }
    }

    /// Whether the other value, of ours, is the same; or differs only where `allowed` says that it may.
    pub(crate) fn matches(&self, ours: &Self, allowed: fn(&Self, &Self) -> bool) -> bool {
        let same = match (self, ours) {
            (Self::Null, Self::Null) | (Self::Undefined, Self::Undefined) | (Self::Deep, _) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) | (Self::Date(one), Self::Date(other)) => {
                one == other || (one.is_nan() && other.is_nan())
            }
            (Self::Number(number), Self::Name(name)) => name.parse() == Ok(*number),
            (Self::Text(text), Self::Text(other) | Self::Name(other)) => text == other,
            (Self::HalfPair(one), Self::HalfPair(other)) => one == other,
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

    /// The value that this stands for in a vector file.
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

/// Of a key that stands there twice the last counts.
fn unique(entries: &[(String, Tree)]) -> BTreeMap<&str, &Tree> {
    entries.iter().map(|(key, value)| (key.as_str(), value)).collect()
}

fn tagged(tag: &str, content: Tree) -> Tree {
    match (tag, content) {
        ("$undefined", _) => Tree::Undefined,
        ("$deep", _) => Tree::Deep,
        ("$date", Tree::Number(milliseconds)) => Tree::Date(milliseconds),
        // Further away than JavaScript's dates go.
        ("$date", Tree::Null) => Tree::Date(f64::NAN),
        ("$float", Tree::Text(float)) => Tree::Number(float.parse().unwrap()),
        ("$bytes", Tree::Text(hex)) => Tree::Bytes(from_hex(&hex)),
        ("$utf16", Tree::Text(hex)) => Tree::HalfPair(from_utf16(&hex)),
        ("$entries", Tree::List(entries)) => Tree::Map(
            entries
                .into_iter()
                .map(|entry| {
                    let Tree::List(entry) = entry else { panic!("an entry is a pair") };
                    let mut entry = entry.into_iter().map(Tree::resolved);
                    let key = match entry.next().unwrap() {
                        Tree::Text(key) => key,
                        Tree::HalfPair(units) => format!("half a pair: {units:x?}"),
                        other => panic!("{other:?} is no key"),
                    };
                    (key, entry.next().unwrap())
                })
                .collect(),
        ),
        (tag, content) => panic!("unknown tag {tag}: {content:?}"),
    }
}

/// Bytes of their hexadecimal digits.
pub(crate) fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// UTF-16 of its hexadecimal digits.
pub(crate) fn from_utf16(hex: &str) -> Vec<u16> {
    from_hex(hex).chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect()
}

/// Hexadecimal digits of bytes.
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
            // JavaScript has one number type. Rust code keeps whole numbers in integers.
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
            Self::HalfPair(_) | Self::Date(_) | Self::Deep | Self::Unreadable => {
                Err(serde::ser::Error::custom("only JavaScript has this"))
            }
        }
    }
}
