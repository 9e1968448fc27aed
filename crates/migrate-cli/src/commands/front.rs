use std::ffi::OsString;
use std::process::Command as Process;

use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _, value_parser};
use migrate_core::Result;

use super::programs::{self, CompletionsArguments, ManArguments};
use super::{fail, help};
use crate::{VERSION, exit, output};

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
    ("eval \"$(migrate completions bash)\"", "let bash complete the commands"),
    ("migrate man man1", "manual pages, in the folder man1"),
];

const ARGUMENTS: &str = "arguments";

const COMPLETIONS: &str = "completions";
const MAN: &str = "man";

/// The verbs with all that follows them unread: it is for the verb's own program.
fn command() -> Command {
    door(VERBS.iter().map(verb).collect())
}

/// The verbs with all their options, as completions and manuals show them.
pub(super) fn whole() -> Command {
    let about = |name: &str| VERBS.iter().find(|(verb, _)| *verb == name).map(|(_, about)| *about);
    let verb = |(name, command): (&'static str, Command)| match about(name) {
        Some(about) => command.name(name).about(about),
        None => command.name(name),
    };
    door(programs::programs().into_iter().map(verb).collect())
}

fn verb((name, about): &(&'static str, &'static str)) -> Command {
    let rest = || {
        Arg::new(ARGUMENTS)
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(OsString))
    };
    Command::new(*name).about(*about).disable_help_flag(true).arg(rest())
}

fn door(verbs: Vec<Command>) -> Command {
    let completions = CompletionsArguments::augment_args(Command::new(COMPLETIONS));
    let completions = completions.about("Print what lets a shell complete these commands").long_about(None);
    let man = ManArguments::augment_args(Command::new(MAN));
    let man = man.about("Write a manual page for each command").long_about(None);
    Command::new("migrate")
        .version(VERSION)
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
        .subcommands(verbs)
        .subcommand(completions)
        .subcommand(man)
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

/// What the front door does itself.
fn own(verb: &str, matches: &ArgMatches) -> Option<Result<()>> {
    match verb {
        COMPLETIONS => {
            let arguments = CompletionsArguments::from_arg_matches(matches).ok()?;
            Some(programs::completions(&arguments))
        }
        MAN => Some(programs::manuals(&ManArguments::from_arg_matches(matches).ok()?)),
        _ => None,
    }
}

pub(super) fn main() -> u8 {
    let matches = command().get_matches_from(arguments());
    let Some((verb, of_verb)) = matches.subcommand() else { return exit::USAGE };
    if let Some(written) = own(verb, of_verb) {
        return match written {
            Ok(()) => exit::OK,
            Err(error) => fail(&error, exit::of_setup(&error)),
        };
    }
    let name = format!("migrate-{verb}{}", std::env::consts::EXE_SUFFIX);
    // The programs are installed side by side; PATH is for those who moved them.
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(|folder| folder.join(&name)));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| name.clone().into());
    let arguments = of_verb.get_many::<OsString>(ARGUMENTS).into_iter().flatten();
    become_program(Process::new(&program).args(arguments)).unwrap_or_else(|| {
        output::error(&format!("failed to start {name}; install it beside `migrate`"));
        exit::UNEXPECTED
    })
}

/// Is the program from here on: a signal reaches the one that heeds it, and nobody returns before it ended. None where
/// it cannot be started.
#[cfg(unix)]
fn become_program(program: &mut Process) -> Option<u8> {
    use std::os::unix::process::CommandExt as _;

    // It returns only where it failed.
    let _ = program.exec();
    None
}

/// Runs the program, and gives its exit code; none where it cannot be started.
#[cfg(not(unix))]
fn become_program(program: &mut Process) -> Option<u8> {
    let status = program.status().ok()?;
    Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::INTERRUPTED))
}
