"""Verifies the hub's tokens. Needs PyJWT with its extra `crypto`.

verify.py HUB CLIENT_ID NONCE TOKEN prints who has logged in.
"""
import hmac
import sys

import jwt

LEEWAY = 60  # seconds by which the clocks may differ


class Refused(Exception):
    """The token is no login of this session. Answer 401. Answer 503 to jwt.PyJWKClientError: the keys cannot be had."""


class Verifier:
    def __init__(self, hub: str, client_id: str, first):
        """`first(jti, until)` stores an id until that time and is true once: SET jti 1 NX EXAT until."""
        self.hub, self.client_id, self.first = hub.rstrip("/"), client_id, first
        self.keys = jwt.PyJWKClient(self.hub + "/.well-known/jwks.json")  # cached five minutes

    def verify(self, token: str, nonce: str) -> dict:
        """The claims of a login. The nonce is that of this browser's session."""
        if not nonce or len(token) > 8192:
            raise Refused("no nonce, or no token")
        try:
            if jwt.get_unverified_header(token).get("typ") != "login+jwt":
                raise Refused("not a login token")
            claims = jwt.decode(
                token, self.keys.get_signing_key_from_jwt(token).key, algorithms=["EdDSA", "RS256"],  # the client's token_alg
                issuer=self.hub, audience=self.client_id, leeway=LEEWAY, options={"require": ["exp", "iat", "jti", "nonce", "sub"]})
        except jwt.PyJWKClientError as error:
            raise Refused("signed with an unknown key") if "matches" in str(error) else error
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise Refused(str(error)) from error
        if not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
            raise Refused("made for another browser session")
        if not self.first(claims["jti"], claims["exp"] + LEEWAY + 60):
            raise Refused("used before")
        return claims


if __name__ == "__main__":
    used = set()
    hub, client_id, nonce, token = sys.argv[1:]
    print(Verifier(hub, client_id, lambda jti, _: not (jti in used or used.add(jti))).verify(token, nonce)["sub"])
