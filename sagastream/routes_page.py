"""The page that shows an app's routes and lets people try them. Owns its HTML; knows no route.

Its scripts come from another host, and it shares the console's origin, where operators have entered their token. So the
browser is told what exactly may run on it: the files of one version, by their digests, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from html import escape
from inspect import signature

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

# The source of FastAPI's own page, but pinned to one version; the digests are those of the files in its npm package.
_PLACE = str(signature(get_swagger_ui_html).parameters["swagger_js_url"].default).partition("@")[0] + "@5.35.0/"
_STYLE = "sha384-WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I"
_SCRIPT = "sha384-gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9"
# A relative URL, so that it is the app's own even if a service is shown below the front, or the front below a path.
_BEGIN = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#routes", deepLinking: true, showExtensions: true});'
_DIGEST = base64.b64encode(hashlib.sha256(_BEGIN.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_DIGEST}' {_PLACE}; style-src 'unsafe-inline' {_PLACE}; "
        "img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes_page(title: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler that answers with the page of an app of this title."""
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: routes</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{_PLACE}swagger-ui.css" integrity="{_STYLE}" crossorigin="anonymous">
</head>
<body>
<div id="routes"></div>
<script src="{_PLACE}swagger-ui-bundle.js" integrity="{_SCRIPT}" crossorigin="anonymous"></script>
<script>{_BEGIN}</script>
</body>
</html>
"""

    async def show(_: Request) -> Response:
        return HTMLResponse(page, headers=_HEADERS)

    return show
