//! Keys and passwords that were put into a configuration, where none belongs, are not shown with the line they are in.

/// What stands for a secret.
const HIDDEN: &str = "[hidden]";

/// What ends a word in a configuration.
const BETWEEN: &[char] = &[' ', '\t', '"', '\'', ',', '[', ']', '{', '}', '='];

/// A text without the words that look like a key or hold a password.
pub(super) fn hide(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(BETWEEN).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        shown.push_str(if is_secret(word) { HIDDEN } else { word });
        let between = after.find(|char| !BETWEEN.contains(&char)).unwrap_or(after.len());
        shown.push_str(&after[..between]);
        rest = &after[between..];
    }
    shown
}

/// A line without secrets, and without the value of what is named as one: an environment file's line may come here, too.
pub(super) fn hide_in_line(line: &str) -> String {
    let name = line.split('=').next().unwrap_or_default().to_ascii_uppercase();
    let is_named = ["SECRET", "PASSWORD", "TOKEN", "_KEY"].iter().any(|word| name.contains(word));
    if is_named { without_value(line, 1) } else { hide(line) }
}

/// Keys by how Supabase's, Convex's and JSON web tokens are written, and addresses with a user's password.
fn is_secret(word: &str) -> bool {
    let is_key = ["sb_secret_", "sb_publishable_", "eyJ"].iter().any(|start| word.contains(start));
    let is_deploy_key = word.split_once('|').is_some_and(|(name, secret)| !name.is_empty() && secret.len() >= 8);
    let has_password =
        word.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'));
    is_key || is_deploy_key || has_password
}

/// A line up to the value of the key at `column`, counted from 1.
pub(super) fn without_value(line: &str, column: usize) -> String {
    let start = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(start, _)| start);
    match line[start..].find('=') {
        Some(end) => format!("{}= …", &line[..start + end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_passwords_are_hidden() {
        for (text, shown) in [
            ("key = \"sb_secret_0123\" # mine", "key = \"[hidden]\" # mine"),
            ("key = sb_secret_0123", "key = [hidden]"),
            ("['eyJhbGciOiJIUzI1NiJ9.e30.c2ln']", "['[hidden]']"),
            ("url = \"postgres://postgres:hunter2@db.example.co/x\"", "url = \"[hidden]\""),
            ("key = \"prod:happy-animal-123|0123456789ab\"", "key = \"[hidden]\""),
            ("url = \"https://abc.supabase.co\"", "url = \"https://abc.supabase.co\""),
            ("filter = \"a=eq.1|2\"  # ü", "filter = \"a=eq.1|2\"  # ü"),
            ("", ""),
        ] {
            assert_eq!(hide(text), shown);
        }
    }

    #[test]
    fn what_is_named_a_secret_is_hidden() {
        assert_eq!(hide_in_line("MIGRATION_SECRET=hunter2"), "MIGRATION_SECRET= …");
        assert_eq!(hide_in_line("export DB_PASSWORD = hunter2"), "export DB_PASSWORD = …");
        assert_eq!(hide_in_line("key = [\"email\"]"), "key = [\"email\"]");
        assert_eq!(hide_in_line("a = \"sb_secret_0\""), "a = \"[hidden]\"");
    }

    #[test]
    fn a_line_ends_before_the_value() {
        assert_eq!(without_value("key = \"hunter2\"", 1), "key = …");
        assert_eq!(without_value("a = { ü = 1, key = \"hunter2\" }", 14), "a = { ü = 1, key = …");
        assert_eq!(without_value("[kyes]", 2), "[kyes]");
        assert_eq!(without_value("a", 9), "a");
    }
}
