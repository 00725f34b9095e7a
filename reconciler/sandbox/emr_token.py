"""The token endpoint: Azure AD v1 as Nextech uses it (nextech-api.md 1.2), and the check of a token on each call.

Form in, JSON out. Errors have the STS shape with AADSTS codes; a wrong password (50126) and an expired one (50055) are
told apart only by the code.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl

from reconciler.sandbox.emr_world import Account, EmrWorld, Token
from reconciler.sandbox.http import Request, Response, json_response

_KEPT = 10_000  # tokens remembered; the oldest are forgotten first

# code: (HTTP status, error, text). Texts are our own.
ERRORS: dict[int, tuple[int, str, str]] = {
    90014: (400, "invalid_request", "the required field is missing"),
    90002: (400, "invalid_request", "the tenant was not found"),
    70003: (400, "unsupported_grant_type", "the grant type is not supported"),
    700016: (400, "unauthorized_client", "the application was not found in the directory"),
    7000215: (401, "invalid_client", "the client secret is wrong"),
    7000218: (401, "invalid_client", "a client secret or assertion is required"),
    50034: (400, "invalid_grant", "the user account does not exist in the directory"),
    50126: (400, "invalid_grant", "the user name or password is wrong"),
    50055: (400, "invalid_grant", "the password is expired"),
    50053: (400, "invalid_grant", "the account is locked"),
    50076: (400, "interaction_required", "multi-factor authentication is demanded"),
    70008: (400, "invalid_grant", "the refresh token has expired"),
    9002313: (400, "invalid_request", "the refresh token is malformed or unknown"),
    50173: (400, "invalid_grant", "the refresh token was revoked by a password change"),
    500011: (400, "invalid_resource", "the resource principal was not found in the tenant"),
}
_BY_STATE = {"expired": 50055, "locked": 50053, "mfa": 50076}


def handle(request: Request, world: EmrWorld) -> Response:
    """``POST …/oauth2/token``: the password, refresh and client-credentials grants."""
    if request.method != "POST":
        return json_response({"error": "invalid_request"}, 405)
    parts = [part for part in request.path.split("/") if part]
    if len(parts) > 2 and parts[-3] not in ("nextech-api.com", "common"):
        return refusal(90002, world)
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    with world.lock:
        world.count("POST token")
        grant = form.get("grant_type")
        if not grant or not form.get("client_id"):
            return refusal(90014, world)
        if grant == "password":
            return _password(form, world)
        if grant == "refresh_token":
            return _refresh(form, world)
        if grant == "client_credentials":
            return _client(form, world)
        return refusal(70003, world)


def refusal(code: int, world: EmrWorld) -> Response:
    """An error in the shape of Microsoft's token service."""
    status, error, text = ERRORS[code]
    return json_response(
        {
            "error": error,
            "error_description": f"AADSTS{code}: emulated - {text}.",
            "error_codes": [code],
            "timestamp": world.now().strftime("%Y-%m-%d %H:%M:%SZ"),
            "trace_id": f"3f2f6c0e-5d0e-4b53-9a53-{world.issued:012x}",
            "correlation_id": f"9a4b5c1d-22f3-4d1e-8c77-{world.issued:012x}",
        },
        status,
    )


def _password(form: dict[str, str], world: EmrWorld) -> Response:
    username, password = form.get("username"), form.get("password")
    if not username or not password or not form.get("resource"):
        return refusal(90014, world)
    account = world.accounts.get(username)
    if form["client_id"] not in {each.client_id for each in world.accounts.values() if each.product == "select"}:
        return refusal(700016, world)
    if account is None or account.product != "select":
        return refusal(50034, world)
    if form["client_id"] != account.client_id:
        return refusal(700016, world)
    # The real service checks the password first: whoever does not know it learns nothing about its age.
    if password != account.secret:
        return refusal(50126, world)
    if account.state in _BY_STATE:
        return refusal(_BY_STATE[account.state], world)
    return _grant(username, account, form["resource"], world)


def _refresh(form: dict[str, str], world: EmrWorld) -> Response:
    value = form.get("refresh_token")
    if not value:
        return refusal(90014, world)
    token = world.refresh_tokens.get(value)
    if token is None:
        return refusal(9002313, world)
    account = world.accounts[token.user]
    if token.calls_left == 0:
        return refusal(50173, world)
    if token.expires <= world.now():
        return refusal(70008, world)
    if account.state in _BY_STATE:
        return refusal(_BY_STATE[account.state], world)
    if form["client_id"] != account.client_id:
        return refusal(700016, world)
    return _grant(token.user, account, form.get("resource", "https://select.nextech-api.com/api"), world)


def _client(form: dict[str, str], world: EmrWorld) -> Response:
    account = world.accounts.get(form["client_id"])
    if account is None or account.product != "practice_plus":
        return refusal(700016, world)
    if not form.get("client_secret"):
        return refusal(7000218, world)
    if form["client_secret"] != account.secret or account.state != "ok":
        return refusal(7000215, world)
    if not form.get("resource"):
        return refusal(90014, world)
    return _grant(form["client_id"], account, form["resource"], world)


def _grant(user: str, account: Account, resource: str, world: EmrWorld) -> Response:
    options, now = world.options, world.now()
    world.issued += 1
    select = account.product == "select"
    expires = now + timedelta(seconds=options.token_seconds)
    access = f"emulated.access.token.{'' if select else 'pp.'}{world.issued:04d}"
    world.tokens[access] = Token(user, account.product, expires, options.token_calls)
    answer: dict[str, str] = {"token_type": "Bearer"}
    if select:
        answer["scope"] = "user_impersonation"
    answer |= {
        "expires_in": str(options.token_seconds),
        "ext_expires_in": str(options.token_seconds),
        "expires_on": str(int(expires.timestamp())),
        "not_before": str(int(now.timestamp()) - 300),
        "resource": resource,
        "access_token": access,
    }
    if select:
        refresh = f"emulated-refresh-token-{world.issued:04d}"
        world.refresh_tokens[refresh] = Token(user, account.product, now + options.refresh_lifetime)
        answer["refresh_token"] = refresh
    for kept in (world.tokens, world.refresh_tokens):
        while len(kept) > _KEPT:
            del kept[next(iter(kept))]
    return json_response(answer)


def bearer(request: Request, world: EmrWorld, product: str) -> Token | None:
    """The valid token of a request to a product, None if there is none; uses up one of its calls."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = world.tokens.get(value.strip()) if scheme.lower() == "bearer" else None
    if token is None or token.product != product or token.expires <= world.now():
        return None
    if token.calls_left is not None:
        if token.calls_left <= 0:
            return None
        token.calls_left -= 1
    return token


def set_password(world: EmrWorld, user: str, password: str) -> None:
    """Change a password as a person does at the portal: the account is good again, its refresh tokens are revoked."""
    with world.lock:
        account = world.accounts[user]
        account.secret, account.state = password, "ok"
        for token in world.refresh_tokens.values():
            if token.user == user:
                token.calls_left = 0
