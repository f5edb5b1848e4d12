"""``search``: run a study."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from safr_study.cli import output
from safr_study.cli.completion import (
    complete_dataset,
    complete_metric,
    complete_space,
    complete_study,
)
from safr_study.cli.options import (
    AddressOption,
    CheckpointsOption,
    DevLimitOption,
    DryRunOption,
    EpochsOption,
    HomeOption,
    JsonOption,
    LabelColumnOption,
    PresetOption,
    QuietOption,
    StorageOption,
    TextColumnOption,
    TrackingOption,
    TrainLimitOption,
    open_stores,
    option,
)
from safr_study.cli.progress import Reporter, plan_lines
from safr_study.errors import (
    BadInput,
    BadInputs,
    ServiceUnreachable,
    StudyIncomplete,
    StudyInterrupted,
)
from safr_study.redaction import has_secret, redacted_address
from safr_study.render.text_table import TextTable
from safr_study.settings.study import parse_duration

if TYPE_CHECKING:
    from safr_study.features.search.search import SearchOutcome
    from safr_study.features.study_base.stores import Stores
    from safr_study.settings import StudySpec


ROLES = ("knee", "best-accuracy", "best-srs")
"""Plain aliases, the most useful first."""


def search(
    dataset: Annotated[
        str,
        option(
            "--dataset",
            "planted[:variant], sst2, sst2-treebank, imdb, a hub id, or a path.",
            complete=complete_dataset,
            panel="Data",
        ),
    ],
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    train_limit: TrainLimitOption = None,
    dev_limit: DevLimitOption = None,
    study: Annotated[
        str | None, option("--study", "Its name; else one from the data set and the settings.")
    ] = None,
    space: Annotated[
        str, option("--space", "A search space: name or YAML file.", complete=complete_space)
    ] = "lambda",
    trials: Annotated[int, option("--trials", "To finish; the baselines count.", min=1)] = 24,
    epochs: EpochsOption = 20,
    k: Annotated[float, option("--k", "Percent of the tokens deleted for SRS.")] = 30.0,
    objective: Annotated[
        list[str] | None,
        option(
            "--objective",
            "A metric (see safr-study metrics); repeat. Default: accuracy, srs@k.",
            complete=complete_metric,
        ),
    ] = None,
    sampler: Annotated[
        Literal["tpe", "nsga2", "gp", "qmc", "random", "grid"],
        option("--sampler", "Who chooses settings."),
    ] = "tpe",
    scheduler: Annotated[
        Literal["mo-asha", "none"], option("--scheduler", "Who stops trials that others beat.")
    ] = "mo-asha",
    seeds_per_trial: Annotated[
        int, option("--seeds-per-trial", "Trainings of each trial; means count.", min=1)
    ] = 1,
    warm_start: Annotated[
        str | None,
        option(
            "--from",
            "A study over the same space, from which the sampler learns.",
            complete=complete_study,
        ),
    ] = None,
    time_budget: Annotated[
        str | None, option("--time-budget", "End after so long, for example 2h or 90m.")
    ] = None,
    epoch_budget: Annotated[
        int | None, option("--epoch-budget", "Begin no trial after so many epochs in all.", min=1)
    ] = None,
    on_finish: Annotated[
        str | None,
        option(
            "--on-finish", "Run a command at the end; it gets the result as JSON.", metavar="CMD"
        ),
    ] = None,
    seed: Annotated[
        int, option("--seed", "Of the sampler and of every training.", min=0, max=2**63 - 1)
    ] = 0,
    preset: PresetOption = "masked",
    precision: Annotated[
        Literal["auto", "float32"],
        option("--precision", "auto: bfloat16 on CUDA, float32 on the CPU.", panel="Resources"),
    ] = "auto",
    max_concurrent: Annotated[
        int | None, option("--max-concurrent", "Trials at once.", min=1, panel="Resources")
    ] = None,
    cpus_per_trial: Annotated[
        float | None, option("--cpus-per-trial", "Default: 1.", panel="Resources")
    ] = None,
    gpus_per_trial: Annotated[
        float | None,
        option(
            "--gpus-per-trial",
            "Fractions share one. Default: a share where there are GPUs.",
            panel="Resources",
        ),
    ] = None,
    system_metrics: Annotated[
        bool,
        option(
            "--system-metrics",
            "Track what each epoch takes of processor, memory and GPU.",
            panel="Resources",
        ),
    ] = False,
    address: AddressOption = None,
    fresh: Annotated[
        bool, option("--fresh", "Begin anew; what was finished is kept aside.")
    ] = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
    storage: StorageOption = None,
    checkpoints: CheckpointsOption = None,
) -> None:
    """Run a study: trials over the workers, the Pareto front, its models in the registry.

    An interrupted study goes on when the same command is given again.

    Examples:

      safr-study search --dataset imdb

      safr-study search --dataset sst2 --study s1 --trials 12 --epochs 8

      safr-study search --dataset reviews.csv --text-column review --label-column stars
    """
    # Before any other name: these are the options.
    spec = spec_of(locals())
    stores = open_stores(
        home,
        tracking_uri=tracking_uri,
        storage=storage,
        address=address,
        checkpoints=checkpoints,
    )
    if dry_run:
        _dry_run(spec, stores, fresh=fresh, as_json=json)
        return
    with _hook_at_the_end(on_finish, spec, stores):
        _run(spec, stores, fresh=fresh, quiet=quiet, as_json=json, home=home)


@contextlib.contextmanager
def _hook_at_the_end(command: str | None, spec: StudySpec, stores: Stores) -> Iterator[None]:
    if command is None:
        yield
        return
    from safr_study.features.search.hooks import ended_as, parse_hook, run_hook

    hook = parse_hook(command)
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        # A study that was refused has not ended: it may be another process that runs it.
        if not isinstance(error, (BadInput, BadInputs)):
            warning = run_hook(hook, spec.name, stores, ended_as(error))
            if warning is not None:
                output.warn(warning)


def _run(
    spec: StudySpec, stores: Stores, *, fresh: bool, quiet: bool, as_json: bool, home: Path | None
) -> None:
    from safr_study.cluster.job import asked_by
    from safr_study.features.search.search import search as run

    console = output.err()
    progress = Reporter(None if quiet else console, live=console.is_terminal)
    try:
        with progress:
            outcome = run(
                spec, stores, progress=progress, fresh=fresh, command=asked_by(sys.argv[1:])
            )
    except StudyInterrupted:
        if not quiet:
            _show_front_so_far(spec, stores)
        raise
    _show(outcome, stores, home=home, as_json=as_json)
    undelivered = None
    if outcome.untracked is not None:
        command = shlex.join(_sync_command(outcome.result.name, stores, home))
        undelivered = f"{outcome.untracked}; when it is mended, bring it there: {command}"
    if outcome.shortfall is not None:
        raise StudyIncomplete(
            outcome.shortfall + (f"\nerror: {undelivered}" if undelivered else "")
        )
    if undelivered is not None:
        raise ServiceUnreachable(undelivered)


def spec_of(options: Mapping[str, Any]) -> StudySpec:
    """The study that these options of ``search`` ask for, by the names of its parameters.

    Raises:
        BadInput: a value that cannot be.
        BadInputs: several of them.
    """
    from safr_study.features.search.build_spec import study_spec

    def part(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    budget = options["time_budget"]
    return study_spec(
        corpus=part("dataset", "text_column", "label_column", "train_limit", "dev_limit"),
        space=options["space"],
        study=options["study"],
        trials=options["trials"],
        objectives=options["objective"] or ["accuracy", f"srs@{options['k']:g}"],
        search={
            **part("sampler", "seeds_per_trial", "warm_start", "epoch_budget", "system_metrics"),
            "scheduler": {"name": options["scheduler"]},
            "time_budget": None if budget is None else parse_duration(budget),
        },
        seed=options["seed"],
        train=part("epochs", "preset", "precision", "seed"),
        resources=part("cpus_per_trial", "gpus_per_trial", "max_concurrent"),
    )


def _dry_run(spec: StudySpec, stores: Stores, *, fresh: bool, as_json: bool) -> None:
    from safr_study.features.search.plan import plan_study
    from safr_study.records import to_plain

    plan = plan_study(spec, stores, cpus=float(os.cpu_count() or 1), gpus=0.0, fresh=fresh)
    if as_json:
        document = to_plain(plan)
        document["objectives"] = [objective.name for objective in plan.objectives]
        document["allotment"] = document.pop("slots")
        for trial in document["first"]:
            trial["run_on"] = trial.pop("control")
            trial["run_on_values"] = trial.pop("control_values")
        output.print_json(document)
        return
    for line in plan_lines(plan):
        output.out().print(line)
    if plan.first:
        rows = [(str(trial.number), trial.label) for trial in plan.first]
        output.show(TextTable("The first trials", (">trial", "setting"), rows))


def _show_front_so_far(spec: StudySpec, stores: Stores) -> None:
    from safr_study.features.study_base.results import load_result
    from safr_study.render.result_tables import ranking_table
    from safr_study.render.terminal import TerminalTable

    result = load_result(spec.name, stores)
    if result.ranked:
        output.err().print(TerminalTable(ranking_table(result, rows=10)))


def _show(outcome: SearchOutcome, stores: Stores, *, home: Path | None, as_json: bool) -> None:
    from safr_study.records import to_plain
    from safr_study.render.result_tables import (
        models_table,
        ranking_table,
        result_json,
        result_notes,
    )

    if as_json:
        output.print_json(
            {
                **result_json(outcome.result),
                "models": to_plain(outcome.models),
                "untracked": outcome.untracked,
                "budget": outcome.budget,
            }
        )
        return
    console = output.out()
    output.show(ranking_table(outcome.result))
    for line in result_notes(outcome.result):
        console.print(line, soft_wrap=True)
    if outcome.budget is not None:
        console.print(f"Study {outcome.result.name}: {outcome.budget}.", soft_wrap=True)
    if outcome.models:
        console.print()
        output.show(models_table(outcome.models))
    aliases = {alias for model in outcome.models for alias in model.aliases}
    if outcome.models and not aliases & set(ROLES):
        console.print(
            f"The plain aliases {', '.join(ROLES)} belong to the first study of this data; "
            f"safr-study promote {outcome.result.name} moves them here.",
            soft_wrap=True,
        )
    console.print("Next:")
    for command in _next_commands(outcome, stores, home):
        console.print(f"  {shlex.join(command)}", soft_wrap=True)
    if hint := _secret_hint(stores):
        console.print(hint, soft_wrap=True)


def _sync_command(study: str, stores: Stores, home: Path | None) -> list[str]:
    """What brings a study to the tracking server that it was meant for, without a password."""
    # Without --tracking-uri: the ledger knows it, but for a database, which needs its password.
    uri = stores.tracking_uri
    at_home = ["--home", str(home)] if home is not None else []
    ledger = _option("--storage", stores.storage_url)
    database = uri is not None and not uri.startswith("http")
    tracked = _option("--tracking-uri", uri if database else None)
    return ["safr-study", "sync", study, *at_home, *ledger, *tracked]


def _secret_hint(stores: Stores) -> str | None:
    """Where the secrets belong that the commands lack; ``None``: they lack none."""
    places = []
    if stores.storage_url is not None and has_secret(stores.storage_url):
        places.append("the ledger's password in PGPASSWORD or a file of PGPASSFILE")
    if stores.tracking_uri is not None and has_secret(stores.tracking_uri):
        places.append(
            "MLflow's in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in "
            "MLFLOW_TRACKING_TOKEN"
        )
    return f"Addresses are shown without secrets: give {'; '.join(places)}." if places else None


def _option(name: str, address: str | None) -> list[str]:
    """An option with its address, which shows no secret."""
    return [] if address is None else [name, redacted_address(address)]


def _next_commands(
    outcome: SearchOutcome, stores: Stores, home: Path | None
) -> Iterator[list[str]]:
    """What shows and uses what a search found."""
    program = output.called_as()
    at_home = ["--home", str(home)] if home is not None else []
    ledger = _option("--storage", stores.storage_url)
    tracked = _option("--tracking-uri", stores.tracking_uri)
    yield [*program, "pareto", outcome.result.name, "--out", "figures", *at_home, *ledger]
    # All of these point to models of this study.
    aliases = {alias: model for model in outcome.models for alias in model.aliases}
    for role in ROLES:
        matching = sorted((a for a in aliases if a == role or a.endswith(f"-{role}")), key=len)
        if matching:
            reference = f"{aliases[matching[0]].name}@{matching[0]}"
            yield [*program, "pull", reference, "--to", "model", *at_home, *tracked]
            yield [*program, "evaluate", "model", *at_home]
            break
    if not tracked:
        yield [*program, "ui", *at_home]
