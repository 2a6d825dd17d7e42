//! Patterns for expected texts, and the variables that they capture.
//!
//! A packet pattern is a header that is compared literally, followed by JSON that is compared by value. The JSON starts at the first `{`,
//! `[`, `"` or `<`. `*` stands for a number in the header and for any value in the JSON. `*name` also stores the value. `...` at the end
//! of an array or object allows more elements.

use regex_lite::Regex;
use serde_json::Value as Json;

use super::value::{Scope, Template, Value};

/// Variables that a match sets.
pub(crate) type Captures = Vec<(String, Value)>;

/// Matches a text with the pattern `'…'`, in which variables are already replaced.
pub(crate) fn packet(pattern: &str, text: &str) -> Result<Option<Captures>, String> {
    // Fast path: large data is usually literally equal. A pattern with wildcards never is.
    if pattern == text && !pattern.contains(['*', '<']) && !pattern.contains("...") {
        return Ok(Some(Captures::new()));
    }
    let json = pattern.find(['{', '[', '"', '<']).unwrap_or(pattern.len());
    let (header, json) = pattern.split_at(json);
    let mut captures = Captures::new();
    let Some(rest) = match_header(header, text, &mut captures) else { return Ok(None) };
    if json.is_empty() {
        return Ok(rest.is_empty().then_some(captures));
    }
    let pattern = JsonPattern::parse(json)?;
    let Ok(value) = serde_json::from_str::<Json>(rest) else { return Ok(None) };
    Ok(pattern.matches(&value, &mut captures).then_some(captures))
}

/// Checks the syntax of a packet pattern, as far as its variables allow.
pub(crate) fn check(pattern: &Template) -> Result<(), String> {
    match pattern.literal() {
        Some(pattern) => packet(&pattern, "").map(drop),
        None => Ok(()),
    }
}

/// Matches the header and returns the rest of the text.
fn match_header<'a>(header: &str, mut text: &'a str, captures: &mut Captures) -> Option<&'a str> {
    let mut pieces = header.split('*');
    text = text.strip_prefix(pieces.next()?)?;
    for piece in pieces {
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, rest) = text.split_at(digits);
        if number.is_empty() {
            return None;
        }
        let name = piece.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(piece.len());
        let (name, literal) = piece.split_at(name);
        if !name.is_empty() {
            captures.push((name.to_owned(), Value::Text(number.to_owned())));
        }
        text = rest.strip_prefix(literal)?;
    }
    Some(text)
}

/// Searches a text for a regular expression, and captures its named groups.
pub(crate) fn regex(pattern: &Template, scope: &Scope, text: &str) -> Result<Option<Captures>, String> {
    let source = regex_source(pattern, |name| scope.get(name).map(Value::text))?;
    let regex = Regex::new(&source).map_err(|error| format!("/{source}/: {error}"))?;
    Ok(regex.captures(text).map(|found| {
        regex
            .capture_names()
            .flatten()
            .filter_map(|name| Some((name.to_owned(), Value::Text(found.name(name)?.as_str().to_owned()))))
            .collect()
    }))
}

/// Checks the syntax of a regular expression, without its variables.
pub(crate) fn check_regex(pattern: &Template) -> Result<(), String> {
    let source = regex_source(pattern, |_| Ok("0".to_owned()))?;
    Regex::new(&source).map(drop).map_err(|error| format!("/{source}/: {error}"))
}

/// The values of variables are escaped, so that they match literally.
fn regex_source(pattern: &Template, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    use super::value::Part;
    pattern
        .0
        .iter()
        .map(|part| match part {
            Part::Literal(literal) => Ok(literal.clone()),
            Part::Variable(name) => value(name).map(|value| regex_lite::escape(&value)),
        })
        .collect()
}

/// JSON with wildcards.
#[derive(Clone, Debug, PartialEq)]
enum JsonPattern {
    Any(String),
    Kind(Kind),
    Range(f64, f64),
    Scalar(Json),
    Array(Vec<JsonPattern>, bool),
    Object(Vec<(String, JsonPattern)>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    String,
    Number,
    Array,
    Object,
}

impl JsonPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let pattern = parser.value().map_err(|error| format!("{error} in the pattern {text}"))?;
        parser.space();
        if parser.rest.is_empty() {
            Ok(pattern)
        } else {
            Err(format!("unexpected {:?} in the pattern {text}", parser.rest))
        }
    }

    fn matches(&self, value: &Json, captures: &mut Captures) -> bool {
        match (self, value) {
            (Self::Any(name), value) => {
                if !name.is_empty() {
                    captures.push((name.clone(), json_variable(value)));
                }
                true
            }
            (Self::Kind(Kind::String), Json::String(_))
            | (Self::Kind(Kind::Number), Json::Number(_))
            | (Self::Kind(Kind::Array), Json::Array(_))
            | (Self::Kind(Kind::Object), Json::Object(_)) => true,
            (Self::Range(from, to), Json::Number(number)) => {
                number.as_f64().is_some_and(|number| (*from..=*to).contains(&number))
            }
            (Self::Scalar(Json::Number(wanted)), Json::Number(number)) => {
                wanted == number || (wanted.is_f64() != number.is_f64() && wanted.as_f64() == number.as_f64())
            }
            (Self::Scalar(wanted), value) => wanted == value,
            (Self::Array(wanted, open), Json::Array(values)) => {
                (wanted.len() == values.len() || (*open && wanted.len() < values.len()))
                    && wanted.iter().zip(values).all(|(wanted, value)| wanted.matches(value, captures))
            }
            (Self::Object(wanted, open), Json::Object(values)) => {
                (wanted.len() == values.len() || (*open && wanted.len() < values.len()))
                    && wanted
                        .iter()
                        .all(|(key, wanted)| values.get(key).is_some_and(|value| wanted.matches(value, captures)))
            }
            _ => false,
        }
    }
}

