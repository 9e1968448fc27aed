// The HTTP functions API of a deployment (crates/local_backend/src/public_api.rs): requests in, envelopes out.
import { randomBytes } from "node:crypto";
import { convexToJson, getConvexSize, jsonToConvex } from "convex/values";
import { BadFunctionPath, parseFunctionPath } from "./functions.mjs";
import { ImportRefused } from "./imports.mjs";
import { systemQuery } from "./system.mjs";

const MAX_BODY = (16 << 20) + 2_000;
const MAX_VALUE = 16 << 20;
const KINDS = new Set(["query", "mutation", "action"]);
const FORMATS = {
  json: plainJson,
  convex_clean_json: plainJson,
  convex_encoded_json: convexToJson,
  convex_json: convexToJson,
};

// convex-test's words for a transaction's limits, and the real backend's.
const LIMIT_TEXTS = [
  ["Wrote too many documents in", "Too many writes in"],
  ["Wrote too much data in", "Too many bytes written in"],
  ["Scanned too many documents in", "Too many documents read in"],
  ["Read too much data in", "Too many bytes read in"],
  ["Too many index ranges read in", "Too many reads in"],
];

/** A refusal of the whole request: `{"code", "message"}` with a status that is not 200. */
class SystemError extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }
}

/** What a key of limited rights may do, as `check_admin_key` names it: all that a migration does, and not to view data. */
const LIMITED_OPERATIONS = ["RunInternalQueries", "RunInternalMutations"];

/** Returns the request listener for `deployment`. The limited key may run internal functions, and view no data. */
export function protocol(deployment, { adminKey, limitedKey, version, instanceName }) {
  const routes = {
    "GET /version": () => version,
    "GET /instance_name": () => instanceName,
    "GET /api/check_admin_key": ({ isAdmin, isLimited }) => {
      requireAdmin(isAdmin);
      return { success: true, allowedOps: isLimited ? LIMITED_OPERATIONS : [], isReadOnly: false };
    },
    "POST /local-stack/redeploy": async ({ request, isAdmin }) => {
      requireAdmin(isAdmin);
      const { project } = await readJson(request);
      try {
        await deployment.deploy(project);
      } catch (error) {
        throw new SystemError(400, "DeployFailed", error.message);
      }
      return { success: true };
    },
  };
  // What no deployment can do: change a document behind everybody's back. For tests that ask for it.
  if (process.env.LOCAL_STACK_TAMPER === "1") {
    routes["POST /local-stack/tamper"] = async ({ request, isAdmin }) => {
      requireAdmin(isAdmin);
      const { table, id, document } = await readJson(request);
      return { id: deployment.tamper(table, id, document === null ? null : jsonToConvex(document)) };
    };
  }
  for (const kind of ["query", "mutation", "action", "function"]) {
    routes[`POST /api/${kind}`] = async ({ request, isAdmin, isLimited }) => {
      if (kind === "function") requireAdmin(isAdmin);
      return callFunction(deployment, kind, await readJson(request), { isAdmin, isLimited });
    };
  }

  for (const [path, answer] of Object.entries(importRoutes(deployment))) {
    routes[`POST ${path}`] = async ({ request, isAdmin }) => {
      const body = path === "/api/import/upload_part" ? await readBytes(request) : null;
      requireAdmin(isAdmin);
      try {
        return await answer(request, body);
      } catch (error) {
        throw error instanceof ImportRefused ? new SystemError(400, error.code, error.message) : error;
      }
    };
  }

  return async (request, response) => {
    try {
      const { pathname } = new URL(request.url, "http://localhost");
      const route = routes[`${request.method} ${pathname}`];
      const isLimited = isKey(request.headers.authorization, limitedKey);
      const isAdmin = isLimited || authorize(request.headers.authorization, adminKey);
      checkClient(request.headers["convex-client"]);
      if (route === undefined) throw new SystemError(404, "NotFound", `no route for ${request.method} ${pathname}`);
      send(response, 200, await route({ request, isAdmin, isLimited }));
    } catch (error) {
      request.resume();
      if (error instanceof SystemError) {
        send(response, error.status, { code: error.code, message: error.message }, error.headers);
      } else {
        console.error(error);
        const message = "Your request couldn't be completed. Try again later.";
        send(response, 500, { code: "InternalServerError", message });
      }
    }
  };
}

