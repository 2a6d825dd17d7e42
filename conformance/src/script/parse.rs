//! Parses the lines of a script into steps. Errors name the line.

use super::lex::{Token, tokens};
use super::pattern;
use super::value::{Expression, Function, Part, Template};
use super::{Action, Choice, Comparison, Match, Outcome, RawFrame, Status, Step, Term};

/// Parses a whole script.
pub(crate) fn script(text: &str) -> Result<Vec<Step>, String> {
    let mut lines = text.lines().map(str::trim);
    let (steps, closed) = block(&mut lines)?;
    if closed {
        return Err("a } does not end a block".to_owned());
    }
    Ok(steps)
}

/// Parses steps up to the end or a closing brace. Returns whether a brace was found.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<(Vec<Step>, bool), String> {
    let mut steps = Vec::new();
    while let Some(line) = lines.next() {
        let in_line = |error: String| format!("`{line}`: {error}");
        let tokens = tokens(line).map_err(in_line)?;
        if tokens.is_empty() {
            continue;
        }
        if tokens == [Token::Symbol('}')] {
            return Ok((steps, true));
        }
        let mut reader = Reader { tokens: &tokens };
        let subject = match reader.tokens.split_first() {
            Some((Token::Subject(name), rest)) => {
                reader.tokens = rest;
                Some(name.clone())
            }
            _ => None,
        };
        let mut action = reader.action().map_err(in_line)?;
        let after = reader.suffix("after").map_err(in_line)?;
        let within = reader.suffix("within").map_err(in_line)?;
        if !reader.tokens.is_empty() {
            return Err(in_line(format!("unexpected {:?}", reader.tokens)));
        }
        if let Action::Repeat { steps, .. } = &mut action {
            let (inside, closed) = block(lines)?;
            if !closed {
                return Err(in_line("the block is not closed".to_owned()));
            }
            *steps = inside;
        }
        steps.push(Step { text: line.to_owned(), subject, action, after, within });
    }
    Ok((steps, false))
}

