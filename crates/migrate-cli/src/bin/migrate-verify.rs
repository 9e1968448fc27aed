//! `migrate-verify`; see its `--help`.

fn main() -> std::process::ExitCode {
    migrate_cli::main(migrate_cli::Verb::Verify)
}
