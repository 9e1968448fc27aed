//! `migrate`: the front door, `migrate run …` runs `migrate-run …`.

fn main() -> std::process::ExitCode {
    migrate_cli::main(migrate_cli::Verb::Front)
}
