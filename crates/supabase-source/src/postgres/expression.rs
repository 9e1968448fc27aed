//! The few SQL expressions that are understood, in the form in which Postgres prints them (`ruleutils.c`).
//!
//! Keywords are in capitals there, names that need it in double quotes, texts in single quotes with `''` for a quote, and
//! literals carry their type: `'a'::text`. Anything else is not understood, and stays the SQL it is.

/// Nesting beyond this is not understood; it bounds the recursion.
const MAX_DEPTH: u32 = 32;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Column(String),
    Text(String),
    /// A number, as it is written.
    Number(String),
    Bool(bool),
    Null,
    Array(Vec<Expression>),
    /// The expression and the type's name.
    Cast(Box<Expression>, String),
    Equal(Box<Expression>, Box<Expression>),
    /// `left = ANY (right)`.
    EqualAny(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    IsNull(Box<Expression>),
}

impl Expression {
    /// The expression that the text is, as a whole.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let expression = parser.any()?;
        parser.tokens.is_empty().then_some(expression)
    }

    /// The expression without its casts, where `is_harmless` says so of each of their types.
    pub(super) fn uncast(&self, is_harmless: impl Fn(&str) -> bool) -> Option<&Self> {
        let mut expression = self;
        while let Self::Cast(inner, kind) = expression {
            if !is_harmless(kind) {
                return None;
            }
            expression = inner;
        }
        Some(expression)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A bare word, as it is written.
    Word(String),
    /// A name in double quotes.
    Name(String),
    Text(String),
    Number(String),
    /// `::`
    Cast,
    Sign(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '\'' => quoted(rest, '\'').map(|(text, after)| (Token::Text(text), after))?,
            '"' => quoted(rest, '"').map(|(text, after)| (Token::Name(text), after))?,
            '(' | ')' | '[' | ']' | ',' | '=' | '.' | '-' => (Token::Sign(first), rest.get(1..)?),
            ':' => (Token::Cast, rest.strip_prefix("::")?),
            _ if first.is_ascii_digit() => {
                let is_part = |char: char| char.is_ascii_digit() || matches!(char, '.' | 'e');
                let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
                let (number, after) = rest.split_at_checked(end)?;
                (Token::Number(number.to_owned()), after)
            }
            _ if first.is_alphabetic() || first == '_' => {
                let is_part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
                let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end)?;
                // `B'101'` and `E'…'` are no name beside a text.
                if after.starts_with('\'') {
                    return None;
                }
                (Token::Word(word.to_owned()), after)
            }
            _ => return None,
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Some(tokens)
}

/// The text between two quotes, in which a doubled one stands for one, and what follows.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let (before, after) = rest.split_once(quote)?;
        inner.push_str(before);
        match after.strip_prefix(quote) {
            Some(more) => {
                inner.push(quote);
                rest = more;
            }
            None => return Some((inner, after)),
        }
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    depth: u32,
}

