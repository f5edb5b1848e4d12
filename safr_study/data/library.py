"""Reading through the ``datasets`` library: files, saved folders, the hub; silent, one sentence
for each fault. Local files are read by pandas, pyarrow and ``json``.

The library is imported inside the functions: it takes a second, and a warm cache needs none of it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safr_study.data.catalogue import DATA_VARIABLE, KNOWN
from safr_study.data.delimited import MAX_TEXT, read_delimited
from safr_study.data.json_rows import json_rows
from safr_study.data.planted import PLANTED
from safr_study.data.tables import TextTable, unique_names
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
    """Read a CSV, TSV, JSON, JSON lines or Parquet file, without a cache: every value as it is.

    Returns:
        A `TextTable`; of Parquet a ``datasets.Dataset``, which knows declared classes.

    Raises:
        BadInput: it is empty, broken, or not UTF-8.
    """
    import datasets

    kind = path.suffix.lower()[1:]
    try:
        if path.stat().st_size == 0:
            raise BadInput("dataset", f"{path} is empty; give a file with texts and labels")
        if kind == "parquet":
            table = _read_parquet(path)
        else:
            table = read_delimited(path) if kind in ("csv", "tsv") else _read_json(path)
    except BadInput as error:
        if error.field != "file":
            raise
        raise BadInput("dataset", f"{path} cannot be read as {kind}: {error.problem}") from error
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        raise BadInput(
            "dataset",
            f"{path} cannot be read as {kind} ({_reason(error)}); "
            "mend the file: UTF-8, one header line or one object per text",
        ) from error
    if table is None:
        raise BadInput("dataset", f"{path} has no rows; give at least one text of each class")
    return table


def _read_json(path: Path) -> TextTable | None:
    columns: dict[str, list[Any]] = {}
    rows = 0
    for rows, content in json_rows(path, 16 * MAX_TEXT):
        for key in content:
            columns.setdefault(key, [None] * rows)
        for key, values in columns.items():
            values.append(content.get(key))
    return TextTable(columns) if columns else None


def _read_parquet(path: Path) -> Any:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        table = file.read()
    if table.num_rows == 0:
        return None
    unique = unique_names(table.column_names)
    if unique != table.column_names:
        table = table.rename_columns(unique).replace_schema_metadata()
    # Arrow's dictionaries are no type of the library.
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = field.with_type(field.type.value_type)
            table = table.set_column(place, plain, table.column(place).cast(plain.type))
    with quiet():
        return datasets.Dataset(table)


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
