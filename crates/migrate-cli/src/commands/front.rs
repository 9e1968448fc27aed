use std::process::Command;

use crate::{exit, output};

const VERBS: &[(&str, &str)] = &[
    ("discover", "read what the Supabase project holds into catalog.json"),
    ("plan", "make plan.json and the Convex functions from catalog and migrate.toml"),
    ("run", "migrate, or go on where the last run stopped"),
    ("report", "show a run's report"),
    ("schema", "write the JSON Schemas of all files"),
];

fn help() -> String {
    let verbs: Vec<String> = VERBS.iter().map(|(verb, what)| format!("  {verb:<10} {what}")).collect();
    format!(
        "Moves a Supabase project into Convex.\n\nUsage: migrate <VERB> [OPTIONS]\n\nVerbs:\n{}\n\n\
         `migrate <VERB> --help` tells more. Each verb is also a program: migrate-<verb>.\n{}",
        verbs.join("\n"),
        super::EXIT_HELP
    )
}

pub(super) fn main() -> u8 {
    let mut arguments = std::env::args_os().skip(1);
    let Some(verb) = arguments.next() else {
        output::note(&help());
        return exit::USAGE;
    };
    let verb = verb.to_string_lossy().into_owned();
    match verb.as_str() {
        "-h" | "--help" | "help" => {
            output::data(&help());
            return exit::OK;
        }
        "-V" | "--version" => {
            output::data(concat!("migrate ", env!("CARGO_PKG_VERSION")));
            return exit::OK;
        }
        _ => {}
    }
    if !VERBS.iter().any(|(known, _)| *known == verb) {
        output::error(&format!("there is no verb `{verb}`\n\n{}", help()));
        return exit::USAGE;
    }
    let name = format!("migrate-{verb}{}", std::env::consts::EXE_SUFFIX);
    // The programs are installed side by side; PATH is for those who moved them.
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(|folder| folder.join(&name)));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| name.clone().into());
    let Ok(status) = Command::new(&program).args(arguments).status() else {
        output::error(&format!("failed to start {name}; install it beside `migrate`"));
        return exit::UNEXPECTED;
    };
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::INTERRUPTED)
}
