"""The Python API: studies and models as objects, their numbers as DataFrames.

    import safr_study as ss

    study = ss.search("sst2", study="s1", trials=12, epochs=8)
    study.pareto()                       # a DataFrame; in a notebook a study shows its front
    model = study.model("knee")          # or ss.load("models:/safr-sst2@knee")
    model.explain("a gripping , funny film").words

The same use cases as the command line, and nothing beside them: what is begun here goes on there,
and the other way round. Every expected error is a `SafrError` that says what to do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from safr_study.cli import output
from safr_study.cli.progress import PlainProgress, SilentProgress
from safr_study.data import SplitName
from safr_study.errors import BadInput, StudyIncomplete
from safr_study.figures import front_figure
from safr_study.home import open_home
from safr_study.records import RegisteredModel, StudyResult, TrialRecord
from safr_study.records.explanation import Explanation
from safr_study.report import result_table
from safr_study.report.history import hypervolume_history
from safr_study.report.metrics import metrics_table
from safr_study.report.notebook import explanation_html, front_html, study_html
from safr_study.settings import CorpusSpec, Preset, SamplerName, SchedulerName, SearchSpace
from safr_study.settings.durations import parse_duration
from safr_study.training import LoadedModel
from safr_study.workflows import explain as explaining
from safr_study.workflows.evaluate import evaluate as run_evaluation
from safr_study.workflows.models import registered_models
from safr_study.workflows.request import study_spec
from safr_study.workflows.results import list_studies, load_result, write_result
from safr_study.workflows.search import search as run_search
from safr_study.workflows.stores import Stores, stores

Role = Literal["knee", "best-accuracy", "best-srs"]


@dataclass(frozen=True, slots=True)
class Front:
    """The first front of a study: the trials that no other beats in every objective."""

    result: StudyResult
    """The whole study, ranked."""

    @property
    def table(self) -> pd.DataFrame:
        """One row for each member; columns as of `Study.pareto`."""
        table = result_table(self.result)
        return table[table["front"] == 0].reset_index(drop=True)

    @property
    def svg(self) -> str:
        """The picture, an SVG element; empty where no trial is ranked yet."""
        if not self.result.ranked:
            return ""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "front.svg"
            front_figure(self.result, path)
            drawn = path.read_text("utf-8")
        return drawn[drawn.index("<svg") :]

    def __len__(self) -> int:
        return len(self.result.front)

    def _repr_html_(self) -> str:
        if not self.result.ranked:
            return "<p>No trial is complete yet.</p>"
        return front_html(self.result, self.svg)


@dataclass(frozen=True, slots=True)
class Study:
    """A study as its ledger had it when this was made; `refresh` looks again."""

    result: StudyResult
    """Everything measured, ranked."""
    stores: Stores
    """Where its ledger and its models are."""

    @property
    def name(self) -> str:
        """By which the command line knows it too."""
        return self.result.name

    @property
    def hypervolume(self) -> float:
        """Of the front, against the study's reference point, in the product of the units."""
        return self.result.hypervolume

    @property
    def front(self) -> Front:
        """The first front, with its picture."""
        return Front(self.result)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The lines under a ranking: hypervolume, what stopping cost, who failed, what is odd."""
        return tuple(output.result_footer(self.result))

    def pareto(self) -> pd.DataFrame:
        """All ranked trials, best first.

        Columns: ``front`` (0 = no other beats it), ``trial``, ``label``, one per parameter, one per
        objective (dev, percentage points), ``saturated``, ``knee``, ``baseline``, ``epochs``,
        ``seconds``, ``run_id`` and ``crowding``. Where trials have several seeds, each objective is
        followed by ``_half_width``, that of its 95 % interval.
        """
        return result_table(self.result)

    def trials(self) -> pd.DataFrame:
        """All trials by number, those without a rank too.

        Columns: ``trial``, ``state``, ``label``, ``epochs``, ``seconds``, ``failure``.
        """
        ranked = [one.trial for one in self.result.ranked]
        trials = sorted([*ranked, *self.result.unranked], key=lambda trial: trial.number)
        columns = ["trial", "state", "label", "epochs", "seconds", "failure"]
        return pd.DataFrame([_row(trial) for trial in trials], columns=columns)

    def history(self) -> pd.DataFrame:
        """How the hypervolume grew: one row after each trial that ended.

        Columns: ``trial``, ``ended`` (seconds since 1970), ``trials``, ``epochs``, ``hypervolume``.
        """
        return pd.DataFrame([asdict(point) for point in hypervolume_history(self.result)])

    def write(self, folder: str | Path) -> list[Path]:
        """Write the front, and how the hypervolume grew, as PNG, SVG and CSV.

        Raises:
            BadInput: the folder cannot be written, or no trial is complete.
        """
        return write_result(self.result, Path(folder))

    def model(self, role: Role = "knee") -> Model:
        """The model of this study that has a role; after `confirm`, the confirmed one.

        Raises:
            BadInput: none has it: no trial is complete, or those that are are saturated.
        """
        for version in registered_models(self.stores):
            if version.tags.get("study") != self.name:
                continue
            if any(alias == role or alias.endswith(f"-{role}") for alias in version.aliases):
                return _load(f"models:/{version.name}/{version.version}", self.stores)
        raise BadInput("role", f"study {self.name!r} has no {role} in the registry")

    def refresh(self) -> Study:
        """The study as its ledger has it now."""
        return Study(load_result(self.name, self.stores), self.stores)

    def _repr_html_(self) -> str:
        front = self.front._repr_html_() if self.result.ranked else ""
        return study_html(self.result, front, self.warnings)


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """What a model makes of one text."""

    record: Explanation
    """All of it: matrices between the words and the other layers too."""

    @property
    def prediction(self) -> str:
        """The class."""
        return self.record.prediction

    @property
    def probabilities(self) -> dict[str, float]:
        """By class."""
        return dict(self.record.probabilities)

    @property
    def words(self) -> pd.DataFrame:
        """The words in the order of the text.

        Columns: ``word``, ``capacity`` (in [0, 1]), ``rank`` (0 = the highest), ``top`` (of the
        30 % that SRS(30) deletes), ``keep_probability`` (missing without VMASK) and ``known``.
        """
        rows = [
            (word.text, word.capacity, word.rank, word.top, word.keep_probability, word.known)
            for word in self.record.words
        ]
        columns = ["word", "capacity", "rank", "top", "keep_probability", "known"]
        return pd.DataFrame(rows, columns=columns)

    def write(self, path: str | Path) -> list[Path]:
        """Write a page (.html) or a picture (.png, .svg); what was written.

        Raises:
            BadInput: another suffix, or the folder is not there.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in ("html", "png", "svg"):
            raise BadInput("path", f"{path.name} ends in none of .html, .png and .svg")
        explaining.check_files(**{kind: path})
        return explaining.write_files(self.record, **{kind: path})

    def _repr_html_(self) -> str:
        return explanation_html(self.record)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A trained model, on the CPU."""

    reference: str
    """As it was asked for: a folder, or a name in the registry."""
    loaded: LoadedModel
    """Weights, words, settings."""
    stores: Stores

    @property
    def class_names(self) -> tuple[str, ...]:
        """By label."""
        return self.loaded.class_names

    def explain(self, text: str, *, layer: str | None = None, layers: bool = False) -> Explained:
        """Prediction and capacity per word of one text.

        Args:
            text: split at white space.
            layer: where capacity is measured; ``None``: as in the model's study.
            layers: measure every layer too.

        Raises:
            BadInput: no text, or the model has no such layer.
        """
        if not isinstance(text, str):
            raise BadInput("text", f"one text is explained, not a {type(text).__name__}")
        found = explaining.explain_loaded(
            self.loaded, text, reference=self.reference, layer=layer, all_layers=layers
        )
        return Explained(found)

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        """Predictions of several texts, each as alone.

        Columns: ``text``, ``label``, ``probability``, and ``p(CLASS)`` for each class.

        Raises:
            BadInput: one text instead of a list of them.
        """
        if isinstance(texts, str):
            raise BadInput("texts", "give a list of texts, or use explain for a single one")
        rows = []
        for text in texts:
            found = self.explain(text).record
            by_class = {f"p({name})": value for name, value in found.probabilities}
            rows.append({"text": text, "label": found.prediction,
                         "probability": found.probability, **by_class})  # fmt: skip
        columns = ["text", "label", "probability", *(f"p({name})" for name in self.class_names)]
        return pd.DataFrame(rows, columns=columns)

    def evaluate(
        self, split: SplitName = "dev", *, dataset: str | None = None, quick: bool = False
    ) -> pd.DataFrame:
        """Every metric on a split, one row each with unit and direction.

        Args:
            split: ``dev`` or ``test``.
            dataset: ``None``: that of its training.
            quick: without leave-one-out, the other rankings and the layers.

        Raises:
            BadInput: there is no such data or split, its classes are others, or the reference
                leads to another model than when it was loaded.
        """
        spec = None if dataset is None else CorpusSpec.parse({"dataset": dataset})
        found = run_evaluation(self.reference, spec, self.stores, split=split, quick=quick)
        if found.sha256 != self.loaded.ref.sha256:
            raise BadInput("model", f"{self.reference} is another one by now; load it again")
        return metrics_table(found.scores)


def search(
    dataset: str,
    *,
    study: str | None = None,
    space: str | Path | SearchSpace = "lambda",
    trials: int = 24,
    epochs: int = 20,
    k: float = 30.0,
    objectives: Sequence[str] | None = None,
    sampler: SamplerName = "tpe",
    scheduler: SchedulerName = "mo-asha",
    seeds_per_trial: int = 1,
    warm_start: str | None = None,
    time_budget: float | str | None = None,
    epoch_budget: int | None = None,
    seed: int = 0,
    preset: Preset = "masked",
    precision: Literal["auto", "float32"] = "auto",
    text_column: str | None = None,
    label_column: str | None = None,
    train_limit: int | None = None,
    dev_limit: int | None = None,
    max_concurrent: int | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    fresh: bool = False,
    quiet: bool = False,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    storage: str | None = None,
    address: str | None = None,
) -> Study:
    """Run a study to its end, or go on with it: as ``safr-study search`` with the same options.

    Args:
        dataset: ``planted[:variant]``, ``sst2``, ``sst2-treebank``, ``imdb``, a hub id or a path.
        study: its name; ``None``: one from the data set and the settings.
        space: a search space: name, YAML file or object.
        trials: to finish; the baselines count.
        epochs: of a trial, at most.
        k: percent of the tokens deleted for SRS, where ``objectives`` says nothing.
        objectives: names of metrics; ``None``: accuracy and SRS(k).
        sampler: who chooses settings.
        scheduler: who stops trials that others beat.
        seeds_per_trial: trainings of each trial; their means count.
        warm_start: a study over the same space, from which the sampler learns.
        time_budget: seconds, or for example ``"2h"``.
        epoch_budget: begin no trial after so many epochs in all.
        seed: of the sampler and of every training.
        preset: ``masked`` or ``reference``.
        precision: ``auto`` or ``float32``.
        text_column: of a file.
        label_column: of a file.
        train_limit: texts, at most.
        dev_limit: texts, at most.
        max_concurrent: trials at once.
        cpus_per_trial: ``None``: 1.
        gpus_per_trial: ``None``: a share where there are GPUs.
        fresh: begin anew; what was finished is kept aside.
        quiet: no lines about progress on standard error.
        home: folder of everything; ``None``: ``SAFR_STUDY_HOME``, else ``./.safr-study``.
        tracking_uri: MLflow; ``None``: ``MLFLOW_TRACKING_URI``, else SQLite in the home.
        storage: database URL of the ledger; ``None``: a file in the home.
        address: a running Ray cluster; ``None``: one on this machine for the time of the study.

    Raises:
        BadInput: or BadInputs: settings that cannot be, or that do not fit the study that is there.
        StudyIncomplete: fewer good trials than asked; `open_study` has those that there are.
        StudyInterrupted: by Ctrl-C or ``safr-study stop``; the same call goes on.
        ServiceUnreachable: hub, ledger, cluster or tracking server do not answer.
    """
    if isinstance(time_budget, str):
        time_budget = parse_duration(time_budget)
    spec = study_spec(
        corpus={
            "dataset": dataset,
            "text_column": text_column,
            "label_column": label_column,
            "train_limit": train_limit,
            "dev_limit": dev_limit,
        },
        space=space if isinstance(space, SearchSpace) else str(space),
        study=study,
        trials=trials,
        objectives=objectives or ["accuracy", f"srs@{k:g}"],
        search={
            "sampler": sampler,
            "scheduler": {"name": scheduler},
            "seeds_per_trial": seeds_per_trial,
            "warm_start": warm_start,
            "time_budget": time_budget,
            "epoch_budget": epoch_budget,
        },
        seed=seed,
        train={"epochs": epochs, "preset": preset, "precision": precision, "seed": seed},
        resources={
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "max_concurrent": max_concurrent,
        },
    )
    where = _stores(home, tracking_uri, storage, address)
    with SilentProgress() if quiet else PlainProgress(output.err()) as progress:
        outcome = run_search(spec, where, progress=progress, fresh=fresh)
    if outcome.untracked is not None:
        output.warn(outcome.untracked)
    if outcome.shortfall is not None:
        raise StudyIncomplete(outcome.shortfall)
    return Study(outcome.result, where)


def open_study(
    name: str, *, home: str | Path | None = None, tracking_uri: str | None = None,
    storage: str | None = None,
) -> Study:  # fmt: skip
    """A study that is there, running or not.

    Raises:
        BadInput: there is no such study; says which there are.
    """
    where = _stores(home, tracking_uri, storage)
    return Study(load_result(name, where), where)


def studies(*, home: str | Path | None = None, storage: str | None = None) -> pd.DataFrame:
    """The studies of a home or ledger database, one row each.

    Columns: ``name``, ``dataset``, ``asked``, ``complete``, ``stopped``, ``failed``,
    ``unfinished``, ``running`` and ``hypervolume``.
    """
    found, skipped = list_studies(_stores(home, None, storage))
    for sentence in skipped:
        output.warn(sentence)
    return pd.DataFrame([asdict(study) for study in found])


def models(*, home: str | Path | None = None, tracking_uri: str | None = None) -> pd.DataFrame:
    """The registered models, one row for each version.

    Columns: ``reference`` (for `load`), ``name``, ``version``, ``study``, ``trial``, ``aliases``.

    Raises:
        ServiceUnreachable: the tracking server does not answer.
    """
    columns = ["reference", "name", "version", "study", "trial", "aliases"]
    found = registered_models(_stores(home, tracking_uri))
    return pd.DataFrame([_version_row(version) for version in found], columns=columns)


def load(
    reference: str | Path, *, home: str | Path | None = None, tracking_uri: str | None = None
) -> Model:
    """A model by its folder or its name in the registry; every file is checked, no pickle is read.

    Args:
        reference: a pulled model's folder, ``models:/NAME@alias`` or ``models:/NAME/version``.
        home: whose registry; ``None``: ``SAFR_STUDY_HOME``, else ``./.safr-study``.
        tracking_uri: MLflow; ``None``: ``MLFLOW_TRACKING_URI``, else SQLite in the home.

    Raises:
        BadInput: there is no such model; says which there are.
        CorruptCheckpoint: its files are not those that were registered.
        ServiceUnreachable: the tracking server does not answer.
    """
    return _load(str(reference), _stores(home, tracking_uri))


def _load(reference: str, where: Stores) -> Model:
    return Model(reference, explaining.load(reference, where), where)


def _stores(
    home: str | Path | None,
    tracking_uri: str | None = None,
    storage: str | None = None,
    address: str | None = None,
) -> Stores:
    return stores(open_home(home), tracking_uri=tracking_uri, storage_url=storage, address=address)


def _row(trial: TrialRecord) -> Mapping[str, object]:
    return {
        "trial": trial.number,
        "state": trial.state.value,
        "label": trial.label,
        "epochs": len(trial.epochs),
        "seconds": trial.seconds,
        "failure": trial.failure,
    }


def _version_row(version: RegisteredModel) -> tuple[object, ...]:
    reference = f"models:/{version.name}/{version.version}"
    tags = version.tags
    aliases = ", ".join(sorted(version.aliases))
    return (reference, version.name, version.version, tags.get("study"), tags.get("trial"), aliases)
