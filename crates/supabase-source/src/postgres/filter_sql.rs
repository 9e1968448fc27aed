//! Row filters, which are written in PostgREST's query syntax, as SQL (PostgREST docs, "Tables and Views", "Operators";
//! `QueryParams.hs` and `SqlFragment.hs`).

use migrate_core::{Error, ErrorKind, Result};

use super::statement::{literal, quoted};
use crate::filter::RowFilter;
use crate::query::Filter;

/// What an operator compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// One value.
    Value,
    /// One value, or with `(any)` or `(all)` an array of them.
    Values,
    /// The same, of a pattern in which `*` may stand for `%`.
    Patterns,
}

/// Operators and their SQL.
const OPERATORS: &[(&str, &str, Takes)] = &[
    ("eq", "=", Takes::Values),
    ("neq", "<>", Takes::Value),
    ("gt", ">", Takes::Values),
    ("gte", ">=", Takes::Values),
    ("lt", "<", Takes::Values),
    ("lte", "<=", Takes::Values),
    ("like", "like", Takes::Patterns),
    ("ilike", "ilike", Takes::Patterns),
    ("match", "~", Takes::Values),
    ("imatch", "~*", Takes::Values),
    ("isdistinct", "is distinct from", Takes::Value),
    ("cs", "@>", Takes::Value),
    ("cd", "<@", Takes::Value),
    ("ov", "&&", Takes::Value),
    ("sl", "<<", Takes::Value),
    ("sr", ">>", Takes::Value),
    ("nxr", "&<", Takes::Value),
    ("nxl", "&>", Takes::Value),
    ("adj", "-|-", Takes::Value),
];

/// Operators of text search, and the functions that read what is searched for.
const SEARCHES: &[(&str, &str)] = &[
    ("fts", "to_tsquery"),
    ("plfts", "plainto_tsquery"),
    ("phfts", "phraseto_tsquery"),
    ("wfts", "websearch_to_tsquery"),
];

/// What `is` compares with.
const STATES: &[(&str, &str)] = &[
    ("null", "is null"),
    ("not_null", "is not null"),
    ("true", "is true"),
    ("false", "is false"),
    ("unknown", "is unknown"),
];

/// The conditions of a filter; all of them hold for a row that is read.
///
/// # Errors
/// `Config` naming the filter's place, for what PostgREST does not take either, and for a filter on another table's rows.
pub(super) fn conditions(filter: &RowFilter) -> Result<Vec<String>> {
    let one = |parameter: &Filter| {
        let Filter::Parameter(name, value) = parameter else { return Err("a part that is no parameter") };
        match name.as_str() {
            "and" | "or" => tree(name, value, false),
            "not.and" => tree("and", value, true),
            "not.or" => tree("or", value, true),
            _ => {
                let mut text = Text(name);
                let field = text.field()?;
                if !text.0.is_empty() {
                    return Err("a column of another table");
                }
                Text(value).comparison(&field, Within::Parameter)
            }
        }
    };
    filter.parameters.iter().map(|parameter| one(parameter).map_err(|found| refuse(filter, found))).collect()
}

fn refuse(filter: &RowFilter, found: &str) -> Error {
    Error::new(ErrorKind::Config, format!("read the row filter as SQL: it has {found}"))
        .with_context("filter", &filter.place)
        .with_remedy("mend the filter, or leave supabase.access at \"rest\", where the data API applies it")
}

fn tree(name: &str, value: &str, is_negated: bool) -> Result<String, &'static str> {
    let mut text = Text(value);
    let found = text.members(name)?;
    if !text.0.is_empty() {
        return Err("something after its last parenthesis");
    }
    Ok(negated(found, is_negated))
}

fn negated(condition: String, is_negated: bool) -> String {
    if is_negated { format!("not ({condition})") } else { condition }
}

/// Where a value stands: it ends with the parameter, or at a comma or parenthesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Parameter,
    Tree,
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
struct Text<'t>(&'t str);

