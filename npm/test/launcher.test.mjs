import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { findProgram, platformPackage } from "../lib/launcher.mjs";
import { makePackages } from "../scripts/platform-packages.mjs";

const own = fileURLToPath(new URL("..", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "supabase-to-convex-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** As npm installs it: the package, and beside it that of this platform, with a script in the program's place. */
function install(name, script) {
  const modules = join(root, name, "node_modules");
  const installed = join(modules, "supabase-to-convex");
  for (const part of ["bin", "lib", "platforms.json", "package.json"]) {
    cpSync(join(own, part), join(installed, part), { recursive: true });
  }
  if (script !== undefined) {
    const { target } = JSON.parse(readFileSync(join(own, "platforms.json"), "utf8")).find(
      (platform) => platform.os === process.platform && platform.cpu === process.arch,
    );
    const built = join(root, name, "built", target);
    mkdirSync(built, { recursive: true });
    for (const program of ["migrate", "migrate-run"]) writeFileSync(join(built, program), script);
    const made = makePackages(join(root, name, "built"), join(modules, "@supabase-to-convex"));
    assert.deepEqual(made, [platformPackage(process.platform, process.arch)]);
  }
  return join(installed, "bin", "supabase-to-convex.mjs");
}

test("arguments, output and exit code are the program's", () => {
  const launcher = install("passes", '#!/bin/sh\nprintf "%s|" "$@"\necho to-stderr >&2\nexit 3\n');
  const ended = spawnSync(process.execPath, [launcher, "run", "--tables", "a b", "--json"], { encoding: "utf8" });
  assert.equal(ended.stdout, "run|--tables|a b|--json|");
  assert.equal(ended.stderr, "to-stderr\n");
  assert.equal(ended.status, 3);
});

test("a program that a signal ends is told apart", () => {
  const launcher = install("killed", "#!/bin/sh\nkill -KILL $$\n");
  assert.equal(spawnSync(process.execPath, [launcher]).status, 128 + 9);
});

test("a stop is passed on, and waited for", { timeout: 30_000 }, async () => {
  // Where the stop does not reach it, it ends by itself: a test that fails must not hang.
  const waiting = "for turn in $(seq 400); do sleep 0.05; done; echo never stopped";
  const launcher = install("stops", `#!/bin/sh\ntrap 'echo finished; exit 5' TERM\necho ready\n${waiting}\n`);
  const child = spawn(process.execPath, [launcher], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  const code = await new Promise((resolve) => {
    child.stdout.on("data", (data) => {
      said += data;
      if (said === "ready\n") {
        // A terminal sends this one to all of its processes; here only the launcher gets it, which goes on.
        child.kill("SIGINT");
        child.kill("SIGTERM");
      }
    });
    child.on("close", resolve);
  });
  assert.equal(said, "ready\nfinished\n");
  assert.equal(code, 5);
});

test("without the platform's package it says what to do", () => {
  const ended = spawnSync(process.execPath, [install("alone")], { encoding: "utf8" });
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /is not installed; install supabase-to-convex again, without --omit=optional/);
});

test("platforms without a program are named", () => {
  assert.throws(() => findProgram("sunos", "x64"), /no program for sunos x64; build it: cargo install migrate-cli/);
  const windows = findProgram("win32", "x64", (name) => join("/modules", name));
  assert.equal(windows, join("/modules", "@supabase-to-convex/win32-x64", "bin", "migrate.exe"));
});

test("packages hold the programs, which can be started, and their platform", () => {
  const [built, output] = [join(root, "built"), join(root, "packages")];
  mkdirSync(join(built, "x86_64-pc-windows-msvc"), { recursive: true });
  for (const file of ["migrate.exe", "migrate-run.exe", "notes.txt"]) {
    writeFileSync(join(built, "x86_64-pc-windows-msvc", file), "");
  }
  assert.deepEqual(makePackages(built, output), ["@supabase-to-convex/win32-x64"]);
  const manifest = JSON.parse(readFileSync(join(output, "win32-x64", "package.json"), "utf8"));
  assert.deepEqual([manifest.os, manifest.cpu], [["win32"], ["x64"]]);
  assert.throws(() => statSync(join(output, "win32-x64", "bin", "notes.txt")));
  mkdirSync(join(built, "aarch64-apple-darwin"));
  assert.throws(() => makePackages(built, output), /holds no programs/);
});
