// JSON Schema in words, and an example of it.

import { joined, make, table } from "./elements.js";

const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);
const anchorOf = (name) => `schema-${name}`;

/** Find what a reference means; anything else is itself. */
export function resolved(schema, schemas) {
  return schema?.$ref ? schemas[nameOf(schema.$ref)] : (schema ?? {});
}

/** Say in a few words which values a schema takes, with links to those that have a name. */
export function kind(schema) {
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [make("a", { href: `#${anchorOf(name)}` }, name)];
  }
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return joined(options.map(kind), " or ").flat();
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" or ")];
  if ("const" in schema) return [JSON.stringify(schema.const)];
  if (schema.type === "array") return schema.items ? ["list of ", ...kind(schema.items)] : ["list"];
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return ["object of ", ...kind(schema.additionalProperties)];
  }
  return [[schema.type ?? "any", schema.format].filter(Boolean).join(", ")];
}

/** Say what else is known of a value: its meaning, bounds and default. */
export function remarks(schema) {
  const options = [schema, ...(schema.anyOf ?? [])];
  const texts = [...new Set(options.map((option) => option.description).filter(Boolean))];
  if (!texts.length) texts.push(...options.map(bounds).filter(Boolean));
  if ("default" in schema && schema.default !== null) texts.push(`default ${JSON.stringify(schema.default)}`);
  return texts.join("; ");
}

function bounds(schema) {
  const { minimum, maximum, minLength, maxLength } = schema;
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  if (minimum !== undefined) return `at least ${minimum}`;
  if (maximum !== undefined) return `at most ${maximum}`;
  if (maxLength !== undefined) return `${minLength ?? 0} to ${maxLength} characters`;
  return "";
}

/** Show the fields of an object, or the words for anything else. */
export function shape(schema, schemas) {
  const whole = resolved(schema, schemas);
  const words = schema.$ref ? make("p", {}, kind(schema)) : null;
  if (!whole.properties) return [words ?? make("p", {}, kind(whole))];
  const required = new Set(whole.required ?? []);
  const rows = Object.entries(whole.properties).map(([name, field]) => [
    [make("code", {}, name), required.has(name) ? " *" : ""],
    make("span", {}, kind(field)),
    remarks(field),
  ]);
  return [words, table(["Field", "Type", "Meaning"], rows)];
}

/** Show a named schema, where links to it lead. */
export function named(name, schemas) {
  const schema = schemas[name];
  return make("section", { id: anchorOf(name), tabindex: "-1" },
    make("h3", {}, name),
    schema.description ? make("p", {}, schema.description) : null,
    shape(schema, schemas));
}

/** Make the smallest value that a schema takes. */
export function example(schema, schemas) {
  const whole = resolved(schema, schemas);
  if ("default" in whole) return whole.default;
  if (whole.enum) return whole.enum[0];
  if ("const" in whole) return whole.const;
  const options = whole.anyOf ?? whole.oneOf;
  if (options) return example(options.find((option) => option.type !== "null") ?? options[0], schemas);
  if (whole.type === "object") {
    const wanted = (whole.required ?? []).map((name) => [name, example(whole.properties[name], schemas)]);
    return Object.fromEntries(wanted);
  }
  if (whole.type === "array") return [];
  if (whole.type === "integer" || whole.type === "number") return whole.minimum ?? 0;
  return whole.type === "boolean" ? false : "";
}
