//! Reads types and declarations as ts-rs and [`Description`](crate::Description) write them.

use std::fmt;
use std::str::FromStr;

use crate::ty::{Declaration, Index, Literal, Member, Type};

/// Why a text is no description of types.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Something else was expected. The file was not written by `windlass types`, or changed by hand: write it again.
    Unexpected {
        /// The line, from 1.
        line: usize,
        /// What was expected.
        expected: &'static str,
        /// What is there; empty at the end.
        found: String,
    },
    /// Two types have one name in TypeScript: give one of them another with `#[ts(rename = "…")]`.
    Twice(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { line, expected, found } => {
                let found = if found.is_empty() { "the end" } else { found };
                write!(f, "line {line}: {expected} was expected, not {found}")
            }
            Self::Twice(name) => {
                write!(f, "two types are called {name}: give one another name with #[ts(rename = \"…\")]")
            }
        }
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Type {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        let ty = parser.ty()?;
        if parser.token != Token::End {
            return parser.wrong("nothing more");
        }
        Ok(ty)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Text(String),
    Number(String),
    Mark(char),
    End,
}

/// Reads one token ahead; documentation comments are kept for what follows them.
pub(crate) struct Parser<'a> {
    rest: &'a str,
    whole: &'a str,
    pub(crate) token: Token,
    docs: Option<String>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self, ParseError> {
        let mut parser = Self { rest: text, whole: text, token: Token::End, docs: None };
        parser.advance()?;
        Ok(parser)
    }

    /// `type Name<T> = …;` or `interface Name { … }`, with `export` in front or not.
    pub(crate) fn declaration(&mut self) -> Result<(String, Declaration), ParseError> {
        let docs = self.docs.take();
        self.take_name("export")?;
        let is_interface = self.take_name("interface")?;
        if !is_interface && !self.take_name("type")? {
            return self.wrong("`type` or `interface`");
        }
        let name = self.name()?;
        let mut parameters = Vec::new();
        if self.take('<')? {
            while !self.take('>')? {
                parameters.push(self.name()?);
                self.take(',')?;
            }
        }
        if !is_interface {
            self.expect('=', "`=`")?;
        }
        let ty = self.ty()?;
        self.take(';')?;
        Ok((name, Declaration { parameters, ty, docs }))
    }

    pub(crate) fn ty(&mut self) -> Result<Type, ParseError> {
        self.separated('|', Self::intersection, Type::Union)
    }

    fn intersection(&mut self) -> Result<Type, ParseError> {
        self.separated('&', Self::postfix, Type::Intersection)
    }

    fn separated(
        &mut self,
        mark: char,
        one: fn(&mut Self) -> Result<Type, ParseError>,
        many: fn(Vec<Type>) -> Type,
    ) -> Result<Type, ParseError> {
        // One in front, as of a union that is broken into lines, means nothing.
        self.take(mark)?;
        let mut types = vec![one(self)?];
        while self.take(mark)? {
            types.push(one(self)?);
        }
        Ok(if types.len() == 1 { types.swap_remove(0) } else { many(types) })
    }

    fn postfix(&mut self) -> Result<Type, ParseError> {
        let mut ty = self.primary()?;
        while self.take('[')? {
            self.expect(']', "`]`")?;
            ty = Type::Array(Box::new(ty));
        }
        Ok(ty)
    }

    fn primary(&mut self) -> Result<Type, ParseError> {
        match self.token.clone() {
            Token::Text(text) => {
                self.advance()?;
                Ok(Type::Literal(Literal::String(text)))
            }
            Token::Number(number) => {
                self.advance()?;
                Ok(Type::Literal(Literal::Number(number)))
            }
            Token::Mark('(') => {
                self.advance()?;
                let ty = self.ty()?;
                self.expect(')', "`)`")?;
                Ok(ty)
            }
            Token::Mark('[') => {
                self.advance()?;
                Ok(Type::Tuple(self.list(']')?))
            }
            Token::Mark('{') => self.object(),
            Token::Name(name) => {
                self.advance()?;
                let arguments = if self.take('<')? { self.list('>')? } else { Vec::new() };
                Ok(named(name, arguments))
            }
            _ => self.wrong("a type"),
        }
    }

    /// Types with commas between, up to a mark.
    fn list(&mut self, end: char) -> Result<Vec<Type>, ParseError> {
        let mut types = Vec::new();
        while !self.take(end)? {
            types.push(self.ty()?);
            if !self.take(',')? && self.token != Token::Mark(end) {
                return self.wrong("a comma");
            }
        }
        Ok(types)
    }

    fn object(&mut self) -> Result<Type, ParseError> {
        self.expect('{', "`{`")?;
        let (mut members, mut index) = (Vec::new(), None);
        while self.token != Token::Mark('}') {
            let docs = self.docs.take();
            if self.take('[')? {
                self.name()?;
                if !self.take_name("in")? {
                    self.expect(':', "`in`")?;
                }
                let key = self.ty()?;
                self.expect(']', "`]`")?;
                let optional = self.take('?')?;
                self.expect(':', "`:`")?;
                let value = self.ty()?;
                index = Some(Box::new(Index { key, optional, value }));
            } else {
                let name = match self.token.clone() {
                    Token::Name(name) | Token::Text(name) | Token::Number(name) => name,
                    _ => return self.wrong("the name of a member"),
                };
                self.advance()?;
                let optional = self.take('?')?;
                let ty = if self.take('(')? {
                    self.function()?
                } else {
                    self.expect(':', "`:`")?;
                    self.ty()?
                };
                members.push(Member { name, optional, ty, docs });
            }
            let _ = self.take(',')? || self.take(';')?;
        }
        // A comment behind the last member belongs to nothing.
        self.docs = None;
        self.expect('}', "`}`")?;
        Ok(Type::Object(members, index))
    }

    /// What follows `name(`.
    fn function(&mut self) -> Result<Type, ParseError> {
        self.name()?;
        self.expect(':', "`:`")?;
        let payload = self.ty()?;
        self.expect(')', "`)`")?;
        self.expect(':', "`:`")?;
        let reply = self.ty()?;
        Ok(Type::Function(Box::new(payload), Box::new(reply)))
    }

    fn name(&mut self) -> Result<String, ParseError> {
        let Token::Name(name) = self.token.clone() else { return self.wrong("a name") };
        self.advance()?;
        Ok(name)
    }

    fn take(&mut self, mark: char) -> Result<bool, ParseError> {
        self.take_if(self.token == Token::Mark(mark))
    }

    fn take_name(&mut self, name: &str) -> Result<bool, ParseError> {
        self.take_if(matches!(&self.token, Token::Name(found) if found == name))
    }

    fn take_if(&mut self, is: bool) -> Result<bool, ParseError> {
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, mark: char, expected: &'static str) -> Result<(), ParseError> {
        if self.take(mark)? { Ok(()) } else { self.wrong(expected) }
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, ParseError> {
        let found = match &self.token {
            Token::Name(text) | Token::Number(text) => text.clone(),
            Token::Text(text) => format!("{text:?}"),
            Token::Mark(mark) => mark.to_string(),
            Token::End => String::new(),
        };
        Err(ParseError::Unexpected { line: self.line(), expected, found })
    }

    fn line(&self) -> usize {
        self.whole[..self.whole.len() - self.rest.len()].matches('\n').count() + 1
    }

    fn advance(&mut self) -> Result<(), ParseError> {
        self.skip();
        let mut letters = self.rest.chars();
        let Some(first) = letters.next() else {
            self.token = Token::End;
            return Ok(());
        };
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
        self.token = if first == '"' {
            let end = text_end(self.rest);
            let Some(text) = end.and_then(|end| serde_json::from_str(&self.rest[..end]).ok()) else {
                self.token = Token::Mark('"');
                return self.wrong("a text");
            };
            self.rest = &self.rest[end.unwrap_or_default()..];
            Token::Text(text)
        } else if first.is_ascii_digit() || first == '-' {
            Token::Number(self.cut(|letter| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-'))
        } else if is_name(first) {
            Token::Name(self.cut(is_name))
        } else {
            self.rest = letters.as_str();
            Token::Mark(first)
        };
        Ok(())
    }

    fn cut(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.to_owned()
    }

    /// Skips blanks and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let (text, rest) = comment.split_once("*/").unwrap_or((comment, ""));
                self.docs = text.strip_prefix('*').map(plain);
                self.rest = rest;
            } else {
                return;
            }
        }
    }
}

