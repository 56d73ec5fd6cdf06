"""Verifies the hub's tokens. Needs `cryptography`.

verify.py HUB CLIENT_ID NONCE TOKEN prints who has logged in.
"""
import base64
import hmac
import json
import sys
import time
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LEEWAY = 60  # seconds by which the clocks may differ


class Refused(Exception):
    pass


def raw(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("not a JWT") from None


def fetch_keys(hub: str) -> dict:
    """The hub's keys. Cache them for five minutes, and ask again for an unknown kid, at most every ten seconds.

    If the hub cannot be reached, use the last ones for a day at most, then answer 503: a key may have been withdrawn.
    """
    with urllib.request.urlopen(hub.rstrip("/") + "/.well-known/jwks.json", timeout=5) as answer:
        found = map(read_key, json.loads(answer.read(524288))["keys"])
        return dict(key for key in found if key)


def read_key(jwk):
    """One key of a JWKS as (kid, key); None if it is none of ours, which disables no other (RFC 7517, section 5)."""
    try:
        if (jwk["kty"], jwk["crv"], jwk.get("use", "sig")) == ("OKP", "Ed25519", "sig") and "verify" in jwk.get("key_ops", ["verify"]):
            return str(jwk["kid"]), Ed25519PublicKey.from_public_bytes(raw(jwk["x"]))
    except (KeyError, TypeError, ValueError, AttributeError, Refused):
        pass
    return None


def verify(hub: str, client_id: str, nonce: str, token: str, keys: dict, first) -> dict:
    """The claims of a login. `first(jti, until)` notes an id until that time and is true once: SET jti 1 NX EXAT until."""
    parts = token.split(".")
    if not nonce or len(token) > 8192 or len(parts) != 3:
        raise Refused("no nonce, or no token")
    try:
        head, claims = json.loads(raw(parts[0])), json.loads(raw(parts[1]))
        key = keys[head["kid"]]
        if head["alg"] != "EdDSA" or head["typ"] != "login+jwt" or "crit" in head:
            raise Refused("not a login token")
        key.verify(raw(parts[2]), f"{parts[0]}.{parts[1]}".encode())
        if claims["iss"] != hub.rstrip("/") or claims["aud"] != client_id:
            raise Refused("made by another hub, or for another site")
        if not claims["iat"] - LEEWAY <= time.time() < claims["exp"] + LEEWAY:
            raise Refused("expired, or not valid yet")
        if not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
            raise Refused("made for another browser session")
        if not claims["sub"] or not first(claims["jti"], claims["exp"] + LEEWAY + 60):
            raise Refused("used before")
    except (KeyError, TypeError, ValueError, AttributeError, InvalidSignature) as error:
        raise Refused("not a login token of this hub") from error
    return claims


if __name__ == "__main__":
    seen = set()
    hub, client_id, nonce, token = sys.argv[1:]
    print(verify(hub, client_id, nonce, token, fetch_keys(hub), lambda jti, _: not (jti in seen or seen.add(jti)))["sub"])