/**
 * The routes of imports (crates/local_backend/src/snapshot_import.rs), one to begin and end somebody else's, and one that
 * lets the parts that come next fail: null is one that does not, and `isTaken` lets it be taken all the same.
 */
function importRoutes({ imports }) {
  const failures = [];
  return {
    "/api/import/start_upload": () => imports.startUpload(),
    "/api/import/upload_part": (request, body) => {
      const { searchParams } = new URL(request.url, "http://localhost");
      const failure = failures.shift() ?? null;
      const failed = () => new SystemError(failure.status, "LocalStackFault", "a fault that was asked for", failure.headers);
      if (failure !== null && !failure.isTaken) throw failed();
      const token = imports.uploadPart(searchParams.get("uploadToken"), Number(searchParams.get("partNumber")), body);
      if (failure !== null) throw failed();
      return new Json(token);
    },
    "/local-stack/fail-parts": async (request) => {
      failures.push(...(await readJson(request)).failures);
      return {};
    },
    "/api/import/finish_upload": async (request) => imports.finishUpload(await readJson(request)),
    "/api/perform_import": async (request) => {
      imports.confirm((await readJson(request)).importId);
      return "";
    },
    "/api/cancel_import": async (request) => {
      imports.cancel((await readJson(request)).importId);
      return "";
    },
    "/local-stack/foreign-import": async (request) => {
      imports.foreign((await readJson(request)).isRunning);
      return {};
    },
  };
}

/** A text that is sent as JSON, not as it is. */
class Json {
  constructor(value) {
    this.value = value;
  }
}

async function callFunction(deployment, wanted, body, { isAdmin, isLimited }) {
  const encode = FORMATS[body.format ?? "json"];
  if (encode === undefined) throw new SystemError(400, "BadFormat", `unknown format ${body.format}`);
  const path = parsePath(body.path);
  let args;
  try {
    args = jsonToConvex(Array.isArray(body.args) ? (body.args[0] ?? {}) : (body.args ?? {}));
  } catch (error) {
    return failure(new Error(`Invalid arguments for ${body.path}: ${error.message}`), [], path);
  }
  if (path.module.startsWith("_system/")) {
    requireAdmin(isAdmin);
    if (isLimited) {
      const message = "You do not have permission to perform this operation (deployment:data:view)";
      throw new SystemError(403, "OperationNotPermitted", message);
    }
    const value = systemQuery(deployment, path, args);
    return value === undefined ? notFound(body.path) : success(encode(value), []);
  }
  const found = deployment.find(path);
  const kind = wanted === "function" ? found?.kind : wanted;
  if (found === null || !KINDS.has(kind) || found.kind !== kind || !(found.isPublic || isAdmin)) {
    return notFound(body.path);
  }
  const size = getConvexSize(args);
  if (size > MAX_VALUE) {
    return failure(new Error(`Arguments for ${body.path} are too large (${mebibytes(size)}, limit: 16 MiB)`), [], path);
  }
  const { value, error, lines } = await deployment.run(kind, path, args);
  if (error !== undefined) return failure(error, lines, path);
  const result = value ?? null;
  if (getConvexSize(result) > MAX_VALUE) {
    return failure(new Error(`Function ${body.path} return value is too large (limit: 16 MiB)`), lines, path);
  }
  return success(encode(result), lines);
}

function parsePath(path) {
  try {
    return parseFunctionPath(path);
  } catch (error) {
    if (error instanceof BadFunctionPath) throw new SystemError(400, "BadConvexFunctionIdentifier", error.message);
    throw error;
  }
}