struct Reader<'a> {
    tokens: &'a [Token],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.first()
    }

    /// Takes the next token if it is this word.
    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        if found {
            self.next();
        }
        found
    }

    /// Takes the next token if it is any word.
    fn any_word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.peek() else { return None };
        self.next();
        Some(word.clone())
    }

    fn suffix(&mut self, word: &str) -> Result<Option<Expression>, String> {
        if self.word(word) { self.expression().map(Some) } else { Ok(None) }
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol);
        if found {
            self.next();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: char) -> Result<(), String> {
        if self.symbol(symbol) { Ok(()) } else { Err(format!("a {symbol} is missing")) }
    }

    fn action(&mut self) -> Result<Action, String> {
        let verb = self.any_word().ok_or("a step starts with a verb")?;
        Ok(match verb.as_str() {
            "open" => {
                Action::Open { transport: self.name_or_variable()?, query: self.optional()?, headers: self.headers()? }
            }
            "connect" => Action::Connect { namespace: self.optional()?, auth: self.optional()? },
            "upgrade" => {
                let named = matches!(self.peek(), Some(Token::Word(_) | Token::Variable(_)));
                let transport = if named && !self.is_suffix() { Some(self.name_or_variable()?) } else { None };
                Action::Upgrade { transport }
            }
            "send" => Action::Send(self.expressions()?),
            "expect" | "await" => self.expect(verb == "await")?,
            "silence" => Action::Silence(self.expression()?),
            "alive" => Action::Alive,
            "dead" => Action::Dead,
            "close" => Action::Close { code: self.optional()?, reason: self.optional()? },
            "abort" => Action::Abort,
            "poll" => Action::Poll { session: self.name() },
            "post" => Action::Post { session: self.name(), packets: self.expressions()? },
            "request" => {
                let method = self.any_word().ok_or("request needs a method")?;
                let target = self.expression()?;
                let headers = self.headers()?;
                let body = if self.word("body") { Some(self.expression()?) } else { None };
                Action::Request { method, target, headers, body }
            }
            "websocket" => {
                let session = self.name();
                Action::WebSocket { session, target: self.optional()?, headers: self.headers()? }
            }
            "webtransport" => Action::WebTransport { session: self.name() },
            "tcp" => Action::Tcp,
            "frame" => Action::Frame(Box::new(self.frame()?)),
            "bytes" => Action::Bytes(self.expression()?),
            "finish" => Action::Finish,
            "stream" => Action::Stream(self.expression()?),
            "heartbeat" => Action::Heartbeat {
                auto: match self.any_word().as_deref() {
                    Some("auto") => true,
                    Some("manual") => false,
                    _ => return Err("heartbeat is auto or manual".to_owned()),
                },
            },
            "requests" if self.word("manual") => Action::RequestsManual,
            "requests" if self.word("refused") => Action::RequestsRefused,
            "let" => {
                let name = self.any_word().ok_or("let needs a name")?;
                self.expect_symbol('=')?;
                Action::Let { name, value: self.expression()? }
            }
            "check" => {
                let left = self.expression()?;
                let not = self.word("not");
                if not || matches!(self.peek(), Some(Token::Regex(_))) {
                    return Ok(Action::CheckPattern { value: left, not, pattern: self.matching()? });
                }
                let comparison = match self.next() {
                    Some(Token::Symbol('=')) => Comparison::Equal,
                    Some(Token::Symbol('!')) if self.symbol('=') => Comparison::Different,
                    Some(Token::Symbol('<')) => Comparison::Less,
                    Some(Token::Symbol('>')) => Comparison::Greater,
                    _ => return Err("check compares with =, !=, <, > or a regular expression".to_owned()),
                };
                Action::Check { left, comparison, right: self.expression()? }
            }
            "repeat" => {
                let times = self.expression()?;
                self.expect_symbol('{')?;
                Action::Repeat { times, steps: Vec::new() }
            }
            "accept" => self.accept()?,
            "answer" => Action::Answer {
                status: self.expression()?,
                body: if self.is_word("header") { None } else { self.optional()? },
                headers: self.headers()?,
            },
            other => return Err(format!("unknown step {other:?}")),
        })
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next == word)
    }

    /// The name of a session, if there is one.
    fn name(&mut self) -> Option<String> {
        if self.is_suffix() || self.starts_expression() { None } else { self.any_word() }
    }

    /// Returns whether the next word begins a suffix that many steps have.
    fn is_suffix(&self) -> bool {
        ["header", "after", "within"].iter().any(|word| self.is_word(word))
    }

    fn accept(&mut self) -> Result<Action, String> {
        if self.word("connect") {
            return Ok(Action::AcceptConnect { namespace: self.optional()?, reply: self.optional()? });
        }
        if self.word("upgrade") {
            return Ok(Action::AcceptUpgrade);
        }
        if self.word("link") {
            return Ok(Action::AcceptLink { target: self.optional_match()? });
        }
        if let Some(Token::Word(method)) = self.peek()
            && method.chars().all(|letter| letter.is_ascii_uppercase())
        {
            self.next();
            return Ok(Action::AcceptRequest { method: method.clone(), target: self.optional_match()? });
        }
        Ok(Action::AcceptSession { transport: self.name_or_variable()?, handshake: self.optional()? })
    }

    fn optional_match(&mut self) -> Result<Option<Match>, String> {
        if self.starts_expression() || matches!(self.peek(), Some(Token::Regex(_))) {
            self.matching().map(Some)
        } else {
            Ok(None)
        }
    }

    fn headers(&mut self) -> Result<Vec<Expression>, String> {
        let mut headers = Vec::new();
        while self.word("header") {
            headers.push(self.expression()?);
        }
        Ok(headers)
    }

    fn frame(&mut self) -> Result<RawFrame, String> {
        let (mut more, mut reserved, mut wrong_mask, mut length) = (false, 0, false, None);
        let opcode = loop {
            match self.next() {
                Some(Token::Number(number)) if (0.0..16.0).contains(number) && number.fract() == 0.0 => {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
                    break *number as u8;
                }
                Some(Token::Word(word)) => match word.as_str() {
                    "more" => more = true,
                    "rsv1" => reserved |= 4,
                    "rsv2" => reserved |= 2,
                    "rsv3" => reserved |= 1,
                    "unmasked" | "masked" => wrong_mask = true,
                    "length" => length = Some(self.expression()?),
                    "continuation" => break 0,
                    "text" => break 1,
                    "binary" => break 2,
                    "close" => break 8,
                    "ping" => break 9,
                    "pong" => break 10,
                    other => return Err(format!("unknown part of a frame {other:?}")),
                },
                _ => return Err("a frame needs an opcode".to_owned()),
            }
        };
        let payload = if self.starts_expression() { self.expression()? } else { Expression::Bytes(Vec::new()) };
        Ok(RawFrame { more, reserved, wrong_mask, length, opcode, payload })
    }

    fn expect(&mut self, skip: bool) -> Result<Action, String> {
        let mut terms = Vec::new();
        while self.peek().is_some() && !self.is_word("after") && !self.is_word("within") {
            let mut choices = vec![self.choice()?];
            while self.symbol('&') {
                choices.push(self.choice()?);
            }
            terms.push(Term(choices));
        }
        if terms.is_empty() {
            return Err("something to expect is missing".to_owned());
        }
        Ok(Action::Expect { skip, terms })
    }

    fn choice(&mut self) -> Result<Choice, String> {
        let mut outcomes = vec![self.outcome()?];
        while self.symbol('|') {
            outcomes.push(self.outcome()?);
        }
        Ok(Choice(outcomes))
    }

    fn outcome(&mut self) -> Result<Outcome, String> {
        if let Some(status) = self.peek().and_then(status) {
            self.next();
            let body = self.optional_match()?;
            let (mut headers, mut without) = (Vec::new(), Vec::new());
            loop {
                if self.word("header") {
                    let name = self.plain_text()?;
                    headers.push((name, self.optional_match()?));
                } else if self.word("without") {
                    without.push(self.plain_text()?);
                } else {
                    break;
                }
            }
            return Ok(Outcome::Answer { status, body, headers, without });
        }
        Ok(if self.word("closed") {
            Outcome::Closed
        } else if self.word("finished") {
            Outcome::Finished
        } else if self.word("close") {
            Outcome::CloseFrame(self.expression()?)
        } else if self.word("ping") {
            Outcome::Ping(self.optional_match()?)
        } else if self.word("pong") {
            Outcome::Pong(self.optional_match()?)
        } else {
            Outcome::Packet(self.matching()?)
        })
    }

    fn matching(&mut self) -> Result<Match, String> {
        if self.word("anything") {
            return Ok(Match::Anything);
        }
        if self.is_word("msgpack")
            && let Some(Token::Single(template)) = self.tokens.get(1)
        {
            self.next();
            self.next();
            pattern::check(template)?;
            return Ok(Match::Msgpack(template.clone()));
        }
        match self.peek() {
            Some(Token::Single(template)) => {
                self.next();
                pattern::check(template)?;
                Ok(Match::Packet(template.clone()))
            }
            Some(Token::Regex(template)) => {
                self.next();
                pattern::check_regex(template)?;
                Ok(Match::Regex(template.clone()))
            }
            _ => self.expression().map(Match::Exact),
        }
    }

    fn plain_text(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Double(text) | Token::Single(text)) => {
                text.literal().ok_or("variables are not allowed here".to_owned())
            }
            _ => Err("a text is missing".to_owned()),
        }
    }

    /// A name such as `polling`, or a variable that holds it.
    fn name_or_variable(&mut self) -> Result<Expression, String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(Expression::Text(Template(vec![Part::Literal(word.clone())]))),
            Some(Token::Variable(name)) => Ok(Expression::Variable(name.clone())),
            _ => Err("the name of a transport is missing".to_owned()),
        }
    }

    fn starts_expression(&self) -> bool {
        match self.peek() {
            Some(Token::Double(_) | Token::Single(_) | Token::Bytes(_) | Token::Number(_) | Token::Variable(_)) => true,
            Some(Token::Symbol('(')) => true,
            Some(Token::Word(word)) => {
                Function::named(word).is_some() && matches!(self.tokens.get(1), Some(Token::Symbol('(')))
            }
            _ => false,
        }
    }

    fn optional(&mut self) -> Result<Option<Expression>, String> {
        if self.starts_expression() { self.expression().map(Some) } else { Ok(None) }
    }

    /// One or more expressions.
    fn expressions(&mut self) -> Result<Vec<Expression>, String> {
        let mut expressions = vec![self.expression()?];
        while self.starts_expression() {
            expressions.push(self.expression()?);
        }
        Ok(expressions)
    }

    fn expression(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        loop {
            if self.symbol('+') {
                left = Expression::Sum(Box::new(left), Box::new(self.product()?));
            } else if self.symbol('-') {
                left = Expression::Difference(Box::new(left), Box::new(self.product()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.factor()?;
        while self.symbol('*') {
            left = Expression::Product(Box::new(left), Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, String> {
        match self.next() {
            Some(Token::Double(template) | Token::Single(template)) => Ok(Expression::Text(template.clone())),
            Some(Token::Bytes(bytes)) => Ok(Expression::Bytes(bytes.clone())),
            Some(Token::Number(number)) => Ok(Expression::Number(*number)),
            Some(Token::Variable(name)) => Ok(Expression::Variable(name.clone())),
            Some(Token::Symbol('(')) => {
                let inside = self.expression()?;
                self.expect_symbol(')')?;
                Ok(inside)
            }
            Some(Token::Word(word)) => match Function::named(word) {
                Some(function) => {
                    self.expect_symbol('(')?;
                    let argument = self.expression()?;
                    self.expect_symbol(')')?;
                    Ok(Expression::Call(function, Box::new(argument)))
                }
                None => Err(format!("{word:?} is not a value; write texts in quotes")),
            },
            other => Err(format!("expected a value, found {other:?}")),
        }
    }
}

/// `400` or `4xx`.
fn status(token: &Token) -> Option<Status> {
    match token {
        Token::Number(number) if (100.0..600.0).contains(number) && number.fract() == 0.0 =>
        {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
            Some(Status::Exactly(*number as u16))
        }
        Token::Word(word) => {
            let hundreds = word.strip_suffix("xx")?.parse().ok()?;
            (1..6).contains(&hundreds).then_some(Status::Hundreds(hundreds))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_checked_against_a_value_or_a_regular_expression() {
        for (line, not) in [("check $a /x/", false), ("check $a not /x/", true)] {
            let steps = script(line).unwrap();
            assert!(matches!(&steps[0].action, Action::CheckPattern { not: seen, .. } if *seen == not));
        }
        assert!(matches!(script("check $a != 1").unwrap()[0].action, Action::Check { .. }));
        assert!(script("check $a").is_err());
    }

    #[test]
    fn an_upgrade_goes_to_a_websocket_unless_it_says_otherwise() {
        let transport = |line| match script(line).unwrap().remove(0).action {
            Action::Upgrade { transport } => transport.is_some(),
            other => panic!("{other:?}"),
        };
        assert!(!transport("upgrade within 2s"));
        assert!(transport("upgrade webtransport within 2s"));
        assert_eq!(script("webtransport").unwrap()[0].action, Action::WebTransport { session: None });
        let bob = Action::WebTransport { session: Some("bob".to_owned()) };
        assert_eq!(script("t: webtransport bob").unwrap()[0].action, bob);
    }

    #[test]
    fn a_session_can_be_taken_over() {
        assert_eq!(script("requests manual").unwrap()[0].action, Action::RequestsManual);
        assert_eq!(script("requests refused").unwrap()[0].action, Action::RequestsRefused);
        assert!(script("requests").is_err());
    }
}
