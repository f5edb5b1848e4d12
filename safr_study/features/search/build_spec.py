"""What a user asks for, as the settings of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from safr_study.data import canonical_dataset, slugify
from safr_study.settings import Objective, Resources, SearchSpace, StudySpec
from safr_study.settings.space_files import find_space


def study_spec(
    *,
    corpus: Mapping[str, object],
    space: str | SearchSpace,
    study: str | None,
    trials: int,
    objectives: Sequence[str],
    search: Mapping[str, object],
    seed: int,
    train: Mapping[str, object],
    resources: Mapping[str, object],
) -> StudySpec:
    """The settings of a study, checked, from what was asked for.

    Args:
        corpus: fields of `CorpusSpec`; the data set as its user names it.
        space: name or YAML file of a search space, or a space.
        study: name of the study; ``None``: one from the data set and the settings.
        trials: to finish.
        objectives: names of metrics.
        search: further fields of `StudySpec`.
        seed: of the sampler.
        train: fields of `TrainConfig`.
        resources: fields of `Resources`; those that are ``None`` keep their defaults.

    Raises:
        BadInput: an unknown objective, space or data set.
        BadInputs: values that cannot be, all at once.
    """
    wanted = [Objective.named(name) for name in objectives]
    found = find_space(space) if isinstance(space, str) else space
    if any(objective.needs_vmask for objective in wanted):
        # A model without VMASK has no such number, so it could only fail.
        kept = tuple(one for one in found.baselines if one.values.get("vmask") is not False)
        found = found.model_copy(update={"baselines": kept})
    given = {name: value for name, value in resources.items() if value is not None}
    checked = Resources.parse(given, where="resources")
    # Part of the numbers, as it orders the sums: a trial computes with the cores that it has.
    threads = max(1, int(checked.cpus_per_trial))
    spec = StudySpec.parse(
        {
            "name": study or "unnamed",
            "corpus": {**corpus, "dataset": canonical_dataset(str(corpus["dataset"]))},
            "space": found.model_dump(),
            "objectives": [objective.model_dump() for objective in wanted],
            "trials": trials,
            **search,
            "seed": seed,
            "train": {**train, "threads": threads},
            "resources": given,
        }
    )
    if study is None:
        # From the data set and the settings: the same command finds its study again.
        name = f"{slugify(spec.corpus.dataset)[:48]}-{spec.identity()[:8]}"
        return spec.model_copy(update={"name": name})
    return spec