impl<'t> Text<'t> {
    fn skip(&mut self, prefix: &str) -> bool {
        match self.0.strip_prefix(prefix) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// Takes what comes before one of `ends`.
    fn until(&mut self, ends: &[char]) -> &'t str {
        let end = self.0.find(ends).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// A text in double quotes, in which a backslash takes the next character as it is.
    fn quoted(&mut self) -> Result<Option<String>, &'static str> {
        let Some(rest) = self.0.strip_prefix('"') else { return Ok(None) };
        let mut text = String::new();
        let mut chars = rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.0 = rest.get(at + 1..).unwrap_or_default();
                    return Ok(Some(text));
                }
                '\\' => text.extend(chars.next().map(|(_, char)| char)),
                char => text.push(char),
            }
        }
        Err("a quote that is not closed")
    }

    /// A column, and a path into its JSON: `data->a->>b`.
    fn field(&mut self) -> Result<String, &'static str> {
        let name = match self.quoted()? {
            Some(name) => name,
            None => self.name(),
        };
        if name.is_empty() {
            return Err("a condition without a column");
        }
        let column = format!("t.{}", quoted(&name));
        let mut path = String::new();
        loop {
            let arrow = if self.skip("->>") {
                "->>"
            } else if self.skip("->") {
                "->"
            } else {
                break;
            };
            let key = match self.quoted()? {
                Some(key) => key,
                None => self.name(),
            };
            // A number is an element's place, but PostgREST takes one of an object's keys for it too.
            let key = if key.parse::<i32>().is_ok() { key } else { literal(&key) };
            path.push_str(arrow);
            path.push_str(&key);
        }
        Ok(if path.is_empty() { column } else { format!("(pg_catalog.to_jsonb({column}){path})") })
    }

    /// A name without quotes; a dash is part of it unless it begins an arrow.
    fn name(&mut self) -> String {
        let is_end = |at: usize, char: char| {
            matches!(char, '.' | ',' | '(' | ')' | '"') || self.0.get(at..).is_some_and(|rest| rest.starts_with("->"))
        };
        let end = self.0.char_indices().find(|&(at, char)| is_end(at, char)).map_or(self.0.len(), |(at, _)| at);
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name.trim().to_owned()
    }

    /// `(a.gt.1,not.and(…))`, joined by `operator`.
    fn members(&mut self, operator: &str) -> Result<String, &'static str> {
        if !self.skip("(") {
            return Err("a tree without parentheses");
        }
        let mut found = Vec::new();
        loop {
            self.0 = self.0.trim_start();
            found.push(self.member()?);
            self.0 = self.0.trim_start();
            if self.skip(")") {
                return Ok(format!("({})", found.join(&format!(" {operator} "))));
            }
            if !self.skip(",") {
                return Err("a tree that is not closed");
            }
        }
    }

    fn member(&mut self) -> Result<String, &'static str> {
        let before = *self;
        let is_negated = self.skip("not.");
        for operator in ["and", "or"] {
            let mut rest = *self;
            if rest.skip(operator) && rest.0.starts_with('(') {
                let found = rest.members(operator)?;
                *self = rest;
                return Ok(negated(found, is_negated));
            }
        }
        *self = before;
        let field = self.field()?;
        if !self.skip(".") {
            return Err("a condition without an operator");
        }
        self.comparison(&field, Within::Tree)
    }

    /// `eq.1`, `not.in.(1,2)`, `like(any).{a*,b*}`.
    fn comparison(&mut self, field: &str, within: Within) -> Result<String, &'static str> {
        let is_negated = self.skip("not.");
        let operator = self.until(&['.', '(', ',', ')']);
        let modifier = if self.skip("(") {
            let modifier = self.until(&[')']);
            if !self.skip(")") {
                return Err("an operator that is not closed");
            }
            Some(modifier)
        } else {
            None
        };
        if !self.skip(".") {
            return Err("an operator without a value");
        }
        let condition = self.operation(field, operator, modifier, within)?;
        Ok(negated(condition, is_negated))
    }

    fn operation(
        &mut self,
        field: &str,
        operator: &str,
        modifier: Option<&str>,
        within: Within,
    ) -> Result<String, &'static str> {
        match (operator, modifier) {
            ("in", None) => {
                let values = self.list()?;
                return Ok(format!("{field} = any ({})", literal(&array(&values))));
            }
            ("is", None) => {
                let state = self.value(within)?;
                let known = STATES.iter().find(|(name, _)| state.eq_ignore_ascii_case(name));
                return known.map(|(_, sql)| format!("{field} {sql}")).ok_or("an is with what it does not compare");
            }
            _ => {}
        }
        if let Some((_, function)) = SEARCHES.iter().find(|(name, _)| *name == operator) {
            let configuration = modifier.map(|name| format!("{}, ", literal(name))).unwrap_or_default();
            return Ok(format!("{field} @@ {function}({configuration}{})", literal(&self.value(within)?)));
        }
        let known = OPERATORS.iter().find(|(name, ..)| *name == operator);
        let Some((_, sql, takes)) = known else { return Err("an operator that is not known") };
        let value = self.value(within)?;
        let value = literal(&if *takes == Takes::Patterns { value.replace('*', "%") } else { value });
        match modifier {
            None => Ok(format!("{field} {sql} {value}")),
            Some(quantifier @ ("any" | "all")) if *takes != Takes::Value => {
                Ok(format!("{field} {sql} {quantifier} ({value})"))
            }
            Some(_) => Err("an operator with a modifier that it does not take"),
        }
    }

    fn value(&mut self, within: Within) -> Result<String, &'static str> {
        if within == Within::Parameter {
            return Ok(std::mem::take(&mut self.0).to_owned());
        }
        if let Some(value) = self.quoted()? {
            return Ok(value);
        }
        if self.0.starts_with('{') {
            let array = self.until(&['}']);
            return if self.skip("}") { Ok(format!("{array}}}")) } else { Err("an array that is not closed") };
        }
        Ok(self.until(&[',', ')']).to_owned())
    }

    /// `(a,"b,c")`; no value at all where there is nothing between the parentheses.
    fn list(&mut self) -> Result<Vec<String>, &'static str> {
        if !self.skip("(") {
            return Err("a list without parentheses");
        }
        if self.skip(")") {
            return Ok(Vec::new());
        }
        let mut values = Vec::new();
        loop {
            values.push(match self.quoted()? {
                Some(value) => value,
                None => self.until(&[',', ')']).to_owned(),
            });
            if self.skip(")") {
                return Ok(values);
            }
            if !self.skip(",") {
                return Err("a list that is not closed");
            }
        }
    }
}

