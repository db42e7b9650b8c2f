"""A service behind wxgate: who calls stands in three headers, and there is no other auth code."""

import os

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/api/me")
def me():
    return jsonify(
        openid=request.headers.get("X-WX-OPENID"),  # None: an anonymous request
        appid=request.headers.get("X-WX-APPID"),
        unionid=request.headers.get("X-WX-UNIONID"),
    )


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
