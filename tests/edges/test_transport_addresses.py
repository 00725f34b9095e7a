"""Where a transport never connects to, and how many requests it lets through."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from reconciler import errors
from reconciler.clients.transport import RateLimiter, Retry, Transport
from tests.edges.loopback_server import Seen, Step, VirtualTime, connected, page, serving

ALLOWED = frozenset({"api.example.com", "127.0.0.1", "localhost", "::1"})
REFUSED_URLS = [
    "",
    "api.example.com",
    "//api.example.com",
    "https://",
    "https:///x",
    "ftp://api.example.com",
    "file:///etc/passwd",
    "HTTPX://api.example.com",
    "http://api.example.com",
    "http://evil.example.org",
    "https://evil.example.org",
    "https://api.example.com.evil.example.org",
    "https://evil-api.example.com",
    "https://sub.api.example.com",
    "https://api.example.com.",
    "https://user@api.example.com",
    "https://user:geheim@api.example.com",
    "https://api.example.com@evil.example.org",
    "https://api.example.com:443@evil.example.org",
    "https://api.example.com%40evil.example.org",
    "https://evil.example.org#@api.example.com",
    "https://evil.example.org\\@api.example.com",
    "https://evil.example.org?@api.example.com",
    "https://api.example.com\\.evil.example.org",
    "https://api.example.com#x",
    "https://api.example.com?x=1",
    "https://api.example.com/?",
    "https://api.example.com/../x",
    "https://api.example.com:0",
    "https://api.example.com:99999",
    "https://api.example.com:port",
    "https://api.example.com:443:443",
    "https://api.exa mple.com",
    "https://api.example.com\n.evil.example.org",
    "\thttps://evil.example.org",
    "https://аpi.example.com",
    "https://api。example。com",
    "https://ａpi.example.com",
    "https://api.examp\u200ble.com",
    "https://xn--pi-7kc.example.com",
    "https://-api.example.com",
    "https://169.254.169.254",
    "http://169.254.169.254/latest/meta-data",
    "https://metadata.google.internal",
    "https://[fd00:ec2::254]",
    "https://[fe80::1%25eth0]",
    "https://2130706433",
    "https://0x7f000001",
    "https://0x7f.1",
    "https://127.1",
    "https://127.0.1",
    "https://0177.0.0.1",
    "https://127.0.0.01",
    "http://2130706433",
    "http://0x7f000001",
    "http://127.1",
    "http://0",
    "http://0.0.0.0",
    "https://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::]",
    "https://[::1",
    "https://127.0.0.1.nip.example.org",
    "http://localhost.evil.example.org",
    "http://localhost@evil.example.org",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_base_url_that_is_not_plainly_an_allowed_host_is_refused(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="nothing was sent") as caught:
        connected(url, allowed_hosts=ALLOWED)
    assert "geheim" not in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "url", ["https://api.example.com", "HTTPS://API.EXAMPLE.COM:443/v1/", "http://localhost:80", "http://[::1]:8080"]
)
def test_a_plain_allowed_url_is_taken_in_any_case(url: str) -> None:
    connected(url, allowed_hosts=ALLOWED).close()


LINKS = [
    "https://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://127.0.0.1:{other}/x",
    "http://127.0.0.1:{port}@evil.example.org/x",
    "http://user@127.0.0.1:{port}/x",
    "http://evil.example.org/x",
    "?page=2",
    "",
    "javascript:x",
    "http://0x7f.1:{port}/x",
]


@pytest.mark.parametrize("link", LINKS)
def test_a_link_to_another_origin_is_not_followed(link: str) -> None:
    with serving(lambda _: page(200)) as other, serving(lambda _: page(200)) as server, connected(server.url) as client:
        with pytest.raises(errors.NotSent, match="nothing was sent"):
            client.send_url("GET", link.format(port=server.port, other=other.port))
        assert server.connections == other.connections == []


@pytest.mark.parametrize("start", ["http://127.0.0.1:{port}", ""])
def test_a_link_of_the_same_origin_is_followed_as_written(start: str) -> None:
    with serving(lambda _: page(200, [1])) as server, connected(server.url + "/api") as client:
        url = start.format(port=server.port) + "/api/Patient?_getpages=a%7Cb&x="
        assert client.send_url("GET", url).json() == [1]
        assert [seen.target for seen in server.seen] == ["/api/Patient?_getpages=a%7Cb&x="]


REDIRECTS = [
    "http://127.0.0.1:{other}/x",
    "http://localhost:{port}/x",
    "https://127.0.0.1:{port}/x",
    "//127.0.0.1:{other}/x",
    "http://127.0.0.1:{port}@evil.example.org/",
    "ftp://127.0.0.1/",
    "http://[",
    "\x07",
]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", REDIRECTS)
def test_a_redirect_elsewhere_is_refused_and_carries_no_credential_there(location: str, status: int) -> None:
    with serving(lambda _: page(200)) as other:

        def answer(_: Seen) -> list[Step]:
            return page(status, headers={"Location": location.format(port=server.port, other=other.port)})

        with (
            serving(answer) as server,
            connected(server.url, headers={"Authorization": "Bearer t"}) as client,
            pytest.raises(errors.Answered, match="redirect") as caught,
        ):
            client.send("GET", "/start")
        assert caught.value.status == status
        assert [seen.target for seen in server.seen] == ["/start"]
        assert other.connections == []


def test_redirects_on_the_same_host_are_followed_three_times_only() -> None:
    def answer(seen: Seen) -> list[Step]:
        number = int(seen.target.rsplit("/", 1)[1])
        return page(302, headers={"Location": f"/hop/{number - 1}"}) if number else page(200, "done")

    with serving(answer) as server, connected(server.url) as client:
        assert client.send("GET", "/hop/3").body == b"done"
        with pytest.raises(errors.Answered, match="redirects more than 3 times"):
            client.send("GET", "/hop/9")
        assert len(server.seen) == 8


def test_a_write_is_never_redirected() -> None:
    with serving(lambda _: page(307, headers={"Location": "/y"})) as server, connected(server.url) as client:
        with pytest.raises(errors.Answered, match="a write is never redirected"):
            client.send("PUT", "/x", json_body={})
        assert len(server.seen) == 1


@pytest.mark.parametrize("found", [["169.254.169.254"], ["fe80::1%eth0"], ["10.0.0.1"], ["127.0.0.1", "192.0.2.1"]])
def test_a_name_that_leads_away_from_where_it_may_is_refused(found: list[str]) -> None:
    with serving(lambda _: page(200)) as server:
        url = f"http://localhost:{server.port}"
        with (
            connected(url, resolve=lambda _host, _port: found) as client,
            pytest.raises(errors.NotSent, match="leads to an address that is not allowed; nothing was sent"),
        ):
            client.send("GET", "/x")
        assert server.connections == []


def test_proxy_variables_of_the_surroundings_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda _: page(200)) as proxy, serving(lambda _: page(200)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with connected(server.url) as client:
            assert client.send("GET", "/x").status == 200
        assert proxy.connections == []


def test_a_proxy_is_used_when_asked_and_its_refusal_is_not_sent() -> None:
    with serving(lambda _: page(403)) as proxy:
        settings: dict[str, Any] = {"allowed_hosts": ALLOWED, "proxy": proxy.url.replace("//", "//u:geheim@")}
        with (
            connected("https://api.example.com", **settings) as client,
            pytest.raises(errors.NotSent, match="the proxy did not let it through") as caught,
        ):
            client.send("PUT", "/x", retry=Retry.ONCE)
        assert "geheim" not in caught.value.message
        assert [(seen.method, seen.target) for seen in proxy.seen] == [("CONNECT", "api.example.com:443")]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://x", "nonsense", "http://"])
def test_what_is_no_http_proxy_is_a_settings_error(proxy: str) -> None:
    with pytest.raises(errors.SettingsError, match="RECONCILER_PROXY"):
        connected("https://api.example.com", allowed_hosts=ALLOWED, proxy=proxy)


def windows(times: list[float], width: float = 1.0) -> int:
    """The most instants in any half-open window of this width."""
    return max(sum(start <= each < start + width for each in times) for start in times)


def test_eight_threads_share_one_rate_and_use_it() -> None:
    limiter = RateLimiter(200, now=time.monotonic, sleep=time.sleep)
    passed: list[float] = []

    def work() -> None:
        for _ in range(25):
            assert limiter.acquire()
            passed.append(time.monotonic())

    started = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 199 / 200
    assert windows(passed, 0.5) <= 100 + 8  # a thread may wake late and so stand beside its successors
    assert 200 / (max(passed) - min(passed)) >= 0.85 * 200


def test_a_burst_is_let_through_at_once_and_then_the_rate_holds() -> None:
    virtual = VirtualTime()
    limiter = RateLimiter(10, now=virtual.now, sleep=virtual.sleep, burst=3)
    passed = []
    for _ in range(5):
        assert limiter.acquire()
        passed.append(round(virtual.seconds - 1000, 6))
    assert passed == [0, 0, 0, 0.1, 0.2]


def test_a_pause_holds_everybody_and_a_turn_beyond_the_deadline_is_declined() -> None:
    virtual = VirtualTime()
    limiter = RateLimiter(10, now=virtual.now, sleep=virtual.sleep)
    limiter.pause_until(1005.0)
    limiter.pause_until(1002.0)
    assert not limiter.acquire(give_up_at=1004.0)
    assert limiter.acquire(give_up_at=1006.0)
    assert virtual.seconds == 1005.0


def test_a_pause_that_comes_while_a_caller_sleeps_holds_it_too() -> None:
    virtual = VirtualTime()

    def sleep(seconds: float) -> None:
        if not virtual.slept:
            limiter.pause_until(1030.0)
        virtual.sleep(seconds)

    limiter = RateLimiter(1, now=virtual.now, sleep=sleep)
    assert limiter.acquire()
    assert limiter.acquire()
    assert virtual.seconds == 1030.0


def test_a_request_that_the_rate_holds_back_beyond_its_deadline_is_not_sent() -> None:
    virtual = VirtualTime()
    limiter = RateLimiter(1, now=virtual.now, sleep=virtual.sleep)
    limiter.pause_until(2000.0)
    with (
        Transport(
            base_url="http://127.0.0.1:1", allowed_hosts=ALLOWED, limiter=limiter, **virtual.settings()
        ) as client,
        pytest.raises(errors.NotSent, match="the rate limit leaves no room within 30 s; nothing was sent"),
    ):
        client.send("GET", "/x")
