"""A server in a process of its own, started from a folder that is not to be trusted."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import pytest

from safr_study.tracking.local_server import local_server


def test_it_imports_nothing_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran.txt"
    for name in ("http", "html", "socketserver"):
        (tmp_path / f"{name}.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]

    with (
        local_server(command, 0, health="/", name="ui", env={}) as server,
        urllib.request.urlopen(server.url) as answer,
    ):
        listing = answer.read().decode()
    assert not ran.exists()
    # Nor does it stand there: what looks for modules in its folder finds none of these.
    assert "socketserver.py" not in listing
    assert Path(sys.prefix, "bin").name in listing
