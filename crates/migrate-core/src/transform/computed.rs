use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};

use super::json::json_to_value;
use crate::catalog::{Column, ScalarKind};
use crate::names::FieldName;
use crate::plan::{Conversion, FieldType, PlanField};
use crate::record::{Record, RejectCode, RowError};
use crate::value::Value;

/// Expressions see a row's columns and nothing else: no files, no clock, no other rows.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment
});

/// An expression over a row's columns, in the syntax of Jinja: `first_name ~ " " ~ (last_name or "")`, `address.city`,
/// `price * 100 if price else none`, `status | upper`.
///
/// Texts, dates, times, uuids and decimals are texts in it (`amount | float` makes a number of one), integers and
/// doubles are numbers, JSON columns are objects and lists, NULL is `none`.
#[derive(Debug)]
pub struct Expression(minijinja::Expression<'static, 'static>);

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        ENVIRONMENT
            .compile_expression_owned(text.to_owned())
            .map(Self)
            .map_err(|error| error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
    }

    /// The columns it names, in alphabetical order.
    #[must_use]
    pub fn columns(&self) -> Vec<FieldName> {
        let is_known = |name: &String| ENVIRONMENT.globals().any(|(global, _)| global == name);
        let mut names: Vec<String> =
            self.0.undeclared_variables(false).into_iter().filter(|name| !is_known(name)).collect();
        names.sort_unstable();
        names.iter().map(|name| FieldName::from(name.as_str())).collect()
    }

    /// Whether a NULL would become the word that NULL is printed as, as in `first_name ~ last_name`: tried with a row
    /// that has NULL wherever it may.
    #[must_use]
    pub(crate) fn words_null(&self, columns: &[Column]) -> bool {
        let sample = |column: &Column| match column.source_type.scalar {
            _ if column.nullable => minijinja::Value::from(()),
            _ if column.source_type.array => minijinja::Value::from(Vec::<String>::new()),
            ScalarKind::Bool => minijinja::Value::from(true),
            ScalarKind::Int4 | ScalarKind::Int8 | ScalarKind::Float8 => minijinja::Value::from(1),
            ScalarKind::Json | ScalarKind::Hstore | ScalarKind::Composite => {
                minijinja::Value::from_pairs(std::iter::empty::<(&str, &str)>())
            }
            _ => minijinja::Value::from("1"),
        };
        let context = minijinja::Value::from_pairs(columns.iter().map(|column| (column.name.as_str(), sample(column))));
        let null = minijinja::Value::from(()).to_string();
        let result = self.0.eval(context).ok();
        result
            .as_ref()
            .and_then(minijinja::Value::as_str)
            .is_some_and(|text| text.to_lowercase().contains(&null.to_lowercase()))
    }

    /// Its value for a row; [`Value::Null`] for `none`.
    ///
    /// # Errors
    /// What kind of thing went wrong, without values.
    fn evaluate(&self, record: &Record, field_type: &FieldType) -> Result<Value, String> {
        let columns = record.shape.fields.iter().map(FieldName::as_str).zip(record.values.iter().map(argument));
        let context = minijinja::Value::from_pairs(columns);
        let result = self.0.eval(context).map_err(|error| error.kind().to_string())?;
        if result.is_none() || result.is_undefined() {
            return Ok(Value::Null);
        }
        let json = serde_json::to_value(&result).map_err(|_| "gives what is no JSON value".to_owned())?;
        if !crate::plan::is_of_type(&json, field_type) {
            return Err(format!("gives a {}, which is not its type", result.kind()));
        }
        Ok(json_to_value(&json, field_type))
    }
}

/// A column's value as expressions see it.
fn argument(value: &Value) -> minijinja::Value {
    match value {
        Value::Absent | Value::Null => minijinja::Value::from(()),
        Value::Bool(value) => (*value).into(),
        Value::Int64(value) => (*value).into(),
        Value::Float64(value) => (*value).into(),
        Value::Decimal(text) | Value::Text(text) | Value::Time(_, text) => (&**text).into(),
        Value::Bytes(_) => value.exact_text().unwrap_or_default().into(),
        Value::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) => minijinja::Value::from(Serde(json)),
            Err(_) => (&**text).into(),
        },
        Value::Array(items) => items.iter().map(argument).collect(),
        Value::Object(fields) => {
            minijinja::Value::from_pairs(fields.iter().map(|(name, value)| (&**name, argument(value))))
        }
    }
}

/// Evaluates a table's expressions over the row as read. The values wait in the context until the document has its
/// fields; [`super::Nulls`] puts them there.
#[derive(Debug)]
pub(super) struct Computed {
    fields: Vec<Option<(FieldName, Source)>>,
}

#[derive(Debug)]
enum Source {
    Expression(Expression, FieldType),
    Constant(Value),
}

