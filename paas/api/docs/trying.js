// A form that sends one request.

import { show } from "./answers.js";
import { joined, make } from "./elements.js";
import { example } from "./schemas.js";

let forms = 0;

/** Make the form of an operation: its parameters, its body, and the answer below it. */
export function form(operation, schemas) {
  const prefix = `form-${(forms += 1)}`;
  const parameters = operation.parameters.map((parameter) => ({
    ...parameter,
    input: parameterInput(parameter, `${prefix}-${parameter.name}`),
  }));
  const body = bodyInput(operation.requestBody, schemas, `${prefix}-body`);
  const accept = acceptInput(operation.responses, `${prefix}-accept`);
  const send = make("button", { type: "submit" }, "Send");
  const stop = make("button", { type: "button", disabled: true }, "Stop");
  const command = make("pre", { hidden: true, tabindex: "0", "aria-label": "The same with curl" });
  const status = make("p", { role: "status" });
  const answer = make("pre", { hidden: true, tabindex: "0", "aria-label": "Answer" });

  async function submit(event) {
    event.preventDefault();
    if (!stop.disabled) return; // the one before is still under way
    stop.disabled = false;
    const giveUp = new AbortController();
    const end = () => giveUp.abort();
    stop.addEventListener("click", end);
    answer.replaceChildren();
    status.textContent = "Sent";
    try {
      const request = await requestOf(operation, parameters, body, accept);
      command.textContent = asCurl(request);
      command.hidden = answer.hidden = false;
      await show(await fetch(request.url, { ...request.options, signal: giveUp.signal }), status, answer);
    } catch (error) {
      status.textContent = giveUp.signal.aborted ? `${status.textContent}; stopped` : `No answer: ${error.message}`;
    } finally {
      stop.removeEventListener("click", end);
      if (document.activeElement === stop) send.focus(); // a disabled button would drop it
      stop.disabled = true;
    }
  }

  return make("form", { submit, "aria-label": `Try ${operation.method} ${operation.path}` },
    make("h4", {}, "Try it"),
    parameters.map(({ name, required, input }) => field(input, name, required)),
    body && body.fields,
    accept && field(accept, "Accept", false),
    make("p", {}, joined([send, stop], " ")),
    command, status, answer);
}

function field(input, name, required) {
  return make("div", { class: "field" }, make("label", { for: input.id }, name, required ? " *" : ""), input);
}

function parameterInput(parameter, id) {
  const { schema } = parameter;
  const values = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (!values) {
    const hint = schema.default ?? schema.format ?? "";
    return make("input", { id, required: parameter.required, placeholder: String(hint), autocomplete: "off" });
  }
  const options = parameter.required ? values : ["", ...values];
  return make("select", { id }, options.map((value) => make("option", { value }, String(value))));
}

/** Make what a body is given with: text for JSON, else a file and its type. */
function bodyInput(described, schemas, id) {
  const content = described?.content;
  if (!content) return null;
  const json = content["application/json"];
  if (json) {
    const input = make("textarea", { id, rows: 8, spellcheck: "false" });
    input.value = JSON.stringify(example(json.schema, schemas), null, 2);
    return { input, type: () => "application/json", fields: field(input, "Body", true) };
  }
  const input = make("input", { id, type: "file" });
  const types = make("select", { id: `${id}-type` },
    Object.keys(content).map((value) => make("option", { value }, value)));
  return { input, type: () => types.value, fields: [field(input, "Body", true), field(types, "Its type", true)] };
}

/** Make the choice between several kinds of a good answer; nothing where there is one. */
function acceptInput(responses, id) {
  const good = Object.entries(responses).filter(([status]) => status.startsWith("2"));
  const types = [...new Set(good.flatMap(([, response]) => Object.keys(response.content ?? {})))];
  if (types.length < 2) return null;
  return make("select", { id }, types.map((value) => make("option", { value }, value)));
}

async function requestOf(operation, parameters, body, accept) {
  let { path } = operation;
  const query = new URLSearchParams();
  const headers = {};
  for (const { name, in: place, input } of parameters) {
    const { value } = input;
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value !== "" && place === "query") query.append(name, value);
    else if (value !== "") headers[name] = value;
  }
  if (accept) headers.Accept = accept.value;
  const options = { method: operation.method, headers, cache: "no-store", redirect: "error" };
  if (body) {
    headers["Content-Type"] = body.type();
    const file = body.input.files?.[0];
    options.body = body.input.type === "file" ? file && (await file.arrayBuffer()) : body.input.value;
    return { url: addressOf(path, query), options, file: file?.name };
  }
  return { url: addressOf(path, query), options };
}

function addressOf(path, query) {
  const text = query.toString();
  return `${location.origin}${path}${text ? `?${text}` : ""}`;
}

function asCurl({ url, options, file }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const words = ["curl", ...(options.headers.Accept === "text/event-stream" ? ["-N"] : [])];
  if (options.method !== "GET") words.push("-X", options.method);
  words.push(quoted(url));
  for (const [name, value] of Object.entries(options.headers)) words.push("-H", quoted(`${name}: ${value}`));
  if (file) words.push("--data-binary", quoted(`@${file}`));
  else if (typeof options.body === "string") words.push("-d", quoted(options.body));
  return words.join(" ");
}
