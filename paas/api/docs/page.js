// The page: all that /openapi.json says, group by group. What is closed is not made yet.

import { make, table } from "./elements.js";
import { kind, named, remarks, shape } from "./schemas.js";
import { form } from "./trying.js";

const content = document.getElementById("content");
const groups = document.getElementById("groups");
const filter = document.getElementById("filter");
const state = document.getElementById("state");

function operationsOf(description) {
  return Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      path,
      method: method.toUpperCase(),
      group: operation.tags?.[0] ?? "other",
    })));
}

/** Show one operation, whose inside is made when it is first opened. */
function entry(operation, schemas) {
  const inside = make("div");
  const fill = () => {
    if (!inside.childNodes.length) inside.append(...details(operation, schemas));
  };
  const shown = make("details", { id: operation.operationId, toggle: fill },
    make("summary", {},
      make("span", { class: `method ${operation.method.toLowerCase()}` }, operation.method), " ",
      make("code", {}, operation.path), " ",
      make("span", { class: "faint" }, operation.summary)),
    inside);
  shown.dataset.text = `${operation.method} ${operation.path} ${operation.summary} ${operation.group}`.toLowerCase();
  return shown;
}

function details(operation, schemas) {
  const parameters = operation.parameters.map(({ name, in: place, required, description, schema }) => [
    [make("code", {}, name), required ? " *" : ""],
    place,
    make("span", {}, kind(schema)),
    [description, remarks(schema)].filter(Boolean).join("; "),
  ]);
  const body = operation.requestBody?.content;
  return [
    parameters.length ? make("h4", {}, "Parameters") : null,
    table(["Name", "In", "Type", "Meaning"], parameters),
    body ? make("h4", {}, "Body") : null,
    body ? contents(body, schemas) : null,
    make("h4", {}, "Answers"),
    table(["Status", "Meaning", "Content"], Object.entries(operation.responses).map(([status, response]) => [
      make("code", {}, status),
      response.description,
      make("span", {}, answered(response.content)),
    ])),
    form(operation, schemas),
  ].flat().filter(Boolean);
}

function contents(body, schemas) {
  return Object.entries(body).flatMap(([type, { schema }]) =>
    type === "application/json" ? shape(schema, schemas) : [make("p", {}, make("code", {}, type))]);
}

function answered(body) {
  return Object.entries(body ?? {}).flatMap(([type, { schema }], index) => [
    index ? ", " : "",
    ...(type === "application/json" ? kind(schema) : [make("code", {}, type)]),
  ]);
}

function applyFilter() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of content.querySelectorAll("section.group")) {
    let any = false;
    for (const each of section.querySelectorAll("details")) {
      each.hidden = !words.every((word) => each.dataset.text.includes(word));
      any ||= !each.hidden;
    }
    section.hidden = !any;
  }
}

/** Open, show and focus what the address names. */
function goToNamed() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target || !content.contains(target)) return;
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.querySelector("summary").focus();
  } else target.focus();
  target.scrollIntoView();
}

function render(description) {
  const { schemas } = description.components;
  const operations = operationsOf(description);
  const names = [...new Set(operations.map((operation) => operation.group))].sort();
  document.getElementById("version").textContent = description.info.version;
  content.replaceChildren(
    ...names.map((name) => make("section", { class: "group", id: `group-${name}`, tabindex: "-1" },
      make("h2", {}, name),
      operations.filter((each) => each.group === name).map((each) => entry(each, schemas)))),
    make("section", { id: "schemas", tabindex: "-1" },
      make("h2", {}, "schemas"), Object.keys(schemas).sort().map((name) => named(name, schemas))));
  const link = (target, text) => make("li", {}, make("a", { href: `#${target}` }, text));
  groups.replaceChildren(make("ul", {},
    names.map((name) => link(`group-${name}`, name)), link("schemas", "schemas")));
  filter.addEventListener("input", applyFilter);
  window.addEventListener("hashchange", goToNamed);
  goToNamed();
}

try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  render(await response.json());
} catch (error) {
  state.textContent = `Cannot show the API: ${error.message}`;
}
