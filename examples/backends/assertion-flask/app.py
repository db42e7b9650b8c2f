"""A service behind wxgate that believes nothing but the signed assertion."""

import os

import jwt
from flask import Flask, jsonify, request

GATEWAY = os.environ.get("GATEWAY", "http://127.0.0.1:8080")
AUDIENCE = os.environ.get("AUDIENCE", "me")  # the name of [upstream.me] in wxgate's config
ISSUER = os.environ.get("ISSUER", "wxgate")  # token.issuer

app = Flask(__name__)
keys = jwt.PyJWKClient(GATEWAY + "/.well-known/jwks.json")  # fetched when a key is not known yet, and kept


def caller():
    """The claims of the assertion; None for an anonymous request; an error for anything else."""
    assertion = request.headers.get("X-WX-Assertion")
    if assertion is None:
        return None
    claims = jwt.decode(
        assertion,
        keys.get_signing_key_from_jwt(assertion),
        algorithms=["ES256", "EdDSA"],
        audience=AUDIENCE,
        issuer=ISSUER,
        leeway=5,
        options={"require": ["iss", "aud", "sub", "iat", "exp"]},
    )
    if claims.get("typ") != "assertion":  # the gateway's other tokens are not for services
        raise jwt.InvalidTokenError("not an assertion")
    return claims


@app.errorhandler(jwt.PyJWTError)
def refused(_):
    return jsonify(error="not through the gateway"), 401


@app.get("/api/me")
def me():
    claims = caller() or {}
    return jsonify(openid=claims.get("sub"), appid=claims.get("appid"), unionid=claims.get("unionid"))


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
