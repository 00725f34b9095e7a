"""Answers from memory, on a port of its own, until its standard input ends.

    python -m benchmarks.static_server COUNT        so many businesses of ``benchmarks.plan_world``
    python -m benchmarks.static_server --pages F    what the JSON file F holds: {"/path?query": body}

It prints its port. ``SELF`` in a body of F becomes its own URL.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.plan_world import answers

SELF = "http://benchmark.invalid"


def response(body: bytes) -> bytes:
    """A whole one."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def businesses(count: int) -> dict[bytes, bytes]:
    """Request path -> whole response."""
    return {path.encode(): response(body) for path, body in answers(count).items()}


def pages(file: Path, port: int) -> dict[bytes, bytes]:
    """Request target -> whole response."""
    here = f"http://127.0.0.1:{port}"
    held = json.loads(file.read_text())
    return {target.encode(): response(body.replace(SELF, here).encode()) for target, body in held.items()}


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def serve(make: Callable[[int], dict[bytes, bytes]]) -> None:
    """One connection at a time per client thread; keep-alive; the method does not matter, a body is read over."""
    known: dict[bytes, bytes] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1]
                if head.startswith(b"POST"):
                    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(length))
                writer.write(known.get(target) or known.get(target.partition(b"?")[0], NOT_FOUND))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, backlog=256)
    port = server.sockets[0].getsockname()[1]
    known.update(make(port))
    print(port, flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1] == "--pages":
        asyncio.run(serve(lambda port: pages(Path(sys.argv[2]), port)))
    else:
        asyncio.run(serve(lambda port: businesses(int(sys.argv[1]))))
