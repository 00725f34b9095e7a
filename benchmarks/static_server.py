"""Answers GETs from memory: ``python -m benchmarks.static_server COUNT`` prints its port and serves until stdin ends."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.plan_world import answers


def responses(count: int) -> dict[bytes, bytes]:
    """Request path -> whole response."""
    found: dict[bytes, bytes] = {}
    for path, body in answers(count).items():
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        found[path.encode()] = head.encode() + body
    return found


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def serve(known: dict[bytes, bytes]) -> None:
    """One connection at a time per client thread; keep-alive; only GET."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].split(b"?", 1)[0]
                writer.write(known.get(path, NOT_FOUND))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(responses(int(sys.argv[1]))))
