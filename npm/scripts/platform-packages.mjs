// Makes the packages with the programs: node scripts/platform-packages.mjs <folder with a folder per target> <output>
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const own = fileURLToPath(new URL("..", import.meta.url));
const read = (name) => JSON.parse(readFileSync(join(own, name), "utf8"));

/** Writes one package for each target that was built, and gives their names. */
export function makePackages(built, output) {
  const { version, license, repository } = read("package.json");
  const made = [];
  for (const { package: name, os, cpu, target } of read("platforms.json")) {
    const programs = join(built, target);
    if (!existsSync(programs)) continue;
    const folder = join(output, name.split("/")[1]);
    mkdirSync(join(folder, "bin"), { recursive: true });
    const files = readdirSync(programs).filter((file) => /^migrate(-[a-z]+)?(\.exe)?$/.test(file));
    if (!files.some((file) => file.startsWith("migrate-run"))) {
      throw new Error(`${programs} holds no programs`);
    }
    for (const file of files) {
      copyFileSync(join(programs, file), join(folder, "bin", file));
      chmodSync(join(folder, "bin", file), 0o755);
    }
    const description = `The programs of supabase-to-convex for ${os} ${cpu}`;
    const manifest = { name, version, description, license, repository, os: [os], cpu: [cpu], files: ["bin"] };
    writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    writeFileSync(join(folder, "README.md"), `# ${name}\n\n${description}. Install \`supabase-to-convex\` instead.\n`);
    made.push(name);
  }
  return made;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [built, output] = process.argv.slice(2);
  if (output === undefined) {
    console.error("usage: node scripts/platform-packages.mjs <folder with a folder per target> <output>");
    process.exit(2);
  }
  for (const name of makePackages(built, output)) console.log(name);
}
