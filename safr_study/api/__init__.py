"""The Python API: studies and models as objects, their numbers as DataFrames.

    import safr_study as ss

    study = ss.search("sst2", study="s1", trials=12, epochs=8)
    study.pareto()                       # a DataFrame; in a notebook a study shows its front
    model = study.model()                # its knee or compromise; or ss.load("safr-sst2")
    model.explain("a gripping , funny film").words

The same use cases as the command line, and nothing more: what is begun here resumes there,
and the other way round. Every expected error is a `SafrError` that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from safr_study.api.model import Explained as Explained
from safr_study.api.model import Model as Model
from safr_study.api.model import opened
from safr_study.api.study import Front as Front
from safr_study.api.study import Role as Role
from safr_study.api.study import Study as Study
from safr_study.cli import output
from safr_study.cli.progress import Reporter
from safr_study.data import keep_object
from safr_study.errors import StudyIncomplete
from safr_study.features.compare import (
    compare_studies,
    comparison_table,
    study_view,
    write_comparison,
)
from safr_study.features.hand_on.import_study import import_study as take_in
from safr_study.features.models import registered_models
from safr_study.features.search.build_spec import study_spec
from safr_study.features.search.moved_data import under_known_name
from safr_study.features.search.search import search as run_search
from safr_study.features.study_base.results import list_studies, load_result
from safr_study.features.study_base.stores import open_stores
from safr_study.settings import (
    CapacityLayer,
    ClassWeights,
    Precision,
    Preset,
    SamplerName,
    SchedulerName,
    SearchSpace,
    Sides,
    TokenizerName,
)

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def search(
    dataset: str | Path | pd.DataFrame | Dataset | DatasetDict | Mapping[str, pd.DataFrame],
    *,
    study: str | None = None,
    space: str | Path | SearchSpace = "lambda",
    start: str | None = None,
    trials: int = 24,
    epochs: int = 20,
    epoch_texts: int | None = None,
    k: float = 30.0,
    delete: Sides | None = None,
    objectives: Sequence[str] | None = None,
    sampler: SamplerName = "tpe",
    scheduler: SchedulerName = "mo-asha",
    seeds_per_trial: int = 1,
    warm_start: str | None = None,
    time_budget: float | str | None = None,
    epoch_budget: int | None = None,
    capacity_layer: CapacityLayer | None = None,
    seed: int = 0,
    class_weights: ClassWeights = "none",
    preset: Preset = "masked",
    precision: Precision = "auto",
    text_column: str | tuple[str, str] | list[str] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    tokenizer: TokenizerName | None = None,
    lowercase: bool | None = None,
    encoder: str | Path | None = None,
    max_len: int | None = None,
    train_limit: int | None = None,
    dev_limit: int | None = None,
    allow_small: bool = False,
    allow_duplicates: bool = False,
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
    """Run a study to its end, or resume it: as ``safr-study search`` with the same options.

    Args:
        dataset: a name (see ``safr-study datasets``), a hub id or a path;
            or the data themselves, a table or one for each split (``train``, ``validation``,
            ``test``), which are written to the home once, under a name made from their content.
        study: its name; ``None``: one from the data set and the settings.
        space: a search space: name, YAML file or object.
        start: name of the space's points that are tried first: of ``lambda``, ``paper``.
        trials: to finish; the baselines count.
        epochs: of a trial, at most.
        epoch_texts: training texts of an epoch, about, so that a pass over large data is several
            epochs; ``None``: all.
        k: percent of the tokens deleted for SRS, where ``objectives`` says nothing.
        delete: texts of a pair whose words are deleted; ``None``: both.
        objectives: names of metrics; ``None``: accuracy and SRS(k).
        sampler: the one that chooses settings.
        scheduler: the one that stops trials that others beat.
        seeds_per_trial: trainings of each trial; their means count.
        warm_start: a study over the same space, from which the sampler learns.
        time_budget: seconds, or for example ``"2h"``.
        epoch_budget: begin no trial after so many epochs in all.
        capacity_layer: ``ffn1_pre_relu`` or ``ffn1_post_relu``, with ``:N`` of block N from 1;
            ``None``: ``ffn1_pre_relu`` of the last block.
        seed: of the sampler and of every training.
        class_weights: ``balanced``: every class has the same weight in the cross-entropy.
        preset: ``masked`` or ``reference``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        text_column: of a file; two of them: its texts are pairs.
        label_column: of a file.
        group_column: of which texts that belong together share a value.
        tokenizer: ``whitespace``, ``words`` or ``characters``; ``None``: ``words`` for data of
            your own.
        lowercase: ignore case; ``None``: for data of your own.
        encoder: folder or hub id of a pretrained encoder to fine-tune; ``None``: from scratch.
        max_len: words read of each text, with an encoder its pieces; ``None``: 128, 256 for
            ``imdb``, 512 for ``movies``.
        train_limit: texts, at most.
        dev_limit: texts, at most.
        allow_small: go on with fewer than 10 train or 3 dev texts of a class, or 100 dev texts.
        allow_duplicates: go on where over 20 % of dev or test is in train too.
        max_concurrent: trials at once.
        cpus_per_trial: ``None``: 1.
        gpus_per_trial: ``None``: a share where there are GPUs.
        fresh: begin again; what was finished is kept aside.
        quiet: no lines about progress on standard error.
        home: folder of everything; ``None``: ``SAFR_STUDY_HOME``, else ``./.safr-study``.
        tracking_uri: MLflow; ``None``: ``MLFLOW_TRACKING_URI``, else SQLite in the home.
        storage: database URL of the ledger; ``None``: a file in the home.
        address: a running Ray cluster; ``None``: one on this machine for the time of the study.

    Raises:
        BadInput: or BadInputs: settings that cannot be, or that do not fit the study that is there.
        StudyIncomplete: fewer good trials than asked; `open_study` has those that there are.
        StudyInterrupted: by Ctrl-C or ``safr-study stop``; the same call resumes.
        ServiceUnreachable: hub, ledger, cluster or tracking server do not answer.
    """
    asked = {**locals(), "objective": objectives}
    if not isinstance(dataset, (str, Path)):
        # The same content is the same path, so that the same call finds its study again.
        asked["dataset"] = keep_object(dataset, open_stores(home).home.given_data)
    spec = study_spec(asked)
    where = open_stores(home, tracking_uri=tracking_uri, storage=storage, address=address)
    if not fresh:
        spec = under_known_name(spec, where)
    with Reporter(None if quiet else output.err()) as progress:
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
    where = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    return Study(load_result(name, where), where)


def import_study(
    file: str | Path, *, name: str | None = None, home: str | Path | None = None,
    tracking_uri: str | None = None, storage: str | None = None,
) -> Study:  # fmt: skip
    """Take a study that `Study.export` wrote into a home: ledger, models, runs and versions.

    All of the file is checked before anything is written.

    Args:
        file: somebody's export.
        name: of the study here; ``None``: its own.
        home: folder of everything, made where it is missing; ``None``: ``SAFR_STUDY_HOME``, else
            ``./.safr-study``.
        tracking_uri: MLflow; ``None``: ``MLFLOW_TRACKING_URI``, else SQLite in the home.
        storage: database URL of the ledger; ``None``: a file in the home.

    Raises:
        BadInput: the file is no whole and unchanged study, or there is one of its name.
        CorruptCheckpoint: a model in it is none.
        ServiceUnreachable: the ledger's database or the tracking server does not answer.
    """
    where = open_stores(home, tracking_uri=tracking_uri, storage=storage, begins=True)
    done = take_in(Path(file), where, name=name)
    if done.synced.missing is not None:
        output.warn(done.synced.missing)
    return Study(load_result(done.study, where), where)


def studies(*, home: str | Path | None = None, storage: str | None = None) -> pd.DataFrame:
    """The studies of a home or ledger database, one row each.

    Columns: ``name``, ``dataset``, ``asked``, ``complete``, ``stopped``, ``failed``,
    ``unfinished``, ``running`` and ``hypervolume``.
    """
    found, skipped = list_studies(open_stores(home, storage=storage, reads=True))
    for sentence in skipped:
        output.warn(sentence)
    return pd.DataFrame(found)


def compare(
    *names: str, anyway: bool = False, out: str | Path | None = None,
    home: str | Path | None = None, storage: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Every ranked trial of some studies, measured from one reference point.

    Columns: ``study``, ``front`` and ``on_joint_front`` (no trial of any of them beats it), then
    those of `Study.pareto`.

    Args:
        names: two studies or more, with the same objectives.
        anyway: compare also studies of other data.
        out: folder for the picture and the table.
        home: folder of everything; ``None``: ``SAFR_STUDY_HOME``, else ``./.safr-study``.
        storage: database URL of the ledgers; ``None``: files in the home.

    Raises:
        BadInput: a study is unknown or given twice, or they cannot be compared.
    """
    where = open_stores(home, storage=storage, reads=True)
    found = compare_studies([study_view(name, where) for name in names], anyway=anyway)
    if out is not None:
        write_comparison(found, Path(out))
    return comparison_table(found)


