// Starts convex-local. usage: node server.mjs FOLDER PROJECT, with LOCAL_STACK_ADMIN_KEY set, and with
// LOCAL_STACK_LIMITED_KEY where there is to be a key that may not view data.
// FOLDER gets the opened convex-test and the file `port`; PROJECT holds `convex/`.
import { createServer } from "node:http";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deployment } from "./deployment.mjs";
import { protocol } from "./protocol.mjs";
import { openConvexTest } from "./seams.mjs";

const [folder, project] = process.argv.slice(2);
const adminKey = process.env.LOCAL_STACK_ADMIN_KEY;
const limitedKey = process.env.LOCAL_STACK_LIMITED_KEY;
if (folder === undefined || project === undefined || !adminKey) {
  throw new Error("usage: LOCAL_STACK_ADMIN_KEY=… node server.mjs FOLDER PROJECT");
}

const packages = join(folder, "node_modules");
const versionOf = (name) => JSON.parse(readFileSync(join(packages, name, "package.json"), "utf8")).version;
const version = `local-stack stand-in (convex ${versionOf("convex")}, convex-test ${versionOf("convex-test")})`;
console.log(`This is a stand-in for tests and demos, not Convex: ${version}. Data is kept in memory only.`);

const deployment = new Deployment(await openConvexTest(packages, folder));
await deployment.deploy(project);

const server = createServer(protocol(deployment, { adminKey, limitedKey, version, instanceName: "local-stack" }));
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  writeFileSync(join(folder, "port.new"), String(server.address().port));
  renameSync(join(folder, "port.new"), join(folder, "port"));
});
