"""Servers that misbehave on the wire: each ends in its named error, in bounded time and memory."""

from __future__ import annotations

import gzip
import resource
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler import errors
from reconciler.clients import transport, wire
from reconciler.clients.transport import Retry
from tests.edges.loopback_server import CLOSE, RESET, Seen, Step, connected, page, serving

DEADLINE = 1.0
Toxic = Callable[[], Iterable[Step]]


def drip(start: bytes, block: bytes, seconds: float) -> Iterator[Step]:
    yield start
    while True:
        yield seconds
        yield block


def endless_bodies() -> Iterator[Step]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b"x" * 65536 + b"\r\n"


ZEROS = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
BOMB = b"".join(ZEROS.compress(bytes(1024 * 1024)) for _ in range(64)) + ZEROS.flush()
"""64 MiB of zeros in 300 KB."""


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines]).encode() + b"\r\n\r\n"


ZIPPED = gzip.compress(b'{"a": 1}')
TOXICS: dict[str, tuple[Toxic, type[errors.RemoteError], str]] = {
    "closes at once": (lambda: [CLOSE], errors.Unknown, "broke the connection"),
    "resets at once": (lambda: [RESET], errors.Unknown, "broke the connection"),
    "never answers": (lambda: [30.0], errors.Unknown, "no complete answer"),
    "resets in the headers": (lambda: [b"HTTP/1.1 200 OK\r\nA: b", RESET], errors.Unknown, "broke the connection"),
    "closes in the headers": (lambda: [b"HTTP/1.1 200 OK\r\nA: b", CLOSE], errors.Unknown, "broke the connection"),
    "resets in the body": (lambda: [head("Content-Length: 9"), b"{", RESET], errors.Unknown, "broke the connection"),
    "closes in the body": (lambda: [head("Content-Length: 9"), b"{", CLOSE], errors.Unknown, "broke the connection"),
    "closes in a chunk": (
        lambda: [head("Transfer-Encoding: chunked"), b"5\r\nab", CLOSE],
        errors.Unknown,
        "broke the connection",
    ),
    "stops in the body": (lambda: [head("Content-Length: 9"), b"{", 30.0], errors.Unknown, "no complete answer"),
    "a byte now and then": (
        lambda: drip(head("Content-Length: 90000"), b" ", 0.1),
        errors.Unknown,
        "no complete answer",
    ),
    "a header now and then": (lambda: drip(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", 0.1), errors.Unknown, "no complete"),
    "a status now and then": (lambda: drip(b"H", b"T", 0.1), errors.Unknown, "no complete"),
    "100,000 headers": (lambda: [b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 100_000, b"\r\n"], errors.Garbage, "not HTTP"),
    "one long header": (lambda: [b"HTTP/1.1 200 OK\r\na: ", b"b" * 2_000_000, b"\r\n\r\n"], errors.Garbage, "not HTTP"),
    "HTTP/0.9 rubbish": (lambda: [b"<html>hello</html>\r\n\r\n", 30.0], errors.Garbage, "not HTTP"),
    "binary rubbish": (lambda: [bytes(range(256)) * 8 + b"\r\n\r\n", 30.0], errors.Garbage, "not HTTP"),
    "two lengths": (lambda: [head("Content-Length: 2", "Content-Length: 3"), b"{}x"], errors.Garbage, "not HTTP"),
    "a bad length": (lambda: [head("Content-Length: -2"), b"{}"], errors.Garbage, "not HTTP"),
    "a bad chunk": (lambda: [head("Transfer-Encoding: chunked"), b"zz\r\n{}\r\n", 30.0], errors.Garbage, "not HTTP"),
    "a body without end": (endless_bodies, errors.Garbage, "larger than 1 MiB"),
    "1 GB announced": (lambda: [head("Content-Length: 1000000000"), b"x", 30.0], errors.Garbage, "larger than 1 MiB"),
    "a length beyond numbers": (lambda: [head(f"Content-Length: {10**19}"), 30.0], errors.Garbage, "larger than 1 MiB"),
    "gzip bomb": (lambda: page(200, BOMB, {"Content-Encoding": "gzip"}), errors.Garbage, "larger than 1 MiB"),
    "gzip with a tail": (
        lambda: page(200, ZIPPED + ZIPPED, {"Content-Encoding": "gzip"}),
        errors.Garbage,
        "something behind its end",
    ),
    "gzip that is none": (
        lambda: page(200, b"plain", {"Content-Encoding": "gzip"}),
        errors.Garbage,
        "compression is broken",
    ),
    "gzip cut short": (
        lambda: page(200, ZIPPED[:-9], {"Content-Encoding": "gzip"}),
        errors.Garbage,
        "compression is cut short",
    ),
    "an unasked encoding": (
        lambda: page(200, b"x", {"Content-Encoding": "br"}),
        errors.Garbage,
        "encoding was not asked for",
    ),
    "HTML 200": (lambda: page(200, "<html>"), errors.Garbage, "web page"),
    "empty 200": (lambda: page(200), errors.Garbage, "is empty"),
    "truncated JSON": (lambda: page(200, b'{"a": ['), errors.Garbage, "cut short"),
    "wrong charset": (
        lambda: page(200, '{"a": "é"}'.encode("latin-1"), {"Content-Type": "application/json; charset=latin-1"}),
        errors.Garbage,
        "not JSON",
    ),
    "1 GB of error": (
        lambda: [b"HTTP/1.1 404 X\r\nContent-Length: 1000000000\r\n\r\nnothing here", 30.0],
        errors.Answered,
        "answered 404",
    ),
}


@pytest.mark.parametrize("name", TOXICS)
def test_each_toxic_ends_in_its_named_error_in_time(name: str) -> None:
    toxic, kind, said = TOXICS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        serving(lambda _: toxic()) as server,
        connected(server.url, deadline_seconds=DEADLINE, max_body_bytes=1024 * 1024) as client,
    ):
        started = time.monotonic()
        with pytest.raises(kind, match=said) as caught:
            client.send("GET", "/x", params=[("q", "geheim")]).json()
        assert time.monotonic() - started <= DEADLINE + 1
        assert caught.value.message.startswith("GET /x: ")
        assert "geheim" not in caught.value.message
        assert len(server.seen) <= 12
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before <= 64 * 1024


@pytest.mark.parametrize(
    "name", [name for name, (_, kind, _said) in TOXICS.items() if kind is not errors.Answered][:21]
)
def test_a_write_that_meets_a_toxic_is_sent_once_and_never_called_unsent(name: str) -> None:
    toxic, _, _ = TOXICS[name]
    with (
        serving(lambda _: toxic()) as server,
        connected(server.url, deadline_seconds=0.5, max_body_bytes=1024 * 1024) as client,
    ):
        with pytest.raises((errors.Unknown, errors.Garbage)):
            client.send("PUT", "/x", json_body={}, retry=Retry.ONCE)
        assert len(server.seen) == 1


def test_a_read_that_hangs_once_succeeds_within_its_deadline() -> None:
    hung: list[Seen] = []

    def answer(seen: Seen) -> list[Step]:
        hung.append(seen)
        return [30.0] if len(hung) == 1 else page(200, [1])

    with serving(answer) as server, connected(server.url, deadline_seconds=1.0) as client:
        assert client.send("GET", "/x").json() == [1]


def test_gzip_is_asked_for_and_read() -> None:
    with (
        serving(lambda _: page(200, ZIPPED, {"Content-Encoding": "gzip"})) as server,
        connected(server.url) as client,
    ):
        assert client.send("GET", "/x").json() == {"a": 1}
        assert server.seen[0].headers["accept-encoding"] == "gzip"


def test_a_connection_closed_while_idle_costs_no_unknown_write() -> None:
    with serving(lambda _: [*page(200), CLOSE]) as server, connected(server.url) as client:
        for _ in range(5):
            client.send("PUT", "/x", json_body={}, retry=Retry.ONCE)
            time.sleep(0.02)
        assert len(server.seen) == 5


def test_eight_threads_share_one_client_and_its_connections() -> None:
    with serving(lambda seen: page(200, [seen.target])) as server, connected(server.url, concurrency=4) as client:
        wrong: list[str] = []

        def work(number: int) -> None:
            for turn in range(20):
                path = f"/{number}/{turn}"
                if client.send("GET", path).json() != [path]:
                    wrong.append(path)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(server.seen) == client.counts["GET"] == 160
        assert len(server.connections) <= 4


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_refused_connection_is_told_in_one_line_with_a_remedy() -> None:
    port = refused_port()
    with connected(f"http://127.0.0.1:{port}") as client, pytest.raises(errors.NotSent) as caught:
        client.send("PUT", "/x", retry=Retry.ONCE)
    assert caught.value.message.startswith(f"PUT /x: 127.0.0.1:{port} refused the connection; nothing was sent")
    assert caught.value.hint == "is the service running, and is the port right?"


@pytest.mark.parametrize(("errno", "attempts"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 2)])
def test_a_name_that_cannot_be_looked_up_is_told(errno: int, attempts: int) -> None:
    looked_up: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        raise socket.gaierror(errno, "no")

    settings: dict[str, Any] = {"allowed_hosts": frozenset({"api.example.com"}), "resolve": resolve}
    with connected("https://api.example.com", **settings) as client, pytest.raises(errors.NotSent) as caught:
        client.send("GET", "/x")
    assert caught.value.message.startswith("GET /x: the name api.example.com could not be looked up; nothing was sent")
    assert caught.value.hint == "check the spelling of the URL, the DNS and the VPN"
    assert len(looked_up) >= attempts


