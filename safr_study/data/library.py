"""Reading through the ``datasets`` library: files, saved folders, the hub; silent, one sentence
for each fault.

The library is imported inside the functions: it takes a second, and a warm cache needs none of it.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safr_study.data.catalogue import DATA_VARIABLE, KNOWN
from safr_study.data.planted import PLANTED
from safr_study.errors import BadInput, ServiceUnreachable, did_you_mean
from safr_study.text import first_line

SAVED_MARKERS = ("dataset_dict.json", "state.json")
"""Files by which a folder of ``save_to_disk`` is known."""
HUB_SECONDS = 5.0
"""Wait for the hub's first answer."""

Tables = Mapping[str, Any]
"""``datasets.Dataset`` by the source's own split names."""


def read_saved(folder: Path) -> Tables:
    """Read a folder written by ``save_to_disk``; a single data set becomes ``train``.

    Raises:
        BadInput: the folder is broken.
    """
    import datasets

    with quiet():
        try:
            saved = datasets.load_from_disk(str(folder))
        except (datasets.exceptions.DatasetsError, ValueError, OSError, KeyError) as error:
            raise BadInput(
                "dataset", f"{folder} cannot be read ({_reason(error)}); save it anew"
            ) from error
    return dict(saved) if isinstance(saved, datasets.DatasetDict) else {"train": saved}


def read_hub(name: str, repository: str, *, tried: str) -> tuple[Tables, str]:
    """Read a data set of the hub: from the Hugging Face cache, else by download.

    Args:
        name: as the user gave it, for the errors' sentences.
        repository: its id, ``name`` or ``owner/name``.
        tried: what was looked up before, for the error's sentence.

    Returns:
        the splits, and where they were found.

    Raises:
        ServiceUnreachable: it is not in the cache and the hub does not answer.
        BadInput: the hub answers, but has no such data set, or one that cannot be used.
    """
    import datasets
    import huggingface_hub
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    # The base classes are those of the HTTP library that the hub's client has.
    failed: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    with quiet():
        cached = _read_cached(repository)
        if cached is not None:
            return cached, f"Hugging Face cache of {repository}"
        if datasets.config.HF_HUB_OFFLINE:
            raise _unreachable(name, tried, "the hub is switched off by HF_HUB_OFFLINE")
        try:
            # One question with a short wait: the library tries for half a minute and more.
            hub = huggingface_hub.HfApi(endpoint=datasets.config.HF_ENDPOINT)
            hub.dataset_info(repository, timeout=HUB_SECONDS)
            loaded = datasets.load_dataset(repository)
        except (DatasetNotFoundError, RepositoryNotFoundError, HFValidationError) as error:
            raise BadInput(
                "dataset",
                f"no data set {name!r}: {tried}, the Hugging Face cache and the hub "
                f"{datasets.config.HF_ENDPOINT} know none (a private one needs `hf auth login`); "
                f"check the spelling, or give a path{_meant(name)}",
            ) from error
        # It has no data files, several configurations, a script, ...
        except (DatasetsError, EmptyDatasetError, ValueError, RuntimeError) as error:
            raise BadInput(
                "dataset",
                f"{repository} of the hub cannot be used ({_reason(error)}); "
                "save the part you want to a file and give its path",
            ) from error
        except failed as error:
            raise _unreachable(
                name, tried, f"the hub {datasets.config.HF_ENDPOINT} failed: {_reason(error)}"
            ) from error
    return dict(loaded), f"hub {repository}"


