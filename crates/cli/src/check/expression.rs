//! The values of `w-` attributes, as the web client reads them (`web-client/src/expression.js`): the same language, held to
//! the same cases in `conformance/expressions/`.
//!
//! The client turns a text into closures; this turns it into a tree, of which [`types`](super::types) says what it comes to.

/// A text of the language.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) root: Node,
    /// A path and nothing else.
    pub(crate) plain: bool,
}

/// A part of an expression.
#[derive(Debug)]
pub(crate) enum Node {
    Path(Path),
    Literal(Literal),
    Not(Box<Node>),
    /// `a == b` and its kin, `&&` and `||`.
    Binary(&'static str, Box<Node>, Box<Node>),
    Choice(Box<Node>, Box<Node>, Box<Node>),
    /// A value, a format and its arguments.
    Format(Box<Node>, Vec<Node>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
}

/// A path that is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) base: Base,
    /// How many scopes outwards.
    pub(crate) hops: usize,
    pub(crate) steps: Vec<String>,
    /// Where it stands in the text.
    pub(crate) at: usize,
    /// As it is written.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Value,
    Local,
    Connection,
    Location,
    Event,
    Index,
}

impl Base {
    /// What the client calls it.
    #[cfg(test)]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Local => "local",
            Self::Connection => "connection",
            Self::Location => "location",
            Self::Event => "event",
            Self::Index => "index",
        }
    }
}

/// Why a text is none of the language.
#[derive(Debug, PartialEq)]
pub(crate) struct Wrong {
    /// The client's code for it.
    pub(crate) code: &'static str,
    pub(crate) text: String,
    /// Where in the text.
    pub(crate) at: usize,
}

impl Wrong {
    fn new(code: &'static str, text: impl Into<String>, at: usize) -> Self {
        Self { code, text: text.into(), at }
    }
}

/// One thing that an event does.
#[derive(Debug)]
pub(crate) enum Step {
    Action(String),
    Local(#[cfg_attr(not(test), allow(dead_code, reason = "the cases name it"))] String, Expression),
}

/// Reads the value of most attributes. `rows` are the names of the rows around it, outermost first.
pub(crate) fn parse(text: &str, rows: &[&str], formats: &[&str]) -> Result<Expression, Wrong> {
    Parser { text, rows, formats, token: "", at: 0, next: 0, paths: 0, parts: 0 }.all()
}

/// `todo of todos`, the value of `w-each`: the name, the list, and where the list stands.
pub(crate) fn parse_each(text: &str, rows: &[&str], formats: &[&str]) -> Result<(String, Expression, usize), Wrong> {
    let wrong = || Wrong::new("expression", "write it as 'todo of todos'", 0);
    let name = name_at(text.trim_start()).ok_or_else(wrong)?;
    let rest = &text[text.len() - text.trim_start().len() + name.len()..];
    let list = rest.trim_start().strip_prefix("of").filter(|list| {
        rest.starts_with(char::is_whitespace) && list.starts_with(char::is_whitespace) && !list.trim().is_empty()
    });
    let list =
        list.map(str::trim_start).filter(|_| !name.contains('$') && literal(name).is_none()).ok_or_else(wrong)?;
    let at = text.len() - list.len();
    let parsed = parse(list, rows, formats).map_err(|wrong| Wrong { at: wrong.at + at, ..wrong })?;
    Ok((name.to_owned(), parsed, at))
}

/// The value of `w-on:…`: steps with semicolons between, and where each stands.
pub(crate) fn parse_handler(text: &str, rows: &[&str], formats: &[&str]) -> Result<Vec<(Step, usize)>, Wrong> {
    let mut steps = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at <= text.len() {
        let rest = &text[at..];
        if rest.is_empty() || rest.starts_with(';') {
            // Nothing between two semicolons is no step, blanks are a wrong one.
            if at > from {
                steps.push((
                    parse_step(&text[from..at], rows, formats)
                        .map_err(|wrong| Wrong { at: wrong.at + from, ..wrong })?,
                    from,
                ));
            }
            from = at + 1;
            at += 1;
        } else {
            // A semicolon within quotes is text.
            at += quoted(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        }
    }
    if steps.is_empty() {
        steps.push((parse_step(text, rows, formats)?, 0));
    }
    Ok(steps)
}

fn parse_step(text: &str, rows: &[&str], formats: &[&str]) -> Result<Step, Wrong> {
    if let Some(local) = text.trim_start().strip_prefix("$local.")
        && let Some(name) = name_at(local).filter(|name| !name.contains('$'))
        && let Some(value) = local[name.len()..].trim_start().strip_prefix('=')
        && !value.starts_with('=')
    {
        let at = text.len() - value.len();
        let value = parse(value, rows, formats).map_err(|wrong| Wrong { at: wrong.at + at, ..wrong })?;
        return Ok(Step::Local(name.to_owned(), value));
    }
    let action = text.trim();
    let is_name =
        !action.is_empty() && action.chars().all(|letter| !letter.is_whitespace() && !"$'\"()=|".contains(letter));
    if is_name || matches!(action, "$cancel" | "$dismiss") {
        return Ok(Step::Action(action.to_owned()));
    }
    Err(Wrong::new("expression", "write the name of an action, $cancel, $dismiss, or $local.name = value", 0))
}

struct Parser<'a> {
    text: &'a str,
    rows: &'a [&'a str],
    formats: &'a [&'a str],
    /// The token in hand, empty at the end.
    token: &'a str,
    at: usize,
    next: usize,
    paths: usize,
    /// How many operands, nots and formats there were.
    parts: usize,
}

