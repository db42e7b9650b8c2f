"""A service behind wxgate: who calls stands in three headers, and there is no other auth code."""

import os
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header

app = FastAPI()


@app.get("/api/me")
def me(
    openid: Annotated[str | None, Header(alias="X-WX-OPENID")] = None,  # None: an anonymous request
    appid: Annotated[str | None, Header(alias="X-WX-APPID")] = None,
    unionid: Annotated[str | None, Header(alias="X-WX-UNIONID")] = None,
):
    return {"openid": openid, "appid": appid, "unionid": unionid}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