impl Computed {
    /// The computed ones among `fields`; `None` where there are none. An expression that cannot be read is left out: the
    /// plan has refused it before.
    pub(super) fn new(fields: &[PlanField]) -> Option<Self> {
        let source = |field: &PlanField| {
            let source = match &field.conversion {
                Conversion::Computed { expression, .. } => {
                    Source::Expression(Expression::parse(expression).ok()?, field.field_type.clone())
                }
                Conversion::Constant(json) => Source::Constant(json_to_value(json, &field.field_type)),
                _ => return None,
            };
            Some((field.field.clone(), source))
        };
        let fields: Vec<Option<(FieldName, Source)>> = fields.iter().map(source).collect();
        fields.iter().any(Option::is_some).then_some(Self { fields })
    }

    /// Per field of the document, its value for a row.
    ///
    /// # Errors
    /// `not_representable` for an expression that fails, or gives another type than its own.
    pub(super) fn of(&self, record: &Record) -> Result<Vec<Option<Value>>, RowError> {
        let values = self.fields.iter().map(|field| match field {
            None => Ok(None),
            Some((_, Source::Constant(value))) => Ok(Some(value.clone())),
            Some((name, Source::Expression(expression, field_type))) => {
                expression.evaluate(record, field_type).map(Some).map_err(|reason| {
                    RowError::new(RejectCode::NotRepresentable, format!("the expression of {name} {reason}"))
                        .at(Some(name.clone()))
                })
            }
        });
        values.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::SourceType;
    use crate::record::RecordShape;
    use crate::value::TimeKind;

    fn evaluate(text: &str, field_type: &FieldType) -> Result<Value, String> {
        let row = [
            ("first", Value::text("Ada")),
            ("nick", Value::Null),
            ("age", Value::Int64(36)),
            ("price", Value::Decimal("1.50".into())),
            ("born", Value::Time(TimeKind::Date, "1815-12-10".into())),
            ("address", Value::Json(r#"{"city": "London", "lines": ["a", "b"]}"#.into())),
        ];
        let shape = Arc::new(RecordShape {
            table: "people".parse().unwrap(),
            fields: row.iter().map(|(name, _)| FieldName::from(*name)).collect(),
            key: Vec::new(),
        });
        let record = Record { shape, values: row.into_iter().map(|(_, value)| value).collect() };
        Expression::parse(text)?.evaluate(&record, field_type)
    }

    #[test]
    fn expressions_see_columns() {
        let text = |expression: &str| evaluate(expression, &FieldType::String);
        assert_eq!(text("first ~ \" \" ~ (nick or \"-\")").unwrap(), Value::text("Ada -"));
        assert_eq!(text("address.city | upper").unwrap(), Value::text("LONDON"));
        assert_eq!(text("born[:4]").unwrap(), Value::text("1815"));
        assert_eq!(text("nick").unwrap(), Value::Null);
        assert_eq!(text("address.street").unwrap(), Value::Null);
        assert_eq!(evaluate("age * 2", &FieldType::Int64).unwrap(), Value::Int64(72));
        assert_eq!(evaluate("price | float * 2", &FieldType::Number).unwrap(), Value::Float64(3.0));
        assert_eq!(evaluate("age > 18", &FieldType::Boolean).unwrap(), Value::Bool(true));
        let lines = Value::Array(vec![Value::text("a"), Value::text("b")]);
        assert_eq!(evaluate("address.lines", &FieldType::Any).unwrap(), lines);
    }

    #[test]
    fn null_that_would_be_a_word_is_found_beforehand() {
        let column = |name: &str, scalar, nullable| Column {
            nullable,
            ..Column::new(name.into(), SourceType::new(format!("{scalar:?}"), scalar))
        };
        let columns = [column("first", ScalarKind::Text, false), column("nick", ScalarKind::Text, true)];
        let words = |text: &str| Expression::parse(text).unwrap().words_null(&columns);
        for text in ["first ~ nick", "nick | upper ~ first", "[first, nick] | join(', ')"] {
            assert!(words(text), "{text}");
        }
        for text in
            ["nick", "nick or first", "first ~ (nick or '')", "first if nick is none else nick ~ first", "first ~ 1"]
        {
            assert!(!words(text), "{text}");
        }
    }

    #[test]
    fn results_are_of_their_type_and_errors_show_no_value() {
        assert!(evaluate("age", &FieldType::String).unwrap_err().contains("number"));
        let error = evaluate("first * 2", &FieldType::Number).unwrap_err();
        assert!(!error.contains("Ada"), "{error}");
        assert!(Expression::parse("first ~").is_err());
    }

    #[test]
    fn the_columns_it_needs_are_known_beforehand() {
        let columns = Expression::parse("first ~ address.city if age else range(3)").unwrap().columns();
        assert_eq!(columns.iter().map(FieldName::as_str).collect::<Vec<_>>(), ["address", "age", "first"]);
    }
}