def test_a_look_up_that_hangs_ends_at_the_deadline() -> None:
    release = threading.Event()

    def resolve(_host: str, _port: int) -> list[str]:
        release.wait(20)
        return []

    settings: dict[str, Any] = {"allowed_hosts": frozenset({"api.example.com"}), "resolve": resolve}
    started = time.monotonic()
    with (
        connected("https://api.example.com", deadline_seconds=0.5, **settings) as client,
        pytest.raises(errors.NotSent, match="could not be looked up"),
    ):
        client.send("GET", "/x")
    release.set()
    assert time.monotonic() - started < 1.5


def test_a_black_hole_is_told_in_time() -> None:
    # A listener whose queue is full drops what knocks, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        with (
            connected(f"http://127.0.0.1:{port}", deadline_seconds=1.0) as client,
            pytest.raises(errors.RemoteError) as caught,
        ):
            client.send("GET", "/x")
        for filler in fillers:
            filler.close()
    assert time.monotonic() - started <= 2
    assert caught.value.message.startswith(f"GET /x: no connection to 127.0.0.1:{port} in time; nothing was sent")


def test_an_address_that_does_not_answer_leaves_time_for_the_next() -> None:
    with serving(lambda _: page(200)) as server:
        settings: dict[str, Any] = {"resolve": lambda _host, _port: ["127.0.0.9", "::1", "127.0.0.1"]}
        with connected(f"http://localhost:{server.port}", **settings) as client:
            assert client.send("GET", "/x").status == 200


