// Verifies the hub's tokens. No dependencies.
import { createPublicKey, verify as verifySignature } from "node:crypto";

const leeway = 60; // seconds by which the clocks may differ

export class Refused extends Error {}

/**
 * Creates the verifier of one site. `seen(jti, until)` stores a token's id until that time (Unix
 * seconds) and resolves to true only the first time; in Redis: SET jti 1 NX EXAT until. `keysMaxAge`:
 * how many seconds the hub's keys are used if it cannot be reached; then every token is an error.
 */
export function verifier({ hub: url, clientId, seen, keysMaxAge = 86_400 }) {
  const hub = url.replace(/\/+$/, "");
  let keys = new Map();
  let fetched = -Infinity;
  let tried = -Infinity;
  let fetching = null;
  let failure = null;

  async function fetchKeys() {
    try {
      const answer = await fetch(`${hub}/.well-known/jwks.json`, { redirect: "error", signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`the hub answers ${answer.status}`);
      const found = (await answer.json()).keys.map(readKey).filter(Boolean);
      if (found.length === 0) throw new Error("the hub publishes no key that this verifier can use");
      keys = new Map(found);
      fetched = Date.now();
      failure = null;
    } catch (error) {
      failure = error;
      if (keys.size === 0) throw error; // otherwise the last ones are used, for keysMaxAge
    } finally {
      tried = Date.now();
      fetching = null;
    }
  }

  // Cached five minutes; fetched again for an unknown kid, at most every ten seconds.
  async function keyOf(kid) {
    const fresh = Date.now() - fetched < 300_000;
    if (!(keys.has(kid) && fresh) && (keys.size === 0 || Date.now() - tried > 10_000)) await (fetching ??= fetchKeys());
    const age = Math.round((Date.now() - fetched) / 1000);
    if (age > keysMaxAge) throw new Error(`the hub's keys cannot be had, and the last ones are ${age} s old`, { cause: failure });
    return keys.get(kid);
  }

  return async function verify(token, nonce) {
    if (!nonce || typeof token !== "string" || token.length > 8192) throw new Refused("no nonce, or no token");
    const parts = token.split(".");
    if (parts.length !== 3 || !parts.every((part) => /^[\w-]+$/.test(part))) throw new Refused("not a JWT");
    const [head, body, signature] = parts;
    const { alg, typ, kid, crit } = read(head);
    if (alg !== "EdDSA" || typ !== "login+jwt" || crit !== undefined) throw new Refused("not a login token");
    const key = await keyOf(kid);
    if (!key || !verifySignature(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, "base64url"))) {
      throw new Refused("not signed by the hub");
    }
    const claims = read(body);
    const now = Date.now() / 1000;
    if (claims.iss !== hub) throw new Refused("made by another hub");
    if (claims.aud !== clientId) throw new Refused("made for another site");
    if (!(claims.exp + leeway > now)) throw new Refused("expired");
    if (!(claims.iat - leeway <= now)) throw new Refused("not valid yet");
    if (claims.nonce !== nonce) throw new Refused("made for another browser session");
    if (!claims.jti || !claims.sub) throw new Refused("incomplete");
    // Last, and stored for longer than the token is accepted.
    if (!(await seen(claims.jti, claims.exp + leeway + 60))) throw new Refused("used before");
    return claims;
  };
}

/** One key of a JWKS as [kid, key]; null if this verifier cannot use it; the others still count (RFC 7517, section 5). */
function readKey(jwk) {
  try {
    const { kty, crv, kid, x, use = "sig", key_ops = ["verify"] } = jwk;
    if (kty !== "OKP" || crv !== "Ed25519" || use !== "sig" || !key_ops.includes("verify") || !kid) return null;
    return [kid, createPublicKey({ key: { kty, crv, x }, format: "jwk" })];
  } catch {
    return null;
  }
}

function read(part) {
  try {
    return Object(JSON.parse(Buffer.from(part, "base64url").toString()));
  } catch {
    throw new Refused("not a JWT");
  }
}