def models(*, home: str | Path | None = None, tracking_uri: str | None = None) -> pd.DataFrame:
    """The registered models, one row for each version.

    Columns: ``reference`` (for `load`), ``name``, ``version``, ``study``, ``trial``, ``aliases``.

    Raises:
        ServiceUnreachable: the tracking server does not answer.
    """
    found = registered_models(open_stores(home, tracking_uri=tracking_uri, reads=True))
    rows = [
        (
            f"models:/{one.name}/{one.version}",
            *(one.name, one.version, one.tags.get("study"), one.tags.get("trial")),
            ", ".join(sorted(one.aliases)),
        )
        for one in found
    ]
    columns = ["reference", "name", "version", "study", "trial", "aliases"]
    return pd.DataFrame(rows, columns=columns)


def load(
    reference: str | Path, *, home: str | Path | None = None, tracking_uri: str | None = None
) -> Model:
    """A model by its folder or its name in the registry; every file is checked, no pickle is read.

    Args:
        reference: a pulled model's folder, ``models:/NAME@alias`` or ``models:/NAME/version``.
        home: folder with the registry; ``None``: ``SAFR_STUDY_HOME``, else ``./.safr-study``.
        tracking_uri: MLflow; ``None``: ``MLFLOW_TRACKING_URI``, else SQLite in the home.

    Raises:
        BadInput: there is no such model; says which there are.
        CorruptCheckpoint: its files are not those that were registered.
        ServiceUnreachable: the tracking server does not answer.
    """
    return opened(str(reference), open_stores(home, tracking_uri=tracking_uri, reads=True))