/// Where a text that begins with a quote ends.
fn text_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The lines of a documentation comment, without stars.
pub(crate) fn plain(comment: &str) -> String {
    let lines = comment.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix('*').unwrap_or(line).trim()
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn named(name: String, mut arguments: Vec<Type>) -> Type {
    match (&*name, arguments.len()) {
        ("unknown" | "any", 0) => Type::Unknown,
        ("never", 0) => Type::Never,
        ("null" | "void", 0) => Type::Null,
        ("undefined", 0) => Type::Undefined,
        ("boolean", 0) => Type::Boolean,
        // JSON has no other numbers, whatever was set for those beyond 2^53.
        ("number" | "bigint", 0) => Type::Number,
        ("string", 0) => Type::String,
        ("true", 0) => Type::Literal(Literal::Boolean(true)),
        ("false", 0) => Type::Literal(Literal::Boolean(false)),
        ("Array", 1) => Type::Array(Box::new(arguments.swap_remove(0))),
        // ts-rs writes a struct without members as `Record<symbol, never>`.
        ("Record", 2) if arguments[1] == Type::Never => Type::Object(Vec::new(), None),
        _ => Type::Named(name, arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ts_rs_writes_is_read_and_written_again() {
        for (text, again) in [
            ("number", "number"),
            ("bigint", "number"),
            ("Array<[number, Kind]> | null", "[number, Kind][] | null"),
            ("Array<number | null>", "(number | null)[]"),
            ("{ [key in string]: Array<Kind> }", "{ [key in string]: Kind[] }"),
            ("{ [key in Kind]?: number }", "{ [key in Kind]?: number }"),
            ("Record<symbol, never>", "{}"),
            (
                r#"{ "type": "A", x: number, } | { "type": "B" } & Inner"#,
                "{ type: \"A\", x: number } | ({ type: \"B\" } & Inner)",
            ),
            (r#"{ "a-b": number, "c\"d"?: 1 | -2.5 | true }"#, r#"{ "a-b": number, "c\"d"?: 1 | -2.5 | true }"#),
            (
                "{ a: number, } & ({ b: null } | string) & ({ [key in string]: number })",
                "{ a: number } & ({ b: null } | string) & { [key in string]: number }",
            ),
            ("Gen<number, Array<string>>", "Gen<number, string[]>"),
        ] {
            let ty: Type = text.parse().unwrap();
            assert_eq!(ty.to_string(), again);
            assert_eq!(again.parse::<Type>().unwrap(), ty, "{again}");
        }
    }

    #[test]
    fn what_is_no_type_is_told_with_its_line() {
        for (text, message) in [
            ("", "line 1: a type was expected, not the end"),
            ("{ a:\n\n }", "line 3: a type was expected, not }"),
            ("[number string]", "line 1: a comma was expected, not string"),
            ("number number", "line 1: nothing more was expected, not number"),
            ("{ a number }", "line 1: `:` was expected, not number"),
            ("\"open", "line 1: a text was expected, not \""),
        ] {
            assert_eq!(text.parse::<Type>().unwrap_err().to_string(), message);
        }
    }
}
