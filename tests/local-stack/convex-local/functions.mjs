// Compiles a project's `convex/` folder with the TypeScript compiler, file by file, and finds functions in it.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";

const SOURCE = /\.(ts|tsx|js|jsx|mts|mjs)$/;
// Read by the command line tool and the auth provider, not functions.
const CONFIGURATION = new Set(["auth.config", "convex.config"]);

/** Thrown for a path that the real backend cannot even parse. */
export class BadFunctionPath extends Error {}

/** Compiles `<project>/convex` into `<project>/compiled` and imports every module of it. */
export async function loadProject(project) {
  const source = join(project, "convex");
  const target = join(project, "compiled");
  const files = sourceFiles(source);
  if (files.length === 0) throw new Error(`no functions: ${source} holds no TypeScript or JavaScript file`);
  const modules = {};
  const loaded = new Map();
  const compiled = files.map((file) => [file, compile(source, target, file)]);
  for (const [file, output] of compiled) {
    const name = file.replace(SOURCE, "");
    if (CONFIGURATION.has(name)) continue;
    const load = () => import(pathToFileURL(output).href);
    modules[`./convex/${name}.js`] = load;
    if (name.startsWith("_generated/")) continue;
    try {
      loaded.set(name, await load());
    } catch (error) {
      throw new Error(`convex/${file} does not load: ${error.message}`);
    }
  }
  modules["./convex/_generated/present.js"] ??= async () => ({});
  const schema = loaded.get("schema")?.default;
  loaded.delete("schema");
  return { modules, schema, loaded };
}

/** Splits `dir/module:fn`, `dir/module.js:fn` or `dir/module` as the backend does. */
export function parseFunctionPath(path) {
  if (typeof path !== "string") throw new BadFunctionPath("`path` must be a string");
  const [module, name = "default", ...rest] = path.split(":");
  const bare = module.replace(/\.js$/, "").replace(/^\//, "");
  const parts = bare.split("/");
  if (rest.length > 0 || !parts.every((part) => /^[A-Za-z0-9_]+$/.test(part)) || !/^[A-Za-z_]\w*$/.test(name)) {
    throw new BadFunctionPath(`${path} is not a path to a Convex function`);
  }
  return { module: bare, name, canonical: `${bare}:${name}` };
}

/** Returns the function registered at `path`, with its kind and visibility, or null. */
export function findFunction(deployment, { module, name }) {
  const found = deployment.loaded.get(module)?.[name];
  if (found === undefined || found === null) return null;
  const kind = found.isQuery ? "query" : found.isMutation ? "mutation" : found.isAction ? "action" : null;
  return kind === null ? null : { kind, isPublic: found.isPublic === true };
}

/** Every registered function as `_system/cli/modules:apiSpec` shows it; the validators are the package's own export. */
export function functionSpecs(deployment) {
  const specs = [];
  for (const [module, exported] of deployment.loaded) {
    for (const [name, found] of Object.entries(exported)) {
      const known = findFunction(deployment, { module, name });
      if (known === null) continue;
      specs.push({
        identifier: `${module}.js:${name}`,
        functionType: known.kind[0].toUpperCase() + known.kind.slice(1),
        visibility: { kind: known.isPublic ? "public" : "internal" },
        args: JSON.parse(found.exportArgs()),
        returns: JSON.parse(found.exportReturns()) ?? { type: "any" },
      });
    }
  }
  return specs;
}

function sourceFiles(folder, root = folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : sourceFiles(path, root);
      const isSource = SOURCE.test(entry.name) && !/\.d\.ts$|\.(test|spec)\./.test(entry.name);
      return isSource ? [relative(root, path).split(sep).join("/")] : [];
    })
    .sort();
}

function compile(source, target, file) {
  const input = join(source, file);
  const output = join(target, file.replace(SOURCE, ".js"));
  const result = ts.transpileModule(readFileSync(input, "utf8"), {
    fileName: input,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      jsx: ts.JsxEmit.ReactJSX,
      inlineSourceMap: true,
    },
    transformers: { before: [completeImports(dirname(input))] },
  });
  const [problem] = result.diagnostics ?? [];
  if (problem !== undefined) {
    throw new Error(`convex/${file} does not compile: ${ts.flattenDiagnosticMessageText(problem.messageText, "\n")}`);
  }
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, result.outputText);
  return output;
}

/** Gives relative imports the `.js` that Node wants and a bundler does without. */
function completeImports(folder) {
  const complete = (text) => {
    if (!text.startsWith(".") || text.endsWith(".json")) return text;
    const bare = text.replace(/\.(js|ts|tsx|jsx|mjs|mts)$/, "");
    const exists = (path) => ["ts", "tsx", "js", "jsx", "mts", "mjs"].some((end) => existsSync(`${path}.${end}`));
    if (exists(join(folder, bare))) return `${bare}.js`;
    return exists(join(folder, text, "index")) ? `${text}/index.js` : text;
  };
  return (context) => {
    const { factory } = context;
    const literal = (node) => factory.createStringLiteral(complete(node.text));
    const visit = (node) => {
      if (ts.isImportDeclaration(node)) {
        const { modifiers, importClause, moduleSpecifier, attributes } = node;
        return factory.updateImportDeclaration(node, modifiers, importClause, literal(moduleSpecifier), attributes);
      }
      if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
        const { modifiers, isTypeOnly, exportClause, moduleSpecifier, attributes } = node;
        const specifier = literal(moduleSpecifier);
        return factory.updateExportDeclaration(node, modifiers, isTypeOnly, exportClause, specifier, attributes);
      }
      const isDynamicImport = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
      if (isDynamicImport && node.arguments.length > 0 && ts.isStringLiteral(node.arguments[0])) {
        const [specifier, ...rest] = node.arguments;
        return factory.updateCallExpression(node, node.expression, undefined, [literal(specifier), ...rest]);
      }
      return ts.visitEachChild(node, visit, context);
    };
    return (file) => ts.visitNode(file, visit);
  };
}
