"""Studies in ledgers, with the files of their trials, made without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from run_results import CHECKPOINT, run_result

from safr_study.checkpoint.manifest import verify_model
from safr_study.home import Home
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.storage import open_storage
from safr_study.records import EpochReport, LossTerms, Replicate
from safr_study.sampling.asha import Decision
from safr_study.settings import CorpusSpec, StudySpec
from safr_study.settings.space_files import find_space

FACTS = StudyFacts(
    corpus_fingerprint="f" * 64,
    slug="planted",
    reference_point=(50.0, 0.0),
    provenance={"commit": None, "versions": {}, "corpus_fingerprint": "f" * 64, "device": "cpu"},
    corpus={"train texts": 40},
)
STATE = ("epoch-000002.safetensors", "epoch-000002.json")


def study_spec(name: str = "s", **changes: object) -> StudySpec:
    given = {"name": name, "corpus": CorpusSpec(dataset="planted"), "space": find_space("lambda")}
    return StudySpec.model_validate({**given, **changes})


def begin(home: Home, spec: StudySpec, url: str | None = None) -> Ledger:
    """A new generation of a study, as its driver begins it."""
    storage = open_storage(home, url, spec.name, create=True)
    assert storage is not None
    return Ledger.create(storage, spec, FACTS)


def ask(ledger: Ledger, count: int = 1) -> list[int]:
    """So many more trials, running; their numbers."""
    asked = [ledger.ask(ledger.spec) for _ in range(count)]
    return [trial.number for trial in asked if trial is not None]


def epoch(number: int, seconds: float = 2.0) -> EpochReport:
    return EpochReport(
        epoch=number,
        train=LossTerms(total=0.7, cross_entropy=0.6, importance=0.3, interaction=None),
        dev_accuracy=60.0 + number,
        dev_loss=0.65,
        gate_openness=0.5,
        mean_norm=16.0,
        best=True,
        seconds=seconds,
    )


def complete(
    ledger: Ledger,
    number: int,
    values: tuple[float, float],
    *,
    model: Path | None = None,
    seconds: float = 9.0,
    violations: tuple[float, ...] = (),
) -> None:
    """End a trial; ``model`` is the folder of a real one, if it is to have files."""
    reference = CHECKPOINT if model is None else verify_model(model)
    result = run_result(
        Replicate(0, values), checkpoint=reference, seconds=seconds, violations=violations
    )
    ledger.complete(number, result)


def stop_early(ledger: Ledger, number: int) -> None:
    """As the scheduler does."""
    ledger.record_decision(number, 2, Decision.PRUNE)


def write_state(folder: Path) -> Path:
    """Files as a running state has them."""
    folder.mkdir(parents=True)
    for name in STATE:
        (folder / name).write_bytes(name.encode() * 500)
    return folder


def finished_study(
    home: Home, spec: StudySpec, values: Mapping[int, tuple[float, float]], url: str | None = None
) -> Ledger:
    """Complete trials with models of their own, by their numbers from 0 on."""
    from tiny_model import save_tiny_model  # slow, and most studies have no model

    ledger = begin(home, spec, url)
    for number in ask(ledger, len(values)):
        folder = home.checkpoints(ledger.uid) / f"{number:05d}" / "model"
        complete(
            ledger,
            number,
            values[number],
            model=save_tiny_model(folder, seed=number, spec=spec.corpus),
        )
    return ledger


def files(folder: Path, without: Sequence[str] = ()) -> dict[str, bytes]:
    """Every file below a folder, by its path; links are not followed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix not in without
    }
