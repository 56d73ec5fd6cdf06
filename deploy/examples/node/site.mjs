// A whole site whose users log in with their phone. `npm install` first.
//
//   HUB=https://login.example.com CLIENT_ID=demo PORT=3000 node site.mjs
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Refused, verifier } from "./verify.mjs";

const { HUB, CLIENT_ID: clientId, PORT: port, HOST: host = "127.0.0.1" } = process.env;
const hub = HUB.replace(/\/+$/, "");
// With a local hub the site is local too: Safari has no Secure cookies on http.
const prefix = hub.startsWith("http://") ? "" : "__Host-";
const sessions = new Map(); // id to user; in production use a store whose sessions expire
const used = new Map(); // jti to its end; with several processes use Redis

const verify = verifier({
  hub,
  clientId,
  async seen(jti, until) {
    for (const [id, end] of used) if (end < Date.now() / 1000) used.delete(id);
    if (used.has(jti)) return false;
    used.set(jti, until);
    return true;
  },
});

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const random = () => randomBytes(32).toString("base64url");

const page = (content) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Example</title>
<main>
<h1>Example</h1>
${content}
</main>
</html>`;

const welcome = (user) => page(`<p>Logged in as <strong id="user">${escape(user)}</strong></p>
<form method="post" action="/logout"><button>Log out</button></form>`);

const login = (nonce) => page(`<script type="module" src="${escape(hub)}/assets/client/widget/login-qr.js"></script>
<login-qr client="${escape(clientId)}" login-nonce="${escape(nonce)}"></login-qr>
<script type="module">
  const widget = document.querySelector("login-qr")
  widget.addEventListener("login", ({ detail }) =>
    detail.waitUntil(fetch("/session", { method: "POST", body: detail.token }).then((answer) => {
      if (!answer.ok) throw new Error("the site answers " + answer.status)
    })))
  widget.addEventListener("state", ({ detail }) => { if (detail.state === "consumed") location.reload() })
</script>`);

// A cookie of the browser's session. No other site, and no other host of this domain, can set a
// Secure cookie named __Host-.
const cookie = (name, value) =>
  `${prefix}${name}=${value}; Path=/; ${prefix && "Secure; "}HttpOnly; SameSite=Lax${value === "" ? "; Max-Age=0" : ""}`;

function cookies(request) {
  const pairs = (request.headers.cookie ?? "").split(/; */).map((pair) => pair.split("="));
  const all = new Map(pairs);
  return { session: all.get(`${prefix}session`) ?? "", nonce: all.get(`${prefix}nonce`) ?? "" };
}

async function bodyOf(request) {
  let text = "";
  for await (const part of request) {
    if ((text += part).length > 8192) throw new Refused("too long for a token");
  }
  return text;
}

async function answer(request, response) {
  const { session, nonce } = cookies(request);
  switch (`${request.method} ${request.url}`) {
    case "GET /": {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.setHeader("Cache-Control", "no-store");
      if (sessions.has(session)) return response.end(welcome(sessions.get(session)));
      const mine = nonce || random();
      if (!nonce) response.setHeader("Set-Cookie", cookie("nonce", mine));
      return response.end(login(mine));
    }
    case "POST /session": {
      const claims = await verify(await bodyOf(request), nonce);
      const id = random(); // a new id: an attacker may know the old one
      sessions.set(id, claims.sub);
      response.setHeader("Set-Cookie", [cookie("session", id), cookie("nonce", "")]);
      return response.writeHead(204).end();
    }
    case "POST /logout":
      sessions.delete(session);
      response.setHeader("Set-Cookie", cookie("session", ""));
      return response.writeHead(303, { Location: "/" }).end();
  }
  response.writeHead(404).end();
}

createServer((request, response) =>
  answer(request, response).catch((error) => {
    console.error("login refused:", error.message);
    response.writeHead(error instanceof Refused ? 401 : 503).end("login refused");
  }),
).listen(Number(port), host);