def certificate(folder: Path, *, name: str, days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A server context with a self-signed certificate for ``name``, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    alternative: x509.GeneralName = x509.DNSName(name)
    if name[0].isdigit():
        alternative = x509.IPAddress(ip_address(name))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


def test_tls_with_a_named_authority_is_spoken(tmp_path: Path) -> None:
    context, bundle = certificate(tmp_path, name="127.0.0.1")
    with (
        serving(lambda _: page(200, [1]), tls=context) as server,
        connected(server.url, ca_bundle=bundle) as client,
    ):
        assert client.send("PUT", "/x", retry=Retry.ONCE).json() == [1]


@pytest.mark.parametrize(
    ("name", "days", "trusted", "said"),
    [
        ("127.0.0.1", 1, False, "self-signed certificate"),
        ("127.0.0.1", -1, True, "certificate has expired"),
        ("example.org", 1, True, "IP address mismatch"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused(
    tmp_path: Path, name: str, days: int, trusted: bool, said: str
) -> None:
    context, bundle = certificate(tmp_path, name=name, days=days)
    with (
        serving(lambda _: page(200), tls=context) as server,
        connected(server.url, ca_bundle=bundle if trusted else None, headers={"X-Token": "geheim"}) as client,
    ):
        with pytest.raises(errors.NotSent) as caught:
            client.send("PUT", "/x", retry=Retry.ONCE)
        assert f"the TLS certificate of 127.0.0.1:{server.port} is refused" in caught.value.message
        assert said in caught.value.message
        assert caught.value.message.endswith("; nothing was sent")
        assert caught.value.hint is not None
        assert "RECONCILER_CA_BUNDLE" in caught.value.hint
        assert server.seen == []
        assert len(server.connections) == 1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_older_than_1_2_is_refused(tmp_path: Path) -> None:
    context, bundle = certificate(tmp_path, name="127.0.0.1")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(lambda _: page(200), tls=context) as server, connected(server.url, ca_bundle=bundle) as client:
        with pytest.raises(errors.NotSent, match="no TLS connection to"):
            client.send("GET", "/x")
        assert server.seen == []


def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    _, bundle = certificate(tmp_path, name="127.0.0.1")
    with serving(lambda _: [b"HTTP/1.1 400 no\r\n\r\n", CLOSE]) as server:
        url = server.url.replace("http:", "https:")
        with (
            connected(url, ca_bundle=bundle, deadline_seconds=0.5) as client,
            pytest.raises(errors.NotSent, match="nothing was sent"),
        ):
            client.send("GET", "/x")


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_bundle_that_cannot_be_read_is_a_settings_error(tmp_path: Path, content: str | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(errors.SettingsError, match="RECONCILER_CA_BUNDLE"):
        connected("https://127.0.0.1:1", ca_bundle=bundle)


def test_no_setting_of_the_transport_turns_verification_off() -> None:
    assert not {"verify", "insecure", "tls"} & set(transport.Transport.__init__.__annotations__)
    assert wire.tls_context(None).verify_mode is ssl.CERT_REQUIRED
    assert wire.tls_context(None).check_hostname
