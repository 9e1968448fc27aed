// The older encoding of exported rows (crates/shape_inference/src/{pretty,export_context}.rs): the shape of a table,
// and hints for single documents, say what a text stands for.

// Names that stand for themselves, with what a text of them means. A name comes before those it is the beginning of.
const UNITS = [
  ["never", []],
  ["null", []],
  ["int64", ["int64"]],
  ["float64", ["nan", "float64inf"]],
  ["-inf", ["float64inf"]],
  ["inf", ["float64inf"]],
  ["NaN", ["nan", "float64inf"]],
  ["normalfloat64", []],
  ["boolean", []],
  ["field_name", ["text"]],
  ["string", ["text"]],
  ["bytes", ["bytes"]],
  ["unknown", ["text", "int64", "float64inf", "nan", "bytes"]],
];
const HINTS = new Set(["infer", "int64", "float64inf", "bytes"]);

/** Reads `text` as a shape: `{means, element, fields, rest}`. */
export function parseShape(text) {
  const parser = new Parser(text);
  const shape = parser.union();
  if (parser.rest !== "") throw parser.unexpected();
  return shape;
}

class Parser {
  constructor(text) {
    this.rest = text;
  }

  unexpected(token) {
    return new Error(`unexpected token at '${this.rest}'${token === undefined ? "" : `. expected '${token}'`}`);
  }

  take(token) {
    if (!this.rest.startsWith(token)) return false;
    this.rest = this.rest.slice(token.length);
    return true;
  }

  need(token) {
    if (!this.take(token)) throw this.unexpected(token);
  }

  until(token) {
    const end = this.rest.indexOf(token);
    if (end < 0) throw this.unexpected(token);
    const found = this.rest.slice(0, end);
    this.rest = this.rest.slice(end + token.length);
    return found;
  }

  union() {
    const variants = [this.one()];
    while (this.take(" | ")) variants.push(this.one());
    return { variants };
  }

  one() {
    for (const [name, means] of UNITS) {
      if (this.take(name)) return name === "unknown" ? { means, isUnknown: true } : { means };
    }
    if (this.take("{")) return this.object();
    if (this.take("id<")) {
      this.until(">");
      return { means: ["text"] };
    }
    if (this.take('"')) {
      this.until('"');
      return { means: ["text"] };
    }
    if (this.take("array<")) {
      const element = this.union();
      this.need(">");
      return { means: [], element };
    }
    if (this.take("record<")) {
      this.union();
      this.need(", ");
      const value = this.union();
      this.need(">");
      return { means: [], value };
    }
    throw this.unexpected();
  }

  object() {
    const fields = new Map();
    while (!this.take("}")) {
      const [, name] = /^"(.*?)"\??$/.exec(this.until(": ")) ?? [];
      if (name === undefined) throw new Error("cannot parse object key");
      fields.set(name, this.union());
      if (!this.take(", ") && !this.rest.startsWith("}")) throw this.unexpected();
    }
    return { means: [], fields };
  }
}

/** Checks the hint of a document and returns it as it is. */
export function readHint(hint) {
  if (Array.isArray(hint)) hint.forEach(readHint);
  else if (hint !== null && typeof hint === "object") {
    if (typeof hint.$float64NaN !== "string") Object.values(hint).forEach(readHint);
  } else if (!HINTS.has(hint)) throw new Error(`invalid export context ${JSON.stringify(hint)}`);
  return hint;
}

/** The value that was exported as `value` by a table of one of `shapes`. */
export function shapedValue(value, shapes, hint = "infer") {
  const variants = shapes.flatMap(({ variants: of }) => of);
  if (typeof value === "string") return textOf(value, variants, hint);
  if (Array.isArray(value)) {
    if (hint !== "infer" && !(Array.isArray(hint) && hint.length === value.length)) {
      throw new Error("the shape hint does not fit the array");
    }
    const elements = variants.flatMap((shape) => shape.element ?? unknownIn(shape));
    return value.map((item, index) => shapedValue(item, elements, hint === "infer" ? hint : hint[index]));
  }
  if (value === null || typeof value !== "object") return value;
  if (hint !== "infer" && (typeof hint !== "object" || Array.isArray(hint))) {
    throw new Error("unsupported shape hint for object value");
  }
  const decoded = {};
  for (const [name, item] of Object.entries(value)) {
    if (name.startsWith("$")) throw new Error(`Field name ${name} starts with a '$', which is reserved.`);
    const shapesOf = variants.flatMap((shape) => shape.fields?.get(name) ?? shape.value ?? unknownIn(shape));
    decoded[name] = shapedValue(item, shapesOf, hint === "infer" ? hint : hint[name]);
  }
  return decoded;
}

function unknownIn(shape) {
  return shape.isUnknown ? [{ variants: [shape] }] : [];
}

function textOf(text, variants, hint) {
  if (typeof hint === "object" && typeof hint.$float64NaN === "string") {
    if (text !== "NaN") throw new Error("Unexpected serialization of a NaN value");
    return Buffer.from(hint.$float64NaN, "base64").readDoubleLE();
  }
  const possible = new Set(variants.flatMap(({ means }) => means));
  const inferred = possible.size === 1 ? [...possible][0] : "text";
  switch (hint === "infer" ? inferred : hint) {
    case "text":
      return text;
    case "int64":
      if (!/^[+-]?\d+$/.test(text)) throw new Error("Unexpected string for i64");
      return BigInt(text);
    case "float64inf":
    case "nan":
      if (text !== "Infinity" && text !== "-Infinity") throw new Error("Unexpected string for f64");
      return Number(text);
    case "bytes":
      return Uint8Array.from(Buffer.from(text, "base64")).buffer;
    default:
      throw new Error("unexpected shape hint for string");
  }
}
