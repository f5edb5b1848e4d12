"""A registered model behind ``mlflow models serve``."""

from __future__ import annotations

import csv
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import pytest
from commands import environment, safr
from ray_nodes import free_port
from registered import registered_home
from serving import answers, ask, serving

from safr_study.home import Home

MODEL = "models:/safr-planted@knee"
TEXTS = ["the film was good", ""]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return registered_home(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def address(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    env = environment(home.root)
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{home.tracking_database}"
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    with serving(MODEL, env, Path(sys.executable), log) as address:
        yield address


def test_it_answers_as_the_model_itself(
    home: Home, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home.tracking_database}")
    status, answer = ask(address, {"inputs": TEXTS})
    assert status == 200
    predicted = mlflow.pyfunc.load_model(MODEL).predict(TEXTS)
    assert answer == {"predictions": [one.model_dump() for one in predicted]}
    assert [word["word"] for word in answer["predictions"][0]["words"]] == TEXTS[0].split()


def test_what_it_cannot_take_is_refused_with_a_sentence(address: str) -> None:
    for body in ({"inputs": "one text alone"}, {"inputs": [3]}, {"texts": TEXTS}):
        status, answer = ask(address, body)
        assert status == 400
        assert answer["error_code"] in ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")


@pytest.fixture(params=["registered", "pulled"])
def served(
    request: pytest.FixtureRequest, home: Home, tmp_path: Path
) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """``safr-study serve``: its model, the line that it shows, its process."""
    model = MODEL if request.param == "registered" else str(home.root.parent / "c" / "0")
    command = [sys.executable, "-m", "safr_study", "serve", model, "--port", str(free_port())]
    env = environment(home.root)
    # The server's own way to it is no proxy, and nothing else is asked for.
    env |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    with subprocess.Popen(
        command, env=env, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            yield model, process.stdout.readline(), process
        finally:
            process.kill()


def test_the_command_serves_what_predict_writes_and_ends_by_ctrl_c(
    served: tuple[str, str, subprocess.Popen[str]], home: Home, tmp_path: Path
) -> None:
    model, line, process = served
    curl = shlex.split(line)
    assert curl[:2] == ["curl", "-H"]
    body, url = json.loads(curl[4]), curl[-1]
    address = url.removesuffix("/invocations")
    assert address.startswith("http://127.0.0.1:")
    status, shown = ask(address, body)
    assert (status, len(shown["predictions"])) == (200, len(body["inputs"]))
    nested, host = Request(url, b"[" * 100_000), Request(url, b"{}", {"Host": "a.example"})
    for request, code in ((nested, 400), (host, 403)):
        with pytest.raises(HTTPError) as refused:
            urlopen(request)
        assert refused.value.code == code
        assert json.load(refused.value)["message"]
    texts = [*TEXTS, "good " * 40, *(f"a {word} film" for word in ("bad", "good", "zebra"))]
    _, answer = ask(address, {"inputs": texts})
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    files = (str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "o.csv"))
    done = safr(home.root, "predict", model, *files)
    assert done.code == 0, done.err
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, answer["predictions"], strict=True):
        assert row["label"] == one["label"]
        assert row["probability"] == f"{one['probability']:.6f}"
        for name, share in one["probabilities"].items():
            assert row[f"p({name})"] == f"{share:.6f}"
        top = sorted((w for w in one["words"] if w["top"]), key=lambda w: w["rank"])[:5]
        assert row["words"] == " ".join(f"{w['word']}:{w['capacity']:.4f}" for w in top)
    # A second one on the same port is told so at once.
    port = address.rpartition(":")[2]
    second = safr(home.root, "serve", model, "--port", port)
    assert (second.code, second.out) == (2, "")
    begun = f"starting a server with {model}"
    first, fault = second.err.splitlines()
    assert first == begun
    assert fault.startswith(f"error: port: {port} cannot be used")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == f"{begun}\n{model} is at {address} (Ctrl-C ends it)\n"
    assert not answers(f"{address}/ping")
