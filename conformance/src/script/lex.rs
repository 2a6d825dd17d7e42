//! Splits a line of a script into tokens.

use super::value::{Part, Template};

/// A token of the step language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A bare word.
    Word(String),
    /// A bare word followed by a colon: the subject of the step.
    Subject(String),
    /// `"…"`, with escapes.
    Double(Template),
    /// `'…'`, without escapes.
    Single(Template),
    /// `x"…"`.
    Bytes(Vec<u8>),
    /// `/…/`.
    Regex(Template),
    /// A number. With a unit of time it is in milliseconds.
    Number(f64),
    /// `$name`.
    Variable(String),
    /// One of `+ * ( ) | & { }`, `-` and `=` between spaces.
    Symbol(char),
}

/// Splits a line into tokens. A `#` outside of quotes starts a comment.
pub(crate) fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut rest = Characters { rest: line };
    let mut tokens = Vec::new();
    while let Some(next) = rest.peek() {
        match next {
            ' ' | '\t' => {
                rest.next();
            }
            '#' => break,
            '"' => {
                rest.next();
                tokens.push(Token::Double(double_quoted(&mut rest)?));
            }
            '\'' => {
                rest.next();
                let text = rest.until('\'').ok_or("a ' is not closed")?;
                tokens.push(Token::Single(template(&text.replace('␞', "\u{1e}"), false)));
            }
            '/' => {
                rest.next();
                tokens.push(Token::Regex(template(&regex(&mut rest)?.replace('␞', "\u{1e}"), true)));
            }
            '$' => {
                rest.next();
                let name = name(&mut rest).ok_or("a $ must be followed by a name")?;
                tokens.push(Token::Variable(name));
            }
            '+' | '*' | ';' | '(' | ')' | '|' | '&' | '{' | '}' | '-' | '=' | '!' | '<' | '>' => {
                rest.next();
                tokens.push(Token::Symbol(next));
            }
            'x' if rest.rest.starts_with("x\"") => {
                rest.next();
                rest.next();
                tokens.push(Token::Bytes(hex(&rest.until('"').ok_or("an x\" is not closed")?)?));
            }
            _ if next.is_ascii_alphanumeric() => {
                let word = rest.take_while(|character| character.is_ascii_alphanumeric() || "_-.".contains(character));
                if rest.peek() == Some(':') {
                    rest.next();
                    tokens.push(Token::Subject(word));
                } else {
                    tokens.push(number(&word).map_or(Token::Word(word), Token::Number));
                }
            }
            other => return Err(format!("unexpected {other:?}")),
        }
    }
    Ok(tokens)
}

fn number(word: &str) -> Option<f64> {
    if !word.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if let Ok(number) = word.parse() {
        return Some(number);
    }
    if let Some(milliseconds) = word.strip_suffix("ms") {
        return milliseconds.parse().ok();
    }
    word.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok()).map(|seconds| seconds * 1000.0)
}

/// Bytes in hexadecimal digits. Spaces are ignored.
pub(crate) fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("x\"{text}\" is not hexadecimal"))?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Ok(high << 4 | low),
            _ => Err(format!("x\"{text}\" has an odd number of digits")),
        })
        .collect()
}

struct Characters<'a> {
    rest: &'a str,
}

impl Characters<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn until(&mut self, end: char) -> Option<String> {
        let (text, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(text.to_owned())
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> String {
        let end = self.rest.find(|character| !wanted(character)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.to_owned()
    }
}

/// The name after a `$`: `name`, `name.part` or `{name}`.
///
/// `$bytes` and `$ext` as keys represent binary in JSON, so they are not variables.
fn name(rest: &mut Characters<'_>) -> Option<String> {
    if rest.rest.starts_with("bytes\"") || rest.rest.starts_with("ext\"") {
        return None;
    }
    if rest.peek() == Some('{') {
        rest.next();
        return rest.until('}');
    }
    if !rest.peek().is_some_and(|first| first.is_ascii_alphabetic()) {
        return None;
    }
    let mut name = rest.take_while(|character| character.is_ascii_alphanumeric() || character == '_');
    while let Some(part) = rest.rest.strip_prefix('.')
        && part.starts_with(|first: char| first.is_ascii_alphabetic())
    {
        rest.next();
        name.push('.');
        name.push_str(&rest.take_while(|character| character.is_ascii_alphanumeric() || character == '_'));
    }
    Some(name)
}

/// The content of a `"…"`, including the closing quote.
fn double_quoted(rest: &mut Characters<'_>) -> Result<Template, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    loop {
        match rest.next().ok_or("a \" is not closed")? {
            '"' => break,
            '␞' => literal.push('\u{1e}'),
            '\\' => match rest.next().ok_or("a \" is not closed")? {
                'n' => literal.push('\n'),
                'r' => literal.push('\r'),
                't' => literal.push('\t'),
                '0' => literal.push('\0'),
                same @ ('\\' | '"' | '$' | '/') => literal.push(same),
                'x' => {
                    let digits: String = [rest.next(), rest.next()].into_iter().flatten().collect();
                    let code = u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii);
                    literal.push(char::from(code.ok_or("\\x needs two digits up to 7f; write other bytes as x\"…\"")?));
                }
                'u' => {
                    rest.next();
                    let digits = rest.until('}').ok_or("\\u{…} is not closed")?;
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    literal.push(code.ok_or("\\u{…} is not a character")?);
                }
                other => return Err(format!("\\{other} means nothing")),
            },
            '$' => match name(rest) {
                Some(name) => {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                    parts.push(Part::Variable(name));
                }
                None => literal.push('$'),
            },
            other => literal.push(other),
        }
    }
    parts.push(Part::Literal(literal));
    Ok(Template(parts))
}

/// The content of a `/…/`, in which `\/` is a slash.
fn regex(rest: &mut Characters<'_>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match rest.next().ok_or("a / is not closed")? {
            '/' => return Ok(text),
            '\\' => match rest.next() {
                Some('/') => text.push('/'),
                Some(other) => text.extend(['\\', other]),
                None => {}
            },
            other => text.push(other),
        }
    }
}

/// A text in which `$name` is a variable. In a regular expression only `${name}` is, because `$` matches the end.
fn template(text: &str, only_braces: bool) -> Template {
    let mut rest = Characters { rest: text };
    let mut parts = Vec::new();
    let mut literal = String::new();
    while let Some(next) = rest.next() {
        let variable = if next == '$' && (!only_braces || rest.peek() == Some('{')) { name(&mut rest) } else { None };
        match variable {
            Some(name) => {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
                parts.push(Part::Variable(name));
            }
            None => literal.push(next),
        }
    }
    parts.push(Part::Literal(literal));
    Template(parts)
}
