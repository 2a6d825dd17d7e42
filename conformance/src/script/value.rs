//! Values and expressions: what a step sends, how long it waits, and what a variable holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::lex::hex;
use crate::wire::msgpack;

/// The result of an expression. A number that is used as a time is in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Bytes(Vec<u8>),
    Number(f64),
}

impl Value {
    /// The value as it appears in a text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Number(number) => number.to_string(),
        }
    }

    /// The value as bytes to send.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            other => other.text().into_bytes(),
        }
    }

    pub(crate) fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text.parse().map_err(|_| format!("{text:?} is not a number")),
            Self::Bytes(_) => Err("bytes are not a number".to_owned()),
        }
    }
}

/// A text that may contain variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Template(pub(crate) Vec<Part>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Literal(String),
    Variable(String),
}

impl Template {
    pub(crate) fn fill(&self, scope: &Scope) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(name) => text.push_str(&scope.get(name)?.text()),
            }
        }
        Ok(text)
    }

    /// The text itself, if it contains no variable.
    pub(crate) fn literal(&self) -> Option<String> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => Some(literal.as_str()),
                Part::Variable(_) => None,
            })
            .collect()
    }
}

/// An expression that is evaluated when the step runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Text(Template),
    Bytes(Vec<u8>),
    Number(f64),
    Variable(String),
    Call(Function, Box<Expression>),
    Sum(Box<Expression>, Box<Expression>),
    Difference(Box<Expression>, Box<Expression>),
    Product(Box<Expression>, Box<Expression>),
}

/// A function in an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// Random letters and digits.
    Random,
    /// Random bytes.
    RandomBytes,
    /// Length in bytes.
    Length,
    /// Base64 with padding.
    Base64,
    /// Bytes from hexadecimal digits.
    Hex,
    /// A JSON string.
    Json,
    /// JSON as MessagePack.
    Msgpack,
}

impl Function {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "random" => Self::Random,
            "random-bytes" => Self::RandomBytes,
            "length" => Self::Length,
            "base64" => Self::Base64,
            "hex" => Self::Hex,
            "json" => Self::Json,
            "msgpack" => Self::Msgpack,
            _ => return None,
        })
    }
}

/// More than any case needs, but not enough for numbers from a server to exhaust memory.
const MAX_LENGTH: f64 = 256.0 * 1024.0 * 1024.0;

impl Expression {
    pub(crate) fn value(&self, scope: &mut Scope) -> Result<Value, String> {
        Ok(match self {
            Self::Text(template) => Value::Text(template.fill(scope)?),
            Self::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Self::Number(number) => Value::Number(*number),
            Self::Variable(name) => scope.get(name)?.clone(),
            Self::Call(function, argument) => {
                let argument = argument.value(scope)?;
                match function {
                    Function::Random => {
                        let length = length(argument.number()?)?;
                        Value::Text((0..length).map(|_| scope.random_letter()).collect())
                    }
                    Function::RandomBytes => {
                        let length = length(argument.number()?)?;
                        Value::Bytes((0..length).map(|_| scope.random_byte()).collect())
                    }
                    #[allow(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
                    Function::Length => Value::Number(argument.into_bytes().len() as f64),
                    Function::Base64 => Value::Text(STANDARD.encode(argument.into_bytes())),
                    Function::Hex => Value::Bytes(hex(&argument.text())?),
                    Function::Msgpack => {
                        let text = argument.text();
                        let value = serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
                        Value::Bytes(msgpack::encode(&value))
                    }
                    Function::Json => Value::Text(serde_json::Value::String(argument.text()).to_string()),
                }
            }
            Self::Sum(left, right) => match (left.value(scope)?, right.value(scope)?) {
                (Value::Number(left), Value::Number(right)) => Value::Number(left + right),
                (Value::Bytes(mut left), right) => {
                    left.extend(right.into_bytes());
                    Value::Bytes(left)
                }
                (left, Value::Bytes(right)) => {
                    let mut left = left.into_bytes();
                    left.extend(right);
                    Value::Bytes(left)
                }
                (left, right) => Value::Text(left.text() + &right.text()),
            },
            Self::Difference(left, right) => {
                Value::Number(left.value(scope)?.number()? - right.value(scope)?.number()?)
            }
            Self::Product(left, right) => match (left.value(scope)?, right.value(scope)?) {
                (Value::Number(left), Value::Number(right)) => Value::Number(left * right),
                (Value::Text(text), times) => {
                    let times = times.number()?;
                    length(times * text.len() as f64)?;
                    Value::Text(text.repeat(length(times)?))
                }
                (Value::Bytes(bytes), times) => {
                    let times = times.number()?;
                    length(times * bytes.len() as f64)?;
                    Value::Bytes(bytes.repeat(length(times)?))
                }
                (Value::Number(_), _) => return Err("a number cannot be multiplied by a text".to_owned()),
            },
        })
    }
}

fn length(number: f64) -> Result<usize, String> {
    if !(0.0..=MAX_LENGTH).contains(&number) {
        return Err(format!("{number} is not a length that the suite can send"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(number as usize)
}

/// The variables and the random generator of a running case.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    variables: BTreeMap<String, Value>,
    random: u64,
}

impl Scope {
    pub(crate) fn new(seed: u64) -> Self {
        Self { variables: BTreeMap::new(), random: seed }
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Value, String> {
        self.variables.get(name).ok_or_else(|| {
            let mut known = String::new();
            for name in self.variables.keys() {
                let _ = write!(known, " ${name}");
            }
            format!("unknown variable ${name}; the variables are:{known}")
        })
    }

    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), value);
    }

    /// SplitMix64: unpredictable enough for test data, and reproducible from the seed.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn random_byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn random_letter(&mut self) -> char {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        LETTERS.get(usize::from(self.random_byte() % 32)).copied().map_or('a', char::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_of_a_variable_become_bytes() {
        let mut scope = Scope::new(1);
        scope.set("each", Value::Text("0a ff".to_owned()));
        let digits = |name: &str| Expression::Call(Function::Hex, Box::new(Expression::Variable(name.to_owned())));
        assert_eq!(digits("each").value(&mut scope), Ok(Value::Bytes(vec![0x0a, 0xff])));
        scope.set("odd", Value::Text("abc".to_owned()));
        assert!(digits("odd").value(&mut scope).is_err());
    }
}