impl Parser<'_> {
    fn take(&mut self, wanted: &Token) -> Option<()> {
        let (first, rest) = self.tokens.split_first()?;
        (first == wanted).then(|| self.tokens = rest)
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.take(&Token::Sign(sign))
    }

    fn keyword(&mut self, word: &str) -> Option<()> {
        match self.tokens.split_first()? {
            (Token::Word(found), rest) if found == word => {
                self.tokens = rest;
                Some(())
            }
            _ => None,
        }
    }

    fn any(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let mut left = self.comparison()?;
        while self.keyword("OR").is_some() {
            left = Expression::Or(Box::new(left), Box::new(self.comparison()?));
        }
        self.depth -= 1;
        Some(left)
    }

    fn comparison(&mut self) -> Option<Expression> {
        let left = self.cast()?;
        if self.keyword("IS").is_some() {
            self.keyword("NULL")?;
            return Some(Expression::IsNull(Box::new(left)));
        }
        if self.sign('=').is_none() {
            return Some(left);
        }
        if self.keyword("ANY").is_some() {
            self.sign('(')?;
            let right = self.any()?;
            self.sign(')')?;
            return Some(Expression::EqualAny(Box::new(left), Box::new(right)));
        }
        Some(Expression::Equal(Box::new(left), Box::new(self.cast()?)))
    }

    fn cast(&mut self) -> Option<Expression> {
        let mut expression = self.atom()?;
        while self.take(&Token::Cast).is_some() {
            expression = Expression::Cast(Box::new(expression), self.type_name()?);
        }
        Some(expression)
    }

    fn atom(&mut self) -> Option<Expression> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        match first {
            Token::Sign('(') => {
                let inner = self.any()?;
                self.sign(')')?;
                Some(inner)
            }
            Token::Sign('-') => match rest.split_first()? {
                (Token::Number(number), rest) => {
                    self.tokens = rest;
                    Some(Expression::Number(format!("-{number}")))
                }
                _ => None,
            },
            Token::Text(text) => Some(Expression::Text(text.clone())),
            Token::Number(number) => Some(Expression::Number(number.clone())),
            Token::Name(name) => Some(Expression::Column(name.clone())),
            Token::Word(word) => match word.as_str() {
                "ARRAY" => self.array(),
                "NULL" => Some(Expression::Null),
                "true" => Some(Expression::Bool(true)),
                "false" => Some(Expression::Bool(false)),
                // Keywords such as NOT and CURRENT_DATE are in capitals, bare names are not.
                name if name.chars().all(|char| !char.is_ascii_uppercase()) => {
                    Some(Expression::Column(name.to_owned()))
                }
                _ => None,
            },
            Token::Cast | Token::Sign(_) => None,
        }
    }

    fn array(&mut self) -> Option<Expression> {
        self.sign('[')?;
        let mut items = Vec::new();
        if self.sign(']').is_some() {
            return Some(Expression::Array(items));
        }
        loop {
            items.push(self.any()?);
            if self.sign(',').is_none() {
                self.sign(']')?;
                return Some(Expression::Array(items));
            }
        }
    }

    /// `text`, `character varying(20)`, `numeric(10,2)[]`, `public."Mood"`: written as Postgres does, without modifier.
    fn type_name(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            match self.tokens.split_first()? {
                (Token::Word(word), rest) => {
                    name.push_str(word);
                    self.tokens = rest;
                }
                (Token::Name(quoted), rest) => {
                    name.push('"');
                    name.push_str(&quoted.replace('"', "\"\""));
                    name.push('"');
                    self.tokens = rest;
                }
                _ => return None,
            }
            if self.sign('.').is_some() {
                name.push('.');
                continue;
            }
            self.modifier()?;
            match self.tokens.first() {
                Some(Token::Word(word)) if word.chars().all(|char| char.is_ascii_lowercase()) => name.push(' '),
                _ => break,
            }
        }
        while self.sign('[').is_some() {
            self.sign(']')?;
            name.push_str("[]");
        }
        Some(name)
    }

    fn modifier(&mut self) -> Option<()> {
        if self.sign('(').is_none() {
            return Some(());
        }
        loop {
            match self.tokens.split_first()? {
                (Token::Number(_) | Token::Word(_) | Token::Sign(',' | '-'), rest) => self.tokens = rest,
                _ => return self.sign(')'),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn casts_arrays_and_names_are_understood() {
        let text = |text: &str| Box::new(Expression::Text(text.to_owned()));
        assert_eq!(
            Expression::parse("ARRAY['it''s'::character varying(20), \"Odd \"\"name\"\"\"]").unwrap(),
            Expression::Array(vec![
                Expression::Cast(text("it's"), "character varying".to_owned()),
                Expression::Column("Odd \"name\"".to_owned()),
            ])
        );
        assert_eq!(
            Expression::parse("'x'::public.\"Mood\"[]").unwrap(),
            Expression::Cast(text("x"), "public.\"Mood\"[]".to_owned())
        );
        assert_eq!(
            Expression::parse("'2024-01-01 00:00:00+00'::timestamp(3) with time zone").unwrap(),
            Expression::Cast(text("2024-01-01 00:00:00+00"), "timestamp with time zone".to_owned())
        );
        assert_eq!(Expression::parse("(-1.5)").unwrap(), Expression::Number("-1.5".to_owned()));
    }

    #[test]
    fn what_is_something_else_is_not_understood() {
        for text in [
            "",
            "now()",
            "B'101'",
            "a > 1",
            "'open",
            "NOT a",
            "CURRENT_DATE",
            "a = b = c",
            "'a'::",
            "1 +",
            "a::text)",
            "- -1",
        ] {
            assert_eq!(Expression::parse(text), None, "{text}");
        }
        assert_eq!(Expression::parse(&"(".repeat(100_000)), None);
        assert_eq!(Expression::parse(&"-".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in ".*") {
            let literal = format!("('{}'::text)", text.replace('\'', "''"));
            let expected = Expression::Cast(Box::new(Expression::Text(text)), "text".to_owned());
            prop_assert_eq!(Expression::parse(&literal), Some(expected));
        }

        #[test]
        fn nothing_panics(text in ".*") {
            let _ = Expression::parse(&text);
        }

        #[test]
        fn nothing_of_its_own_signs_panics(text in "[a-zA-Z0-9 ()\\[\\]'\":,.=-]{0,60}") {
            let _ = Expression::parse(&text);
        }
    }
}
