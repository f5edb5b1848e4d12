"""A registered model behind ``mlflow models serve``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from commands import environment
from registered import registered_home
from serving import ask, serving

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
