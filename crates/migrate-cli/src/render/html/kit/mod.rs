//! What every page is made of: its shell with the style, components as macros, and drawings.
//!
//! A page is a template that extends `shell.html` and imports `components.html`; [`render`] fills it. Text from outside
//! goes into templates as plain values: the formatter makes it harmless and readable, whoever writes the template.
//! Only what [`Markup`] holds goes in as it is.

pub(crate) mod area;
pub(crate) mod bars;
mod escape;
pub(crate) mod graph;
pub(crate) mod spans;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use migrate_core::{Error, ErrorKind, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, State, UndefinedBehavior, Value};
use sha2::{Digest as _, Sha256};

/// The style of all pages, and the only one: the pages' policy allows no other.
const STYLE: &str = include_str!("style.css");
const SHELL: &str = include_str!("shell.html");
const COMPONENTS: &str = include_str!("components.html");

/// The style's hash, as a Content-Security-Policy names it.
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()))));

/// Markup of our own making: every text in it went through `escape`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Markup(String);

impl From<Markup> for Value {
    fn from(markup: Markup) -> Self {
        Self::from_safe_string(markup.0)
    }
}

/// How much something wants a look; a class of the style, which shows it by colour and by sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Wants a look.
    Notice,
    /// Wrong.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Notice => "notice",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

impl From<Tone> for Value {
    fn from(tone: Tone) -> Self {
        Self::from(tone.as_str())
    }
}

/// Fills the page's template, which may use those of the kit.
///
/// # Errors
/// `Unexpected` where the template and the values do not fit.
pub(crate) fn render(template: &'static str, values: Value) -> Result<String> {
    let failed = |error: minijinja::Error| Error::new(ErrorKind::Unexpected, "make the HTML page").with_source(error);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(failed)?);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(format);
    environment.add_filter("broken", |text: String| Value::from(Markup(escape::breakable(&text))));
    environment.add_filter("thousands", units::thousands);
    environment.add_filter("bytes", units::bytes);
    environment.add_filter("seconds", units::seconds);
    environment.add_filter("share", units::share);
    environment.add_global("style", Value::from_safe_string(STYLE.to_owned()));
    environment.add_global("style_hash", Value::from_safe_string(STYLE_HASH.clone()));
    for (name, text) in [("shell.html", SHELL), ("components.html", COMPONENTS), ("page.html", template)] {
        environment.add_template(name, text).map_err(failed)?;
    }
    environment.get_template("page.html").and_then(|page| page.render(values)).map_err(failed)
}

/// Writes a value into a page: markup of our own as it is, all else escaped.
fn format(
    out: &mut minijinja::Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> std::result::Result<(), minijinja::Error> {
    let written = match value.kind() {
        ValueKind::String if value.is_safe() => write!(out, "{value}"),
        ValueKind::None => Ok(()),
        ValueKind::Undefined => {
            return Err(minijinja::Error::new(minijinja::ErrorKind::UndefinedError, "a value is not defined"));
        }
        _ => escape::write(out, &value.to_string()),
    };
    Ok(written?)
}