function success(value, lines) {
  return { status: "success", value, ...(lines.length > 0 && { logLines: lines }) };
}

function failure(error, lines, path) {
  const isConvexError = error !== null && typeof error === "object" && Symbol.for("ConvexError") in error;
  const data = isConvexError ? convexToJson(error.data) : undefined;
  let detail = isConvexError ? JSON.stringify(data) : String(error?.message ?? error);
  for (const [ours, theirs] of LIMIT_TEXTS) detail = detail.replace(ours, theirs);
  if (!detail.startsWith("ArgumentValidationError") && !detail.startsWith("Arguments for ")) {
    const name = isConvexError ? "ConvexError" : (error?.name ?? "Error");
    detail = `Uncaught ${name}: ${detail}\n    at handler (../convex/${path.module}.ts)`;
  }
  return {
    status: "error",
    errorMessage: serverError(detail),
    ...(isConvexError && { errorData: data }),
    ...(lines.length > 0 && { logLines: lines }),
  };
}

function notFound(path) {
  const text = `Could not find public function for '${path}'. Did you forget to run \`npx convex dev\` or \`npx convex deploy\`?`;
  return { status: "error", errorMessage: serverError(text) };
}

function serverError(detail) {
  return `[Request ID: ${randomBytes(8).toString("hex")}] Server Error\n${detail}`;
}

/** `Authorization: Convex <key>`; the part of a key before its first colon names the deployment's kind. */
function authorize(header, adminKey) {
  if (header === undefined) return false;
  if (!/^convex\s/i.test(header)) {
    throw new SystemError(401, "Unauthenticated", "this stand-in knows no user tokens: send `Convex <admin key>`");
  }
  if (!isKey(header, adminKey)) {
    const message = "The provided admin key was invalid for this instance";
    throw new SystemError(401, "BadAdminKey", message);
  }
  return true;
}

function isKey(header, key) {
  const [, scheme, credential] = /^(\S+)\s+(.+)$/.exec(header ?? "") ?? [];
  const isConvex = scheme?.toLowerCase() === "convex" && key !== undefined;
  return isConvex && (credential === key || credential.slice(credential.indexOf(":") + 1) === key);
}

function requireAdmin(isAdmin) {
  if (!isAdmin) {
    throw new SystemError(403, "BadDeployKey", "You do not have permission to perform this operation: admin key required");
  }
}

function checkClient(header) {
  if (header !== undefined && !header.includes("-")) {
    throw new SystemError(400, "InvalidClientVersion", `Failed to parse client version ${header}`);
  }
}

async function readBytes(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function readJson(request) {
  const chunks = [];
  let size = 0;
  // All of it is read, also when it is too much: a client that is still sending would miss the answer.
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk);
  }
  if (!/^application\/json\b/i.test(request.headers["content-type"] ?? "")) {
    throw new SystemError(400, "BadJsonBody", "Expected request with `Content-Type: application/json`");
  }
  if (size > MAX_BODY) throw new SystemError(400, "BadJsonBody", "Failed to buffer the request body: length limit exceeded");
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    if (body === null || typeof body !== "object") throw new Error("expected an object");
    return body;
  } catch (error) {
    throw new SystemError(400, "BadJsonBody", `Failed to parse the request body as JSON: ${error.message}`);
  }
}

function send(response, status, body, headers = {}) {
  const isText = typeof body === "string";
  response.writeHead(status, { ...headers, "content-type": isText ? "text/plain" : "application/json" });
  response.end(isText ? body : JSON.stringify(body instanceof Json ? body.value : body));
}

/** The `json` output format: readable, and not exact. */
function plainJson(value) {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(plainJson);
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([name, field]) => [name, plainJson(field)]));
}

function mebibytes(size) {
  return `${(size / (1 << 20)).toFixed(2)} MiB`;
}
