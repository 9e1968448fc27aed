// Finds the program of this platform and becomes it, as far as Node can: same terminal, same signals, same exit code.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";

const platforms = JSON.parse(readFileSync(new URL("../platforms.json", import.meta.url), "utf8"));

/** The package with the programs for an operating system and a processor, as Node names them. */
export function platformPackage(os, cpu) {
  return platforms.find((platform) => platform.os === os && platform.cpu === cpu)?.package;
}

/** Where the program is. Throws, with what to do, where it is not installed. */
export function findProgram(os = process.platform, cpu = process.arch, resolve = createRequire(import.meta.url).resolve) {
  const name = platformPackage(os, cpu);
  if (name === undefined) {
    throw new Error(`there is no program for ${os} ${cpu}; build it: cargo install migrate-cli`);
  }
  try {
    return join(dirname(resolve(`${name}/package.json`)), "bin", os === "win32" ? "migrate.exe" : "migrate");
  } catch {
    throw new Error(`${name} is not installed; install supabase-to-convex again, without --omit=optional`);
  }
}

/** Runs the program to its end, and ends as it does. */
export function start(args) {
  let program;
  try {
    program = findProgram();
  } catch (error) {
    console.error(`error: failed to start: ${error.message}`);
    process.exit(1);
  }
  // Ctrl-C reaches the program by itself, which then finishes what is on the way: this one only waits for it. Others are
  // sent to one process, so they are passed on. All of it before the program starts: it must not be left alone.
  let child;
  let asked;
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      asked = signal;
      child?.kill(signal);
    });
  }
  child = spawn(program, args, { stdio: "inherit" });
  if (asked !== undefined) child.kill(asked);
  child.on("error", (error) => {
    console.error(`error: failed to start ${program}: ${error.code ?? error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}
