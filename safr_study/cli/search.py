"""``search``: run a study."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from safr_study.cli import options, output
from safr_study.cli.completion import (
    complete_dataset,
    complete_metric,
    complete_space,
    complete_study,
)
from safr_study.cli.options import option
from safr_study.cli.progress import Reporter, plan_lines
from safr_study.errors import (
    BadInput,
    BadInputs,
    ServiceUnreachable,
    StudyIncomplete,
    StudyInterrupted,
)
from safr_study.features.study_base.stores import open_stores
from safr_study.records.study import ROLES
from safr_study.redaction import has_secret, redacted_address
from safr_study.render.text_table import TextTable

if TYPE_CHECKING:
    from safr_study.features.search.search import SearchOutcome
    from safr_study.features.study_base.stores import Stores
    from safr_study.settings import StudySpec


def search(
    dataset: Annotated[
        str,
        option(
            "A name (see safr-study datasets), a hub id, or a path.",
            complete=complete_dataset,
            panel="Data",
        ),
    ],
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    tokenizer: options.Tokenizer = None,
    lowercase: options.Lowercase = None,
    encoder: options.Encoder = None,
    max_len: options.MaxLen = None,
    train_limit: options.Limit = None,
    dev_limit: options.Limit = None,
    allow_small: options.AllowSmall = False,
    allow_duplicates: options.AllowDuplicates = False,
    study: Annotated[
        str | None, option("Its name; else one from the data set and the settings.")
    ] = None,
    space: Annotated[
        str, option("A search space: name or YAML file.", complete=complete_space)
    ] = "lambda",
    start: Annotated[
        str | None,
        option("Points of the space that are tried first: of lambda, paper.", metavar="NAME"),
    ] = None,
    trials: Annotated[int, option("To finish; the baselines count.", min=1)] = 24,
    epochs: options.Epochs = 20,
    k: Annotated[float, option("Percent of the tokens deleted for SRS.")] = 30.0,
    delete: options.Delete = None,
    objective: Annotated[
        list[str] | None,
        option(
            "A metric (see safr-study metrics); repeat. Default: accuracy, srs@k.",
            complete=complete_metric,
        ),
    ] = None,
    epoch_texts: Annotated[
        int | None,
        option(
            "Training texts of an epoch: with fewer than all a pass is several epochs, so that "
            "trials of large data are judged, stopped and kept within a pass.",
            min=1,
        ),
    ] = None,
    sampler: Annotated[
        Literal["tpe", "nsga2", "gp", "qmc", "random", "grid"], option("Who chooses settings.")
    ] = "tpe",
    scheduler: Annotated[
        Literal["mo-asha", "freeze-thaw", "none"],
        option("Stop trials that others beat, or pause all and go on with the best; or neither."),
    ] = "mo-asha",
    seeds_per_trial: Annotated[int, option("Trainings of each trial; means count.", min=1)] = 1,
    warm_start: Annotated[
        str | None,
        option(
            "A study over the same space, from which the sampler learns.",
            "--from",
            complete=complete_study,
        ),
    ] = None,
    time_budget: Annotated[str | None, option("End after so long, for example 2h or 90m.")] = None,
    epoch_budget: Annotated[
        int | None, option("Begin no trial after so many epochs in all.", min=1)
    ] = None,
    on_finish: Annotated[
        str | None, option("Run a command at the end; it gets the result as JSON.", metavar="CMD")
    ] = None,
    capacity_layer: options.CapacityLayer = None,
    seed: Annotated[int, option("Of the sampler and of every training.", min=0, max=2**63 - 1)] = 0,
    class_weights: Annotated[
        Literal["none", "balanced"],
        option("balanced: every class has the same weight in the cross-entropy."),
    ] = "none",
    preset: options.Preset = "masked",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        option(
            "Of training. auto: bfloat16 on CUDA, float32 on the CPU. A CPU that multiplies in "
            "bfloat16 trains an encoder in about half the time.",
            panel="Resources",
        ),
    ] = "auto",
    max_concurrent: Annotated[
        int | None, option("Trials at once.", min=1, panel="Resources")
    ] = None,
    cpus_per_trial: Annotated[float | None, option("Default: 1.", panel="Resources")] = None,
    gpus_per_trial: Annotated[
        float | None,
        option("Fractions share one. Default: a share where there are GPUs.", panel="Resources"),
    ] = None,
    system_metrics: Annotated[
        bool,
        option(
            "Track what each epoch takes of processor, memory and GPU.",
            "--system-metrics",
            panel="Resources",
        ),
    ] = False,
    address: options.Address = None,
    fresh: Annotated[
        bool, option("Begin anew; what was finished is kept aside.", "--fresh")
    ] = False,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
    checkpoints: options.Checkpoints = None,
) -> None:
    """Run a study: trials over the workers, the Pareto front, its models in the registry.

    An interrupted study goes on when the same command is given again.

    Examples:

      safr-study search --dataset imdb

      safr-study search --dataset sst2 --study s1 --trials 12 --epochs 8

      safr-study search --dataset reviews.csv --text-column review --label-column stars
    """
    from safr_study.features.search.build_spec import study_spec
    from safr_study.features.search.moved_data import under_known_name

    spec = study_spec(locals())
    stores = open_stores(
        home, tracking_uri=tracking_uri, storage=storage, address=address, checkpoints=checkpoints
    )
    if not fresh:
        spec = under_known_name(spec, stores)
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


def _dry_run(spec: StudySpec, stores: Stores, *, fresh: bool, as_json: bool) -> None:
    from safr_study.features.search.plan import plan_study
    from safr_study.records import to_plain

    plan = plan_study(spec, stores, cpus=float(os.cpu_count() or 1), gpus=0.0, fresh=fresh)
    if as_json:
        document = to_plain(plan)
        del document["spec"]
        for trial in document["first"]:
            trial["run_on"] = trial.pop("control")
            trial["run_on_values"] = trial.pop("control_values")
        of_spec = ("time_budget", "epoch_budget", "warm_start")
        output.print_json(
            {
                "name": spec.name,
                "epochs": spec.train.epochs,
                "objectives": [objective.name for objective in spec.objectives],
                "baselines": [baseline.name for baseline in spec.space.baselines],
                "rungs": spec.scheduler.rungs(spec.train.epochs),
                **{name: getattr(spec, name) for name in of_spec},
                "allotment": document.pop("slots"),
                **document,
            }
        )
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
    from safr_study.render.result_tables import (
        models_table,
        ranking_table,
        result_json,
        result_notes,
    )
    from safr_study.render.verdict import verdict

    result, models = outcome.result, outcome.models
    if as_json:
        more = {name: getattr(outcome, name) for name in ("models", "untracked", "budget")}
        output.print_json({**result_json(result), **more})
        return
    if (found := verdict(result)) is not None:
        output.say(found)
    output.show(ranking_table(result))
    output.say(*result_notes(result))
    if outcome.budget is not None:
        output.say(f"Study {result.name}: {outcome.budget}.")
    if models:
        output.out().print()
        output.show(models_table(models))
    if (
        models
        and result.unbeaten is None
        and not {alias for model in models for alias in model.aliases} & set(ROLES)
    ):
        output.say(
            f"The plain aliases {', '.join(ROLES)} belong to the first study of this data; "
            f"safr-study promote {result.name} moves them here."
        )
    commands = _next_commands(outcome, stores, home)
    output.say("Next:", *(f"  {shlex.join(command)}" for command in commands))
    output.say(*_secret_hints(stores))


def _sync_command(study: str, stores: Stores, home: Path | None) -> list[str]:
    """What brings a study to the tracking server that it was meant for, without a password."""
    # Without --tracking-uri: the ledger knows it, but for a database, which needs its password.
    uri = stores.tracking_uri
    database = uri is not None and not uri.startswith("http")
    ledger = _option("--storage", stores.storage_url)
    tracked = _option("--tracking-uri", uri if database else None)
    return ["safr-study", "sync", study, *_option("--home", home), *ledger, *tracked]


def _secret_hints(stores: Stores) -> Iterator[str]:
    """Where the secrets belong that the commands lack; nothing where they lack none."""
    places = []
    if stores.storage_url is not None and has_secret(stores.storage_url):
        places.append("the ledger's password in PGPASSWORD or a file of PGPASSFILE")
    if stores.tracking_uri is not None and has_secret(stores.tracking_uri):
        places.append(
            "MLflow's in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in "
            "MLFLOW_TRACKING_TOKEN"
        )
    if places:
        yield f"Addresses are shown without secrets: give {'; '.join(places)}."


def _option(name: str, value: str | Path | None) -> list[str]:
    """An option with its value, an address without secrets; nothing where there is none."""
    return [] if value is None else [name, redacted_address(str(value))]


def _next_commands(
    outcome: SearchOutcome, stores: Stores, home: Path | None
) -> Iterator[list[str]]:
    """What shows and uses what a search found."""
    program, at_home = output.called_as(), _option("--home", home)
    ledger = _option("--storage", stores.storage_url)
    tracked = _option("--tracking-uri", stores.tracking_uri)
    yield [*program, "pareto", outcome.result.name, "--out", "figures", *at_home, *ledger]
    # All of these point to models of this study; one that beats nothing has a number alone.
    aliases = {alias: model for model in outcome.models for alias in model.aliases}
    named = [
        f"{aliases[alias].name}@{alias}"
        for role in ROLES
        for alias in sorted((a for a in aliases if a == role or a.endswith(f"-{role}")), key=len)
    ]
    numbered = [f"{model.name}/{model.version}" for model in outcome.models]
    for reference in [*named, *numbered][:1]:
        # An earlier study's model may have been pulled already.
        folder = f"{outcome.result.name}-model" if Path("model").exists() else "model"
        yield [*program, "pull", reference, "--to", folder, *at_home, *tracked]
        yield [*program, "evaluate", folder, *at_home]
    if not tracked:
        yield [*program, "ui", *at_home]
