// Verifies the hub's tokens with jose.
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const leeway = 60; // seconds by which the clocks may differ
// The hub's keys cannot be had: no fault of the token.
const unavailable = ["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"];

export class Refused extends Error {}

/**
 * Creates the verifier of one site. `seen(jti, until)` stores a token's id until that time (Unix
 * seconds) and resolves to true only the first time; in Redis: SET jti 1 NX EXAT until.
 */
export function verifier({ hub, clientId, seen }) {
  const issuer = hub.replace(/\/+$/, "");
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), { cacheMaxAge: 300_000, cooldownDuration: 10_000 });
  const checks = {
    issuer, audience: clientId, typ: "login+jwt", algorithms: ["EdDSA", "RS256"], // the client's token_alg
    clockTolerance: leeway, maxTokenAge: "1d", requiredClaims: ["exp", "jti", "nonce", "sub"],
  };

  return async function verify(token, nonce) {
    if (!nonce || token.length > 8192) throw new Refused("no nonce, or no token");
    const { payload: claims } = await jwtVerify(token, keys, checks).catch((error) => {
      throw error instanceof errors.JOSEError && !unavailable.includes(error.code) ? new Refused(error.message) : error;
    });
    if (claims.nonce !== nonce) throw new Refused("made for another browser session");
    // Last, and stored for longer than the token is accepted.
    if (!(await seen(claims.jti, claims.exp + leeway + 60))) throw new Refused("used before");
    return claims;
  };
}