def read_file(path: Path) -> Any:
    """Read a CSV, TSV, JSON, JSON lines or Parquet file as a ``datasets.Dataset``.

    Raises:
        BadInput: it is empty, broken, or not UTF-8.
    """
    import datasets
    import pyarrow.parquet as pq

    scratch = Path(datasets.config.HF_CACHE_HOME).expanduser()
    kind = path.suffix.lower()[1:]
    builder = {"tsv": "csv", "jsonl": "json", "ndjson": "json"}.get(kind, kind)
    try:
        if path.stat().st_size == 0:
            raise BadInput("dataset", f"{path} is empty; give a file with texts and labels")
        if builder == "parquet" and pq.read_metadata(path).num_rows == 0:
            raise _no_rows(path)
        scratch.mkdir(parents=True, exist_ok=True)
        # A cache of its own for each reading: the library knows a local file by its time stamp,
        # so a file that changes within one tick would be answered with its old content.
        with quiet(), tempfile.TemporaryDirectory(prefix="safr-study-", dir=scratch) as folder:
            # A plain name: the library takes brackets and stars in a path for a pattern.
            plain = Path(folder) / f"data.{kind}"
            plain.symlink_to(path.absolute())
            return datasets.load_dataset(
                builder,
                data_files=str(plain),
                split="train",
                cache_dir=str(Path(folder) / "cache"),
                keep_in_memory=True,
                **(_csv_options(path) if builder == "csv" else {}),
            )
    except (datasets.exceptions.DatasetsError, ValueError, OSError, StopIteration) as error:
        raise BadInput(
            "dataset",
            f"{path} cannot be read as {kind} ({_reason(error)}); "
            "mend the file: UTF-8, one header line or one object per text",
        ) from error


def _csv_options(path: Path) -> dict[str, Any]:
    """Every column as text: a text ``null`` or ``1.50`` stays what it is, and a label column that
    changes its type half-way is no fault."""
    import datasets
    import pandas as pd

    options: dict[str, Any] = {
        "sep": "\t" if path.suffix.lower() == ".tsv" else ",",
        "encoding": "utf-8-sig",
        "keep_default_na": False,
    }
    header = [str(name) for name in pd.read_csv(path, nrows=1, header=None, **options).iloc[0]]
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"the header names {repeated!r} twice")
    head = pd.read_csv(path, nrows=1, **options)
    if not isinstance(head.index, pd.RangeIndex):
        raise ValueError("the first row has more fields than the header")
    if head.empty:
        raise _no_rows(path)
    strings = datasets.Features({str(column): datasets.Value("string") for column in head.columns})
    return {**options, "features": strings}


def _no_rows(path: Path) -> BadInput:
    return BadInput("dataset", f"{path} has no rows; give at least one text of each class")


def _read_cached(repository: str) -> Tables | None:
    """The newest cached version, without a question to the hub."""
    import datasets

    online = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        return dict(datasets.load_dataset(repository))
    except (OSError, ValueError, datasets.exceptions.DatasetsError):
        # Not there, or several configurations: the hub decides.
        return None
    finally:
        datasets.config.HF_HUB_OFFLINE = online


def _unreachable(name: str, tried: str, why: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"dataset: {name} was not found: {tried}, the Hugging Face cache has no copy, and {why}; "
        f"give a path to a local copy, or put its files into {DATA_VARIABLE}/{name}/<split>.parquet"
        f"{_meant(name)}"
    )


def _meant(name: str) -> str:
    return "" if name in KNOWN else did_you_mean(name, (*KNOWN, PLANTED))


def innermost(error: BaseException) -> BaseException:
    """The cause of an error that has none itself."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _reason(error: BaseException) -> str:
    return first_line(innermost(error))


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, log lines or warnings of the libraries; restored afterwards."""
    import datasets

    with _silent("datasets", datasets.utils), quiet_hub():
        yield


@contextmanager
def quiet_hub(*, bars: bool = False) -> Iterator[None]:
    """The same for the hub's client alone, which may be left its progress ``bars``."""
    import huggingface_hub.utils

    with _silent("huggingface_hub", None if bars else huggingface_hub.utils):
        yield


@contextmanager
def _silent(name: str, bars: Any) -> Iterator[None]:
    """No log lines and warnings of a library, and no bars of the module that has them."""
    with ExitStack() as restore, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger = logging.getLogger(name)
        restore.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)
        if bars is not None and not bars.are_progress_bars_disabled():
            bars.disable_progress_bars()
            restore.callback(bars.enable_progress_bars)
        yield
