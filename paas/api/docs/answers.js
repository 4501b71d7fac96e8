// What came back: a status, then text, a file, or events for as long as they come.

import { make } from "./elements.js";

const MOST_SHOWN = 1_000_000; // characters of one answer
const MOST_EVENTS = 500;

/** Show an answer as it comes. Ends when it is complete, or when the request is given up. */
export async function show(response, status, body) {
  const type = (response.headers.get("content-type") ?? "").split(";")[0];
  status.textContent = [`${response.status} ${response.statusText}`, type].filter(Boolean).join(", ");
  if (type === "text/event-stream") return follow(response, status, body);
  if (type && !type.startsWith("text/") && type !== "application/json") return offer(response, body);
  const text = await response.text();
  body.textContent = indented(text, type).slice(0, MOST_SHOWN);
}

function indented(text, type) {
  if (type !== "application/json") return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Offer bytes that are no text as a file. */
async function offer(response, body) {
  const bytes = await response.blob();
  const link = make("a", { href: URL.createObjectURL(bytes), download: "answer" }, `Save ${bytes.size} bytes`);
  body.replaceChildren(link);
}

/** Show server-sent events, one a line, until the stream ends. */
async function follow(response, status, body) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const head = status.textContent;
  let text = "";
  let count = 0;
  for (;;) {
    status.textContent = `${head}: ${count} events so far`;
    const { value, done } = await reader.read();
    if (done) break;
    const frames = (text + value).split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").filter((line) => line.startsWith("data:"));
      if (!data.length) continue; // a heartbeat
      count += 1;
      body.append(`${data.map((line) => line.slice(5).trim()).join("\n")}\n`);
      while (body.childNodes.length > MOST_EVENTS) body.firstChild.remove();
    }
    body.scrollTop = body.scrollHeight;
  }
  status.textContent = `${head}: ${count} events, the stream has ended`;
}
