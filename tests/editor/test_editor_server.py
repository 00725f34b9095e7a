"""The language server as an editor starts it finds our schema by the modeline, in what ``init`` wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from reconciler.cli import main

SERVER = Path(__file__).parent / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not SERVER.is_file(), reason="needs node, and npm install --prefix tests/editor"
)


class Editor:
    """As much of an editor as it takes to open a file and be told what is wrong with it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self.send("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, number=1)
        while self.receive().get("id") != 1:
            pass
        self.send("initialized", {})
        settings = {"validate": True, "schemaStore": {"enable": False}, "disableDefaultProperties": True}
        self.send("workspace/didChangeConfiguration", {"settings": {"yaml": settings}})

    def send(self, method: str, params: dict[str, Any], *, number: int | None = None) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params} | ({"id": number} if number else {}))

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self._in.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._in.flush()

    def receive(self) -> dict[str, Any]:
        length = 0
        while line := self._out.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        assert length, "the language server ended"
        message: dict[str, Any] = json.loads(self._out.read(length))
        if "id" in message and "method" in message:
            self._write({"jsonrpc": "2.0", "id": message["id"], "result": None})
        return message

    def problems(self, file: Path, text: str) -> list[tuple[int, str]]:
        """Lines from 1 with messages, for a file with this text."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self.send("textDocument/didOpen", {"textDocument": document})
        while True:
            message = self.receive()
            if message.get("method") == "textDocument/publishDiagnostics":
                return [(it["range"]["start"]["line"] + 1, it["message"]) for it in message["params"]["diagnostics"]]


@pytest.fixture
def editor() -> Iterator[Editor]:
    process = subprocess.Popen(["node", str(SERVER), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    timer = threading.Timer(30, process.kill)
    timer.start()
    try:
        yield Editor(process)
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


def test_the_modeline_leads_the_editor_to_the_schema(
    editor: Editor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["init", str(tmp_path), "-q"]) == 0
    capsys.readouterr()
    file = tmp_path / "integrations" / "example-practice.yaml"
    text = file.read_text()
    assert editor.problems(file, text) == []
    other = tmp_path / "integrations" / "other.yaml"
    wrong = text.replace("source: nextech", "source: nextec").replace("time_zone:", "timezone:")
    lines = wrong.split("\n")
    assert sorted(editor.problems(other, wrong)) == [
        (lines.index("source: nextec") + 1, 'Value is not accepted. Valid values: "nextech".'),
        (lines.index("    timezone: America/New_York") + 1, "Property timezone is not allowed."),
    ]
