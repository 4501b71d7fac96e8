// Writes every example payload that GitHub's own package has, signed with GitHub's own code, one JSON a line.
//   node payloads.mjs SECRET '{"text to replace": "by this"}'
import { createRequire } from "node:module";
import { sign } from "@octokit/webhooks-methods";

const examples = createRequire(import.meta.url)("@octokit/webhooks-examples");
const [secret, replacements = "{}"] = process.argv.slice(2);

for (const { name, examples: payloads } of examples) {
  for (const payload of payloads) {
    let body = JSON.stringify(payload);
    for (const [from, to] of Object.entries(JSON.parse(replacements))) body = body.replaceAll(from, to);
    console.log(JSON.stringify({ event: name, body, signature: await sign(secret, body) }));
  }
}
