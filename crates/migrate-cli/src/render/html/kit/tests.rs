use minijinja::context;

use super::bars::{Part, bar};
use super::spans::{Row, Span, spans};
use super::*;

const PAGE: &str = r#"{% extends "shell.html" %}{% import "components.html" as ui %}
{% block head %}<h1>{{ title }}</h1>{{ ui.badge(tone, word) }}{% endblock %}
{% block main %}{% call ui.section("one", title) %}{{ ui.name(word) }}{{ ui.keys([word], 2) }}{{ drawing }}{% endcall %}{% endblock %}"#;

const HOSTILE: &str = "</style><script>alert(1)</script><img src=x onerror=\"alert('2')\">\u{202e}";

fn page(word: &str) -> String {
    let parts = [Part { class: "inserted", label: word.to_owned(), count: 3 }];
    let values = context! {
        title => word,
        word => word,
        tone => Tone::Notice,
        sections => [context! { id => "one", title => word, note => word, tone => Tone::Bad }],
        drawing => bar(&parts),
    };
    render(PAGE, values).unwrap()
}

#[test]
fn text_is_escaped_wherever_it_stands_and_drawings_are_not() {
    let (harmless, hostile) = (page("word"), page(HOSTILE));
    // A name may be broken between its words.
    let tags = |page: &str| page.replace("<wbr>", "").matches('<').count();
    assert_eq!(tags(&harmless), tags(&hostile), "{hostile}");
    assert_eq!(harmless.matches('"').count(), hostile.matches('"').count());
    assert!(harmless.contains("<svg class=\"bar\"") && hostile.contains("⟨U+202E⟩") && !hostile.contains('\u{202e}'));
    assert_eq!(hostile.matches("alert(1)").count(), hostile.matches("script&gt;alert(1)").count());
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    let page = page("word");
    assert!(page.contains(&format!("style-src '{}'", *STYLE_HASH)), "{page}");
    // The policy allows this style by its hash: it must come into the page as it is.
    assert!(page.contains(&format!("<style>{STYLE}</style>")));
    for foreign in ["http:", "https:", "<script", "@import", "url(h", " style="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn what_a_template_lacks_is_an_error() {
    assert!(render("{{ nothing }}", context! {}).is_err());
    assert_eq!(render("{{ n }}{{ none }}", context! { n => 5 }).unwrap(), "5");
}

#[test]
fn parts_fill_their_bar_and_small_ones_are_seen() {
    let part = |class, count| Part { class, label: class.to_owned(), count };
    let svg = bar(&[part("inserted", 1_000_000), part("skipped", 0), part("rejected", 1)]).0;
    let widths: Vec<f64> =
        svg.split(" width=\"").skip(1).map(|rest| rest.split('%').next().unwrap().parse().unwrap()).collect();
    assert_eq!(widths.len(), 2, "{svg}");
    assert!((widths.iter().sum::<f64>() - 100.0).abs() < 0.05 && widths[1] > 0.5, "{svg}");
    assert_eq!(bar(&[part("inserted", 0)]).0, "");
    assert!(!bar(&[part("inserted", u64::MAX), part("rejected", u64::MAX)]).0.contains("inf"));
}

#[test]
fn spans_are_on_one_axis() {
    let span = |from, seconds| Span { class: "copy", from, seconds, label: "<copy>".to_owned() };
    let row = |name: &str, spans| Row { name: name.to_owned(), spans };
    let rows = [row("<a>", vec![span(0.0, 5.0)]), row("b", vec![span(5.0, 5.0), span(12.0, 0.0)])];
    let svg = spans("times", &rows, 10.0).0;
    assert!(svg.contains("&lt;a&gt;") && svg.contains("&lt;copy&gt;") && svg.matches("class=\"copy\"").count() == 3);
    assert!(svg.contains(">10 s<") && !svg.contains(">20 s<"), "{svg}");
    let inside = svg.split(" x=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap());
    assert!(inside.into_iter().all(|x| (0.0..=760.0).contains(&x)), "the axis reaches the last span: {svg}");
    assert_eq!(spans("times", &[], 10.0).0, "");
    assert_eq!(spans("times", &[row("a", vec![span(f64::NAN, f64::INFINITY)])], 1.0).0, "");
}
