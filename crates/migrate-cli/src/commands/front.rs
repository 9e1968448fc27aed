use std::ffi::OsString;
use std::process::Command as Process;

use clap::{Arg, Command, value_parser};

use super::help;
use crate::{exit, output};

const VERBS: &[(&str, &str)] = &[
    ("doctor", "Check settings, keys, rights, tables, functions and the plan"),
    ("discover", "Write catalog.json: what the Supabase project holds"),
    ("plan", "Write plan.json and the Convex functions; offline"),
    ("run", "Migrate, or go on where the last run stopped"),
    ("replay", "Send rejected rows through the plan again"),
    ("verify", "Compare what is in Convex with Supabase's rows"),
    ("report", "Show the report of a run"),
    ("schema", "Write the JSON Schemas of all files"),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate discover", "1. read the project that .env.local names"),
    ("migrate plan", "2. by migrate.toml, which you write"),
    ("npx convex deploy", "3. deploy the functions it made"),
    ("migrate run --dry-run", "4. try everything, write nothing"),
    ("migrate run", "5. migrate"),
    ("migrate verify", "6. prove that all of it is there"),
];

const ARGUMENTS: &str = "arguments";

/// The verbs with all that follows them unread: it is for the verb's own program.
fn command() -> Command {
    let rest = || {
        Arg::new(ARGUMENTS)
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(OsString))
    };
    let verb = |(name, about): &(&'static str, &'static str)| {
        Command::new(*name).about(*about).disable_help_flag(true).arg(rest())
    };
    Command::new("migrate")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Moves the tables of a Supabase project into Convex")
        .long_about(
            "Moves the tables of a Supabase project into Convex\n\n`migrate run …` is `migrate-run …`: each verb is a \
             program of its own, beside this one. `migrate <VERB> --help` tells more of it.",
        )
        .max_term_width(100)
        .after_help("`migrate <VERB> -h` tells more of a verb.")
        .after_long_help(help::after(EXAMPLES, &[]))
        .override_usage("migrate <VERB> [OPTIONS]")
        .subcommand_help_heading("Verbs")
        .subcommand_value_name("VERB")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(VERBS.iter().map(verb))
}

/// `migrate help run` is `migrate run --help`.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

pub(super) fn main() -> u8 {
    let matches = command().get_matches_from(arguments());
    let Some((verb, of_verb)) = matches.subcommand() else { return exit::USAGE };
    let name = format!("migrate-{verb}{}", std::env::consts::EXE_SUFFIX);
    // The programs are installed side by side; PATH is for those who moved them.
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(|folder| folder.join(&name)));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| name.clone().into());
    let arguments = of_verb.get_many::<OsString>(ARGUMENTS).into_iter().flatten();
    let Ok(status) = Process::new(&program).args(arguments).status() else {
        output::error(&format!("failed to start {name}; install it beside `migrate`"));
        return exit::UNEXPECTED;
    };
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::INTERRUPTED)
}
