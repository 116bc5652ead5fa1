//! Source text without its comments and strings, so that a rule about code is not tripped by words.
//!
//! Not a parser: it knows just enough of Rust and JavaScript to find where comments and strings
//! begin and end, and keeps every line break, so that line numbers stay true.

/// Rust with comments, strings and character literals blanked.
pub(crate) fn of_rust(text: &str) -> String {
    Blanker::new(text, Language::Rust).run()
}

/// JavaScript with comments and quoted strings blanked; template literals stay, since they hold code.
pub(crate) fn of_javascript(text: &str) -> String {
    Blanker::new(text, Language::JavaScript).run()
}

/// Where a Rust file's tests begin, as a byte index: its end when it has none.
pub(crate) fn tests_at(text: &str) -> usize {
    text.find("\n#[cfg(test)]\n").unwrap_or(text.len())
}

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Rust,
    JavaScript,
}

struct Blanker<'a> {
    rest: &'a str,
    out: String,
    language: Language,
}

impl<'a> Blanker<'a> {
    fn new(text: &'a str, language: Language) -> Self {
        Self { rest: text, out: String::with_capacity(text.len()), language }
    }

    fn run(mut self) -> String {
        while let Some(first) = self.rest.chars().next() {
            let length = self.blank_length();
            if length == 0 {
                self.out.push(first);
                self.rest = &self.rest[first.len_utf8()..];
            } else {
                let (blanked, rest) = self.rest.split_at(length);
                self.out.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                self.rest = rest;
            }
        }
        self.out
    }

    /// How many bytes from here are a comment or a string; 0 for code.
    fn blank_length(&self) -> usize {
        let rest = self.rest;
        let rust = self.language == Language::Rust;
        if rest.starts_with("//") {
            return rest.find('\n').unwrap_or(rest.len());
        }
        if rest.starts_with("/*") {
            return block_comment(rest, rust);
        }
        if rest.starts_with('"') {
            return quoted(rest, '"', rust);
        }
        if rust {
            let in_a_word = self.out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            return raw_string(rest).filter(|_| !in_a_word).unwrap_or_else(|| character(rest));
        }
        if rest.starts_with('\'') { quoted(rest, '\'', false) } else { 0 }
    }
}

fn block_comment(rest: &str, nests: bool) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 || !nests {
                return at;
            }
        } else if here.starts_with(b"/*") && (nests || depth == 0) {
            depth += 1;
            at += 2;
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// A string in quotes with backslash escapes. Only Rust's run over line ends.
fn quoted(rest: &str, quote: char, over_lines: bool) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            // A quote inside a regular expression: give up at the end of its line.
            '\n' if !over_lines => return at,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#` and their `b` and `c` forms.
fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let text = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - text.len();
    Some(text.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// A character literal, and not a lifetime.
fn character(rest: &str) -> usize {
    let Some(body) = rest.strip_prefix('\'') else { return 0 };
    let mut characters = body.char_indices();
    match characters.next() {
        Some((_, '\\')) => body.char_indices().skip(2).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 2),
        Some(_) => characters.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 2),
        None => 0,
    }
}

#[test]
fn comments_and_strings_of_rust_are_blanked_and_code_is_kept() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y", 1)"#, "f(      , 1)"),
        (r##"f(r#"x"y"#, 1)"##, "f(        , 1)"),
        ("for\"x\"", "for   "),
        ("'a' 'b: '\\'' '\\u{1}'", "    'b:              "),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
    ];
    for (text, expected) in cases {
        assert_eq!(of_rust(text).trim_end(), expected.trim_end(), "{text}");
    }
}

#[test]
fn comments_and_strings_of_javascript_are_blanked_and_templates_are_kept() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d", "a              d"),
        ("f('x\\'y', \"z\")", "f(      ,    )"),
        ("`${eval(x)}`", "`${eval(x)}`"),
        ("a.match(/[']/)\nb", "a.match(/[    \nb"),
    ];
    for (text, expected) in cases {
        assert_eq!(of_javascript(text), expected, "{text}");
    }
}