/// A JSON value as a variable: a string without its quotes, anything else as JSON text.
pub(crate) fn json_variable(value: &Json) -> Value {
    match value {
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => number.as_f64().map_or_else(|| Value::Text(number.to_string()), Value::Number),
        other => Value::Text(other.to_string()),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<JsonPattern, String> {
        if self.eat("*") {
            let end = self.rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(JsonPattern::Any(name.to_owned()));
        }
        for (word, kind) in [
            ("<string>", Kind::String),
            ("<number>", Kind::Number),
            ("<array>", Kind::Array),
            ("<object>", Kind::Object),
        ] {
            if self.eat(word) {
                return Ok(JsonPattern::Kind(kind));
            }
        }
        if self.eat("[") {
            let mut values = Vec::new();
            let open = self.list("]", |parser| {
                values.push(parser.value()?);
                Ok(())
            })?;
            return Ok(JsonPattern::Array(values, open));
        }
        if self.eat("{") {
            let mut values = Vec::new();
            let open = self.list("}", |parser| {
                parser.space();
                let Json::String(key) = parser.scalar()? else { return Err("a key is not a string".to_owned()) };
                if !parser.eat(":") {
                    return Err(format!("a colon is missing after {key:?}"));
                }
                values.push((key, parser.value()?));
                Ok(())
            })?;
            return Ok(JsonPattern::Object(values, open));
        }
        let value = self.scalar()?;
        if let Some(from) = value.as_f64()
            && self.eat("..")
        {
            let to = self.scalar()?.as_f64().ok_or("a range must end with a number")?;
            return Ok(JsonPattern::Range(from, to));
        }
        Ok(JsonPattern::Scalar(value))
    }

    /// Parses elements up to the closing bracket. Returns whether `...` was last.
    fn list(&mut self, end: &str, mut element: impl FnMut(&mut Self) -> Result<(), String>) -> Result<bool, String> {
        if self.eat(end) {
            return Ok(false);
        }
        loop {
            if self.eat("...") {
                return if self.eat(end) { Ok(true) } else { Err("... must be last".to_owned()) };
            }
            element(self)?;
            if self.eat(end) {
                return Ok(false);
            }
            if !self.eat(",") {
                return Err(format!("a comma or {end} is missing before {:?}", self.rest));
            }
        }
    }

    fn scalar(&mut self) -> Result<Json, String> {
        self.space();
        let end = if let Some(string) = self.rest.strip_prefix('"') {
            let mut escaped = false;
            let end = string.find(|character| {
                let found = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                found
            });
            end.ok_or("a string is not closed")?.saturating_add(2)
        } else {
            let end = self.rest.find([',', ']', '}', ' ', ':']).unwrap_or(self.rest.len());
            // `1..5` is a range, and `1.5` is a number.
            self.rest.get(..end).and_then(|scalar| scalar.find("..")).unwrap_or(end)
        };
        let (scalar, rest) = self.rest.split_at(end);
        let value = serde_json::from_str(scalar).map_err(|_| format!("{scalar:?} is not a value"))?;
        self.rest = rest;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> Option<Captures> {
        packet(pattern, text).unwrap()
    }

    #[test]
    fn the_header_is_compared_by_letter_and_the_rest_by_value() {
        assert!(found(r#"42["a",{"b":1,"c":[]}]"#, r#"42["a", {"c":[], "b":1.0}]"#).is_some());
        assert!(found(r#"42["a"]"#, r#"43["a"]"#).is_none());
        assert!(found(r#"42["a"]"#, r#"42["a",1]"#).is_none());
        assert!(found(r#"42["a",...]"#, r#"42["a",1]"#).is_some());
        assert!(
            found(r#"0{"sid":<string>,"pingInterval":100..400,...}"#, r#"0{"sid":"x","pingInterval":300,"more":1}"#)
                .is_some()
        );
        assert!(found("44/a,<string>", r#"44/a,"b""#).is_some() && found("44/a,<string>", "44/a,{}").is_none());
        assert!(found("6", "6").is_some() && found("6", "66").is_none());
        assert!(packet("42[", "42[]").is_err());
    }

    #[test]
    fn named_parts_are_captured() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            found(r#"42*id["ask",*x]"#, r#"4217["ask",{"y":1}]"#),
            Some(vec![("id".to_owned(), text("17")), ("x".to_owned(), text(r#"{"y":1}"#))])
        );
        assert_eq!(found(r#"40{"sid":*sid}"#, r#"40{"sid":"abc"}"#), Some(vec![("sid".to_owned(), text("abc"))]));
    }
}