/// The text of an array with these elements.
fn array(values: &[String]) -> String {
    let quoted = values.iter().map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> Result<Vec<String>> {
        conditions(&RowFilter::parse(&"orders".parse()?, text)?)
    }

    #[test]
    fn operators_are_sqls() {
        for (filter, expected) in [
            ("a=eq.x,\"y\"", r#"t."a" = 'x,"y"'"#),
            ("\"a.b\"=not.gte.it's", r#"not (t."a.b" >= 'it''s')"#),
            ("a-b=is.not_null", r#"t."a-b" is not null"#),
            ("a=in.(1,\"b,\\\"c\",)", r#"t."a" = any ('{"1","b,\"c",""}')"#),
            ("a=in.()", r#"t."a" = any ('{}')"#),
            ("a=like.b*", r#"t."a" like 'b%'"#),
            ("a=ilike(any).{b*,c}", r#"t."a" ilike any ('{b%,c}')"#),
            ("a=plfts(english).the cat", r#"t."a" @@ plainto_tsquery('english', 'the cat')"#),
            ("a->b->>0=eq.x", r#"(pg_catalog.to_jsonb(t."a")->'b'->>0) = 'x'"#),
            ("a=cs.{1,2}", r#"t."a" @> '{1,2}'"#),
            (
                "or=(a.gt.1,and(b.is.null,not.or(c.eq.\"x,)\",d.in.(1,2))),e.not.ov.{1,2})",
                r#"(t."a" > '1' or (t."b" is null and not ((t."c" = 'x,)' or t."d" = any ('{"1","2"}')))) or not (t."e" && '{1,2}'))"#,
            ),
            ("not.and=(a.eq.1,b.eq.2)", r#"not ((t."a" = '1' and t."b" = '2'))"#),
        ] {
            assert_eq!(sql(filter).unwrap(), [expected], "{filter}");
        }
        assert_eq!(sql("a=eq.1&b=lt.2").unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_filter_on_the_table_is_refused() {
        for text in ["a.b=eq.1", "a=x.1", "a=eq", "or=a.eq.1", "or=(a.eq.1", "a=in.(1", "a=is.maybe", "a=neq(any).{1}"]
        {
            let error = sql(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.to_string().contains("tables.orders.filter"), "{text}: {error}");
        }
    }
}
