"""The endpoints below ``/_sandbox/``: looking behind the emulated systems, and changing things behind a client's back.

- ``GET /_sandbox/history`` (``?writes=true``, ``?after=N``), ``GET /_sandbox/state``
- ``GET``, ``POST /_sandbox/faults`` with ``{"clear": true, "faults": ["M+:3:502-after-commit"]}``
- ``POST /_sandbox/release``: lets every held request go on
- ``POST /_sandbox/change``: see ``changes``
- ``POST /_sandbox/reset``: the state of a fresh start, without faults
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.errors import UsageError
from reconciler.sandbox.changes import change
from reconciler.sandbox.http import Response, json_response

if TYPE_CHECKING:
    from reconciler.sandbox.app import App
    from reconciler.sandbox.http import Request


def handle(request: Request, app: App) -> Response:
    """Answer one request of whoever runs the sandbox. No fault concerns it and the history leaves it out."""
    try:
        return json_response(_handle(request, app))
    except (UsageError, KeyError, TypeError, ValueError) as wrong:
        message = wrong.message if isinstance(wrong, UsageError) else f"{type(wrong).__name__}: {wrong}"
        return json_response({"code": 400, "message": message}, 400)


def _handle(request: Request, app: App) -> Any:
    match (request.method, request.path):
        case ("GET", "/_sandbox/history"):
            after = int(request.first("after") or -1)
            with app.world.lock:
                entries = app.world.history[after + 1 :]
            writes = request.first("writes") == "true"
            return [it.as_json() for it in entries if it.committed or not writes]
        case ("GET", "/_sandbox/state"):
            with app.world.lock:
                return app.world.snapshot() | {"held": app.faults.held, "requests": len(app.world.history)}
        case ("GET", "/_sandbox/faults"):
            return app.faults.as_json()
        case ("POST", "/_sandbox/faults"):
            body = json.loads(request.body)
            if body.get("clear"):
                app.faults.clear()
            app.faults.arm(*body.get("faults", ()))
            return app.faults.as_json()
        case ("POST", "/_sandbox/release"):
            return {"released": app.faults.release()}
        case ("POST", "/_sandbox/change"):
            return change(app.world, json.loads(request.body))
        case ("POST", "/_sandbox/reset"):
            app.faults.clear()
            with app.world.lock:
                app.world.reset()
            return {}
    raise UsageError(f"{request.method} {request.path}: not an endpoint of the sandbox")
