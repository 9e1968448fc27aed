//! What other users of the machine can see of a running program.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use migrate_tests::convex_bench::{Fault, FaultPlan};

use super::{ADMIN_KEY, Searched, holds};

/// A process and all that it started, by `/proc`.
fn family(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(parent) = members.get(next).copied() {
        for entry in fs::read_dir("/proc").unwrap() {
            let Ok(process) = entry.unwrap().file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) else { continue };
            let of = status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|of| of.trim().parse().ok());
            if of == Some(parent) && !members.contains(&process) {
                members.push(process);
            }
        }
        next += 1;
    }
    members
}

/// Ends what a test started, also where it fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        for process in family(self.0.id()) {
            let _ = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
        }
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_file_are_in_no_argument_and_no_environment() {
    let searched = Searched::planned().await;
    let file = format!(
        "SUPABASE_URL={}\nSUPABASE_SECRET_KEY={}\nSUPABASE_DB_URL={}\nCONVEX_SELF_HOSTED_URL={}\nCONVEX_SELF_HOSTED_ADMIN_KEY={ADMIN_KEY}\n",
        searched.supabase.url(),
        searched.supabase.secret_key(),
        searched.database_url(),
        searched.convex.url(),
    );
    fs::write(searched.files.path().join(".env.local"), file).unwrap();
    let mut program = searched.program("migrate", &["run", "--quiet"], &[]);
    for (name, _) in searched.program("migrate", &[], &[]).get_envs() {
        program.env_remove(name);
    }
    searched.convex.set_faults(FaultPlan { standing: vec![Fault::Hang], ..FaultPlan::default() });
    let mut child = Ended(program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    // It has read the file and used the keys once it calls the deployment, which does not answer.
    while searched.convex.calls().is_empty() {
        assert!(child.0.try_wait().unwrap().is_none(), "it ended before it called the deployment");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let processes = family(child.0.id());
    let named = |process: &u32| holds(&fs::read(format!("/proc/{process}/cmdline")).unwrap(), "migrate-run");
    assert!(processes.iter().any(named), "`migrate` becomes `migrate-run`, or runs it: {processes:?}");
    for process in processes {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap();
            assert!(!bytes.is_empty() || file == "environ");
            for key in searched.keys() {
                assert!(!holds(&bytes, &key), "a key is in {file} of process {process}");
            }
        }
    }
}
