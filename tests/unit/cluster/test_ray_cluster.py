from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import ray

from safr_study.cluster import ray_cluster
from safr_study.cluster.ray_cluster import cluster, session_folder
from safr_study.errors import BadInput, ServiceUnreachable

SOCKET = "session_2026-11-30_12-00-00_123456_1234567/sockets/plasma_store"
MOST_BYTES = 107
"""Of the path of a socket, on Linux."""


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.mark.parametrize("length", [1, 20, 60, 100, 200])
def test_rays_sockets_have_paths_that_fit_wherever_temporary_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    place = tmp_path / ("é" * (length // 2) or "x")
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    with session_folder() as folder:
        assert len(os.fsencode(f"{folder}/{SOCKET}")) <= MOST_BYTES
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        # The user's own place, if it can be.
        fits = len(os.fsencode(f"{place}/safr-ray-12345678/{SOCKET}")) <= MOST_BYTES
        assert Path(folder).is_relative_to(place) == fits
    assert not Path(folder).exists()


def test_what_ray_writes_is_kept_where_a_place_was_named_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as place:
        monkeypatch.setenv("RAY_TMPDIR", place)
        with session_folder() as folder:
            pass
        assert Path(folder).parent == Path(place)
        assert Path(folder).is_dir()


def test_where_no_folder_fits_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ("x" * 100)).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 100)))
    monkeypatch.setattr(ray_cluster, "_SHORT", str(tmp_path / "none"))
    with pytest.raises(BadInput, match=r"TMPDIR: .* too long .*set RAY_TMPDIR"), cluster():
        pass


def test_a_node_that_does_not_come_up_is_a_service_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray waits 30 s for it, and then raises no more than ``Exception``."""
    seen: dict[str, object] = {}

    def late(*_words: object, **options: object) -> None:
        seen.update(options)
        raise Exception("The current node timed out during startup.\nmore")

    monkeypatch.setattr(ray, "init", late)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(
        ServiceUnreachable, match=r"timed out during startup\.\); see .*doctor"
    ) as e:
        cluster().__enter__()
    assert (e.value.exit_code, "\n" in str(e.value)) == (4, False)
    # Nothing is left of it.
    assert not Path(str(seen["_temp_dir"])).exists()


def test_python_without_docstrings_is_one_sentence() -> None:
    """Ray's own modules fail without theirs, in the middle of a study."""
    code = "from safr_study.cluster.ray_cluster import session_folder as f; f().__enter__()"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False
    )
    assert "BadInput: PYTHONOPTIMIZE: Ray does not run without docstrings" in done.stderr


def test_the_token_that_ray_makes_is_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / ".ray" / "auth_token"

    def start(*_: object, **_more: object) -> None:
        token.parent.mkdir()
        token.write_text("token")
        token.chmod(0o644)

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", start)
    with cluster():
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() == "token"
