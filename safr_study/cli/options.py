"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safr_study.cli.completion import complete_model, complete_study
from safr_study.errors import BadInput

if TYPE_CHECKING:
    from safr_study.settings import CorpusSpec

_PLACES = "Where things are"


def option(
    text: str,
    *flags: str,
    panel: str | None = None,
    complete: Callable[..., Any] | None = None,
    **rules: Any,
) -> Any:
    """An option of a command, for ``Annotated``.

    Args:
        text: its line of ``--help``.
        flags: its name, where it is not that of its parameter; always for a switch, which would
            have an opposite without one.
        panel: heading under which ``--help`` shows it.
        complete: what a shell offers for its value.
        rules: more for ``typer.Option``: ``min``, ``metavar``, ``envvar``.
    """
    return typer.Option(*flags, help=text, rich_help_panel=panel, autocompletion=complete, **rules)


Home = Annotated[
    Path | None,
    option(
        "Folder of everything; else SAFR_STUDY_HOME, else ./.safr-study.",
        file_okay=False,
        panel=_PLACES,
    ),
]
Tracking = Annotated[
    str | None,
    option("MLflow server; else MLFLOW_TRACKING_URI, else SQLite in the home.", panel=_PLACES),
]
Storage = Annotated[
    str | None,
    option(
        "Database URL of the ledger; else a file in the home.",
        envvar="SAFR_STUDY_STORAGE",
        panel=_PLACES,
    ),
]
Checkpoints = Annotated[
    str | None,
    option(
        "URL of an object store, as s3://BUCKET/PREFIX; else the home, which all nodes share.",
        envvar="SAFR_STUDY_CHECKPOINTS",
        panel=_PLACES,
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        help="A pulled model's folder, models:/NAME@alias, or STUDY#TRIAL.",
        autocompletion=complete_model,
        metavar="MODEL",
    ),
]
Json = Annotated[bool, option("One JSON document on standard output, nothing else.", "--json")]
Quiet = Annotated[bool, option("No progress, only the result.", "--quiet")]
DryRun = Annotated[bool, option("Say what would be done and what it costs.", "--dry-run")]
Epochs = Annotated[int, option("At most; early stopping may end before.", min=1)]
Preset = Annotated[
    Literal["masked", "reference"], option("Padding-aware, or as the authors' released code.")
]
TextColumn = Annotated[
    list[str] | None, option("Column of the texts; twice for pairs of texts.", panel="Data")
]
Delete = Annotated[
    Literal["both", "first", "second"] | None,
    option("Texts of a pair whose words are deleted; of one, K is of its words alone."),
]
LabelColumn = Annotated[str | None, option("Column of the labels.", panel="Data")]
GroupColumn = Annotated[
    str | None,
    option(
        "Column that texts which belong together share, as a review and its revision.",
        panel="Data",
    ),
]
Tokenizer = Annotated[
    Literal["whitespace", "words", "characters"] | None,
    option(
        "What a word is: what stands between spaces, or punctuation split off too, or each sign "
        "too of a script without blanks (Japanese, Thai). Default: words for your own data, "
        "whitespace for those known by name.",
        panel="Data",
    ),
]
Lowercase = Annotated[
    bool | None,
    option("Ignore case. Default: for your own data.", "--lowercase/--cased", panel="Data"),
]
Encoder = Annotated[
    str | None,
    option(
        "Fine-tune a pretrained encoder: its folder or hub id (BERT, DistilBERT, RoBERTa, ELECTRA "
        "as safetensors).",
        panel="Data",
    ),
]
MaxLen = Annotated[
    int | None,
    option(
        "Words read of each text, or its pieces. Default: 128, imdb 256, movies 512.",
        min=1,
        panel="Data",
    ),
]
CapacityLayer = Annotated[
    str | None,
    option(
        "Where capacity is measured: ffn1_pre_relu or ffn1_post_relu (before and after the "
        "activation), with :N of block N; else the last block's ffn1_pre_relu, or as studied.",
        metavar="LAYER[:N]",
    ),
]
AllowSmall = Annotated[
    bool,
    option(
        "Go on with fewer than 10 train or 3 dev texts of a class, or 100 dev texts.",
        "--allow-small",
        panel="Data",
    ),
]
AllowDuplicates = Annotated[
    bool,
    option(
        "Go on where over 20 % of dev or test is in train too.", "--allow-duplicates", panel="Data"
    ),
]
Limit = Annotated[int | None, option("Use at most N texts.", panel="Data")]
Address = Annotated[
    str | None, option("A running Ray cluster; else one on this machine.", panel=_PLACES)
]

Ray = Annotated[
    str | None,
    option("URL of a Ray dashboard: the jobs of submit there, not the ledger.", panel=_PLACES),
]


def out_folder(text: str) -> Any:
    """The option ``--out`` of a command that writes files into a folder, for ``Annotated``."""
    return option(text, file_okay=False, callback=_check_folder)


def _check_folder(path: Path | None) -> Path | None:
    if path is not None and path.exists() and not path.is_dir():
        raise BadInput("out", f"{path} is no folder; choose another")
    return path


def corpus_spec(
    dataset: str, *, text_column: list[str] | None = None, **options: str | int | None
) -> CorpusSpec:
    """The data of these options, by the fields of `CorpusSpec`; one that is not given stays unset.

    Raises:
        BadInput: more than two text columns.
        BadInputs: a value that cannot be.
    """
    from safr_study.data import canonical_dataset, column_fields
    from safr_study.settings import CorpusSpec

    given = {name: value for name, value in options.items() if value is not None}
    given |= column_fields(text_column)
    return CorpusSpec.parse({"dataset": canonical_dataset(dataset), **given})


def check_study(name: str | None) -> str | None:
    """A study's name as it may be: it becomes part of the paths of its files.

    Raises:
        BadInput: it is none.
    """
    from safr_study.settings.study import STUDY_NAME_PATTERN

    if name is not None and re.match(STUDY_NAME_PATTERN, name) is None:
        raise BadInput("study", f"{name!r} is no name of a study; see safr-study list")
    return name


Study = Annotated[
    str,
    typer.Argument(
        help="Name of the study (see safr-study list).",
        autocompletion=complete_study,
        callback=check_study,
        metavar="STUDY",
    ),
]
AnyStudy = Annotated[
    str | None,
    typer.Argument(
        help="Name of a study; all of them without it.",
        autocompletion=complete_study,
        callback=check_study,
        metavar="[STUDY]",
        show_default=False,
    ),
]