impl<'a> Parser<'a> {
    fn all(mut self) -> Result<Expression, Wrong> {
        self.advance()?;
        let mut root = self.choice()?;
        while self.take("|")? {
            root = self.format(root)?;
        }
        if !self.token.is_empty() {
            return Err(self.wrong(self.token));
        }
        let plain = self.paths == 1 && path_at(self.text.trim()) == self.text.trim().len();
        Ok(Expression { root, plain })
    }

    fn choice(&mut self) -> Result<Node, Wrong> {
        let test = self.binary(0)?;
        if !self.take("?")? {
            return Ok(test);
        }
        let then = self.choice()?;
        if !self.take(":")? {
            return Err(self.wrong(self.token));
        }
        let otherwise = self.choice()?;
        Ok(Node::Choice(Box::new(test), Box::new(then), Box::new(otherwise)))
    }

    fn binary(&mut self, level: usize) -> Result<Node, Wrong> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| **operator == self.token) {
            self.advance()?;
            let right = self.binary(level + 1)?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// Bounds how deep a value is, which is gone through by calls.
    fn part(&mut self) -> Result<(), Wrong> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            let text = format!("a value has at most {PARTS_MAX} parts: let the app work it out, in its view");
            return Err(Wrong::new("expression", text, self.at));
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<Node, Wrong> {
        self.part()?;
        if self.take("!")? {
            return Ok(Node::Not(Box::new(self.unary()?)));
        }
        if self.take("(")? {
            let value = self.choice()?;
            if !self.take(")")? {
                return Err(self.wrong(self.token));
            }
            return Ok(value);
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Node, Wrong> {
        let token = self.token;
        let node = if let Some(literal) = literal(token) {
            Node::Literal(literal)
        } else if !token.is_empty() && path_at(token) == token.len() {
            self.path(token)?
        } else if token.starts_with(['\'', '"']) {
            Node::Literal(Literal::Text(unescaped(&token[1..token.len() - 1])))
        } else if token.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-') {
            Node::Literal(Literal::Number(token.to_owned()))
        } else {
            return Err(self.wrong(token));
        };
        self.advance()?;
        Ok(node)
    }

    fn path(&mut self, token: &str) -> Result<Node, Wrong> {
        let depth = self.rows.len();
        let mut steps: Vec<String> = token.split('.').map(str::to_owned).collect();
        let name = steps[0].clone();
        let (base, hops) = if let Some(row) = self.rows.iter().rposition(|row| *row == name) {
            (Base::Value, depth - 1 - row)
        } else if name == "$index" {
            if depth == 0 {
                return Err(Wrong::new("expression", "$index is known inside w-each only", self.at));
            }
            (Base::Index, 0)
        } else if let Some((_, base)) = BASES.iter().find(|(known, _)| *known == name) {
            (*base, depth)
        } else if name.starts_with('$') && name != "$jobs" {
            let known = BASES.iter().map(|(name, _)| *name).chain(["$jobs", "$index"]);
            let text = format!("'{name}' is reserved{}", super::suggestion(&name, known));
            return Err(Wrong::new("unknown_name", text, self.at));
        } else {
            self.paths += 1;
            let path = Path { base: Base::Value, hops: depth, steps, at: self.at, text: token.to_owned() };
            return Ok(Node::Path(path));
        };
        steps.remove(0);
        self.paths += 1;
        Ok(Node::Path(Path { base, hops, steps, at: self.at, text: token.to_owned() }))
    }

    fn format(&mut self, value: Node) -> Result<Node, Wrong> {
        self.part()?;
        let name = self.token;
        let known = FORMATS.iter().chain(self.formats);
        if !known.clone().any(|format| *format == name) {
            let text = format!("no format '{name}'{}", super::suggestion(name, known.copied()));
            return Err(Wrong::new("unknown_format", text, self.at));
        }
        self.advance()?;
        let mut arguments = Vec::new();
        while !self.token.is_empty() && self.token != "|" {
            arguments.push(self.primary()?);
        }
        Ok(Node::Format(Box::new(value), arguments))
    }

    fn take(&mut self, token: &str) -> Result<bool, Wrong> {
        let is = self.token == token;
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn advance(&mut self) -> Result<(), Wrong> {
        let rest = &self.text[self.next..];
        let start = self.next + rest.len() - rest.trim_start().len();
        let rest = &self.text[start..];
        self.at = start;
        let length = token_at(rest);
        if length == 0 && !rest.is_empty() {
            return Err(self.wrong(rest.trim()));
        }
        self.token = &rest[..length];
        self.next = start + length;
        Ok(())
    }

    fn wrong(&self, token: &str) -> Wrong {
        let what = match token {
            "" => "the value ends too early".to_owned(),
            token => format!("'{}' is not expected here", token.chars().take(TOLD_MAX).collect::<String>()),
        };
        let text = format!("{what}; paths, literals, comparisons, && || ! ?: and | format are what there is");
        Wrong::new("expression", text, self.at)
    }
}

/// Ten times what a person puts into an attribute.
const PARTS_MAX: usize = 100;
/// Letters of what is wrong that are told.
const TOLD_MAX: usize = 40;

/// How long the token is that the text begins with; 0 when there is none.
fn token_at(text: &str) -> usize {
    let number = number_at(text);
    if number > 0 {
        return number;
    }
    if let Some(length) = quoted(text) {
        return length;
    }
    let path = path_at(text);
    if path > 0 {
        return path;
    }
    ["==", "!=", "<=", ">=", "&&", "||", "!", "<", ">", "?", ":", "(", ")", "|"]
        .iter()
        .find(|mark| text.starts_with(**mark))
        .map_or(0, |mark| mark.len())
}

fn number_at(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let whole = digits(&text[sign..]);
    if whole == 0 {
        return 0;
    }
    let end = sign + whole;
    let part = text[end..].strip_prefix('.').map_or(0, digits);
    if part == 0 { end } else { end + 1 + part }
}

/// How long the text in quotes is that this begins with, with its quotes.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => drop(letters.next()?),
            letter if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

/// How long the path is that the text begins with.
fn path_at(text: &str) -> usize {
    let Some(name) = name_at(text) else { return 0 };
    let mut end = name.len();
    while let Some(name) = text[end..].strip_prefix('.').and_then(name_at) {
        end += 1 + name.len();
    }
    end
}

/// The name that the text begins with.
fn name_at(text: &str) -> Option<&str> {
    let begins = |letter: char| letter == '_' || letter == '$' || letter.is_alphabetic() && !letter.is_numeric();
    text.chars().next().filter(|letter| begins(*letter))?;
    let end = text.find(|letter: char| !begins(letter) && !letter.is_numeric()).unwrap_or(text.len());
    Some(&text[..end])
}

fn literal(token: &str) -> Option<Literal> {
    match token {
        "true" => Some(Literal::Boolean(true)),
        "false" => Some(Literal::Boolean(false)),
        "null" => Some(Literal::Null),
        _ => None,
    }
}

/// Loosest first.
const LEVELS: [&[&str]; 4] = [&["||"], &["&&"], &["==", "!="], &["<", "<=", ">", ">="]];

const BASES: [(&str, Base); 4] = [
    ("$local", Base::Local),
    ("$connection", Base::Connection),
    ("$location", Base::Location),
    ("$event", Base::Event),
];

/// Those of `formats.js` and `more-formats.js`.
const FORMATS: [&str; 10] =
    ["number", "date", "percent", "currency", "bytes", "duration", "relative", "list", "upper", "lower"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cases(file: &str) -> Vec<Value> {
        let path = format!("{}/../../conformance/expressions/{file}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
    }

    fn rows(case: &Value) -> Vec<&str> {
        case["rows"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn paths<'a>(node: &'a Node, found: &mut Vec<&'a Path>) {
        match node {
            Node::Path(path) => found.push(path),
            Node::Literal(_) => {}
            Node::Not(value) => paths(value, found),
            Node::Binary(_, left, right) => [left, right].into_iter().for_each(|node| paths(node, found)),
            Node::Choice(test, then, otherwise) => {
                [test, then, otherwise].into_iter().for_each(|node| paths(node, found));
            }
            Node::Format(value, arguments) => {
                paths(value, found);
                arguments.iter().for_each(|node| paths(node, found));
            }
        }
    }

    fn uses(expression: &Expression) -> Value {
        let mut found = Vec::new();
        paths(&expression.root, &mut found);
        let use_of = |path: &&Path| json!({ "base": path.base.name(), "hops": path.hops, "path": path.steps });
        found.iter().map(use_of).collect()
    }

    #[test]
    fn values_are_read_as_the_client_reads_them() {
        for case in cases("values.json") {
            let text = case["text"].as_str().unwrap();
            match (parse(text, &rows(&case), &[]), case.get("error")) {
                (Ok(read), None) => {
                    assert_eq!(uses(&read), case["uses"], "{text}");
                    assert_eq!(read.plain, case["plain"] == true, "{text}");
                }
                (Err(wrong), Some(error)) => assert_eq!(wrong.code, *error, "{text}: {}", wrong.text),
                (read, error) => panic!("{text}: {read:?}, expected {error:?}"),
            }
        }
    }

    #[test]
    fn lists_are_read_as_the_client_reads_them() {
        for case in cases("lists.json") {
            let text = case["text"].as_str().unwrap();
            match (parse_each(text, &rows(&case), &[]), case.get("error")) {
                (Ok((name, list, at)), None) => {
                    assert_eq!((json!(name), uses(&list)), (case["name"].clone(), case["uses"].clone()), "{text}");
                    assert!(text[at..].trim_end().len() < text.len(), "{text}");
                }
                (Err(wrong), Some(error)) => assert_eq!(wrong.code, *error, "{text}: {}", wrong.text),
                (read, error) => panic!("{text}: {read:?}, expected {error:?}"),
            }
        }
    }

    #[test]
    fn handlers_are_read_as_the_client_reads_them() {
        for case in cases("handlers.json") {
            let text = case["text"].as_str().unwrap();
            match (parse_handler(text, &rows(&case), &[]), case.get("error")) {
                (Ok(steps), None) => {
                    let steps: Value = steps
                        .iter()
                        .map(|(step, _)| match step {
                            Step::Action(action) => json!({ "action": action }),
                            Step::Local(name, value) => json!({ "local": name, "uses": uses(value) }),
                        })
                        .collect();
                    assert_eq!(steps, case["steps"], "{text}");
                }
                (Err(wrong), Some(error)) => assert_eq!(wrong.code, *error, "{text}: {}", wrong.text),
                (read, error) => panic!("{text}: {read:?}, expected {error:?}"),
            }
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place() {
        for (text, at) in [("a ==", 4), ("a +b", 2), ("count | nummber", 8), ("$loca.x", 0), ("(a", 2)] {
            assert_eq!(parse(text, &[], &[]).map(drop).unwrap_err().at, at, "{text}");
        }
        assert_eq!(parse_each("todo of to+dos", &[], &[]).map(drop).unwrap_err().at, 10);
        assert_eq!(parse_handler("add; $local.x = a +", &[], &[]).map(drop).unwrap_err().at, 18);
        assert!(parse("n | shout", &[], &["shout"]).is_ok());
    }
}
