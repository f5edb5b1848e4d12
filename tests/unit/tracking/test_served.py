from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from registered import registered_home
from tiny_model import save_tiny_model

from safr_study.checkpoint.model_files import load_model
from safr_study.errors import CorruptCheckpoint
from safr_study.evaluation.explanation import explain_text
from safr_study.home import Home
from safr_study.tracking.pull import find_model, pull
from safr_study.tracking.store import open_store

TEXTS = ["the film was good and bad", "zebra", "", "good " * 40]
"""An ordinary one, an unknown word, none at all, and more than the model reads."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return registered_home(tmp_path_factory.mktemp("registered"))


@pytest.fixture
def reference(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home.tracking_database}")
    return "models:/safr-planted@knee"


@pytest.fixture
def folder(home: Home, tmp_path: Path) -> Path:
    """A copy of the knee's folder, to do harm to."""
    store = open_store(home)
    place = store.client.get_model_version_download_uri("safr-planted", "1")
    return Path(shutil.copytree(urlsplit(place).path, tmp_path / "model"))


def test_pyfunc_gives_label_probabilities_and_capacities_as_explain_does(
    home: Home, reference: str
) -> None:
    predictions = mlflow.pyfunc.load_model(reference).predict(TEXTS)
    loaded = load_model(home.root.parent / "c" / "0")
    for text, prediction in zip(TEXTS, predictions, strict=True):
        expected = explain_text(loaded, text, reference="")
        assert prediction.label == expected.prediction
        # Another pass with other kernels: equal but for the rounding of float32.
        assert prediction.probabilities == pytest.approx(dict(expected.probabilities), rel=1e-6)
        assert prediction.probability == max(prediction.probabilities.values())
        assert [word.capacity for word in prediction.words] == pytest.approx(
            [word.capacity for word in expected.words], rel=1e-5
        )
        assert " ".join(word.word for word in prediction.words) == " ".join(text.split()[:16])
        assert prediction.words_cut == max(0, len(text.split()) - 16)
    assert not predictions[1].words[0].known
    assert [word.known for word in predictions[0].words] == [True] * 6
    # Negative control: another version is another model.
    other = mlflow.pyfunc.load_model("models:/safr-planted/2").predict(TEXTS)
    assert other[0].probabilities != predictions[0].probabilities


def test_a_table_of_texts_is_taken_and_anything_else_is_refused(reference: str) -> None:
    model = mlflow.pyfunc.load_model(reference)
    assert model.predict(pd.DataFrame({"text": TEXTS})) == model.predict(TEXTS)
    with pytest.raises(mlflow.MlflowException, match="list"):
        model.predict("one text alone")
    with pytest.raises(mlflow.MlflowException, match="str"):
        model.predict([3])


def test_the_logged_model_says_what_it_takes_gives_and_needs(folder: Path) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text("utf-8"))
    outputs = described["signature"]["outputs"]
    for name in ("label", "probabilities", "capacity", "keep_probability"):
        assert f'"{name}"' in outputs
    assert described["saved_input_example_info"]["artifact_path"] == "input_example.json"
    # No path of the machine that registered it.
    flavour = described["flavors"]["python_function"]
    assert flavour["model_code_path"] == "model_code.py"
    assert flavour["artifacts"] == {
        "checkpoint": {"path": "artifacts/checkpoint", "uri": "artifacts/checkpoint"}
    }
    needed = (folder / "requirements.txt").read_text("utf-8").split()
    assert {line.partition("==")[0] for line in needed} >= {"safr-study", "torch", "mlflow"}
    assert not [line for line in needed if "+" in line]


def test_a_logged_model_belongs_to_its_run_and_version_and_has_its_objectives(home: Home) -> None:
    store = open_store(home)
    version = find_model(store, "safr-planted@knee")
    model = store.client.get_logged_model(version.tags["safr.model_id"])
    assert (str(model.status), model.source_run_id) == ("READY", version.run_id)
    assert f'"version": "{version.version}"' in model.tags["mlflow.modelVersions"]
    assert {metric.key: metric.value for metric in model.metrics} == {
        "objective/accuracy": 80.0,
        "objective/srs_30": 10.0,
    }
    # Copying them has given the run no second point.
    history = store.client.get_metric_history(version.run_id, "objective/accuracy")
    assert [point.value for point in history] == [80.0]
    run = store.client.get_run(version.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "place",
    ["python_model.pkl", "artifacts/checkpoint/optimiser", "artifacts/notes.txt", "state.bin"],
)
def test_a_planted_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path, place: str) -> None:
    mlflow.pyfunc.load_model(str(folder))
    ran = tmp_path / "ran"
    (folder / place).write_bytes(pickle.dumps(Evil(ran)))
    with pytest.raises(CorruptCheckpoint, match="pickle") as caught:
        mlflow.pyfunc.load_model(str(folder))
    assert Path(place).name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not ran.exists()
    # Negative control: it would have run.
    pickle.loads((folder / place).read_bytes())
    assert ran.exists()


def _appends_to(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("\n# one more line\n")

    return change


def _another_model(folder: Path) -> None:
    """Weights and checksums of a model that is whole in itself."""
    save_tiny_model(folder / "artifacts" / "checkpoint", seed=77)


HARM: dict[str, Callable[[Path], object]] = {
    "model_code.py": _appends_to("model_code.py"),
    "MLmodel": _appends_to("MLmodel"),
    "requirements.txt": _appends_to("requirements.txt"),
    "artifacts/checkpoint/": _another_model,
    "README.md": lambda folder: (folder / "README.md").unlink(),
}


@pytest.mark.parametrize("name", HARM)
def test_the_registry_knows_every_file_of_a_model(
    folder: Path,
    home: Home,
    reference: str,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Path(
        urlsplit(open_store(home).client.get_model_version_download_uri("safr-planted", "1")).path
    )
    assert mlflow.pyfunc.load_model(str(folder)).predict(["good"])
    HARM[name](folder)
    with pytest.raises(CorruptCheckpoint, match=f"{name}.* is not the file that was registered"):
        mlflow.pyfunc.load_model(str(folder))
    # Neither does pull take it from the store.
    kept = shutil.copytree(place, tmp_path / "kept")
    HARM[name](place)
    try:
        with pytest.raises(CorruptCheckpoint):
            pull(open_store(home), "safr-planted/1", tmp_path / "pulled")
        with pytest.raises(CorruptCheckpoint, match="is not the file that was registered"):
            mlflow.pyfunc.load_model(reference)
    finally:
        shutil.rmtree(place)
        shutil.copytree(kept, place)
    # Where no registry is named nobody can tell; the folder is whole in itself.
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow.pyfunc.load_model(str(folder))


def test_weights_that_torch_pickled_are_refused(folder: Path) -> None:
    weights = folder / "artifacts" / "checkpoint" / "weights.safetensors"
    torch.save({"a": torch.zeros(2)}, weights)
    with pytest.raises(CorruptCheckpoint, match="pickle"):
        mlflow.pyfunc.load_model(str(folder))


def test_the_code_in_the_folder_is_that_of_the_package(folder: Path) -> None:
    from safr_study.tracking import served

    code = (folder / "model_code.py").read_bytes()
    assert code == Path(served.__file__).with_name("model_code.py").read_bytes()
    assert issubclass(served.ServedModel, served.PythonModel)
