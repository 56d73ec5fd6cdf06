// A site's webhook for the events of its logins: it verifies each call (Standard Webhooks), keeps an
// event once, answers, and works on it afterwards. It needs no package.
//
//   SECRET=whsec_… PORT=3001 node webhook.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { SECRET: secret, PORT: port, HOST: host = "127.0.0.1" } = process.env;
const leeway = 300; // seconds that a call may be old
const known = new Map(); // id to event; in production a table of your database, with the id as its key

// Returns the event of a call, or throws. body is a Buffer of the bytes as they came.
function verifyEvent(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures = "" } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= leeway)) throw new Error("too old, or no timestamp");
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const want = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const isWant = (one) => one.length === want.length + 3 && timingSafeEqual(Buffer.from(one), Buffer.from(`v1,${want}`));
  if (!/^[\x20-\x7e]*$/.test(signatures) || !signatures.split(" ").some(isWant)) throw new Error("not signed with this secret");
  return JSON.parse(body);
}

// Runs after the answer.
function handle({ type, data }) {
  // Here the site ends the sessions of data.sub, if it is login.suspicious with the reason not_me.
  console.log(type, data.sub ?? "", data.reason ?? "");
}

async function bodyOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    if ((size += part.length) > 65536) throw new Error("too long for an event");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

createServer(async (request, response) => {
  try {
    const event = verifyEvent(request.headers, await bodyOf(request));
    if (!known.has(event.id)) {
      known.set(event.id, event); // before the answer: the hub does not send it again
      setImmediate(handle, event);
    }
    response.writeHead(204).end();
  } catch (error) {
    console.error("refused:", error.message);
    response.writeHead(401).end();
  }
}).listen(Number(port), host);
