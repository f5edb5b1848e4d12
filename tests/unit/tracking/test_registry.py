from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from synthetic_study import complete_trial, ranked_study, study_spec, writer_of

from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.records import RegisteredModel, StudyResult, TrialRecord
from safr_study.tracking.pull import find_model, pull
from safr_study.tracking.registry import list_models, model_name, register_front
from safr_study.tracking.store import Store
from safr_study.tracking.study_runs import StudyEnd


def test_a_front_member_is_a_version_that_says_what_it_is(store: Store, tmp_path: Path) -> None:
    best = complete_trial(0, 80.5, 1 / 3, folder=tmp_path)
    rest = complete_trial(1, 70.0, 0.25, folder=tmp_path)
    (version,) = _register(store, [[best], [rest]], knee=0)
    assert (version.name, version.version) == ("safr-planted", "1")
    expected = {
        "study": "s1",
        "uid": "s1-1",
        "trial": "0",
        "dataset": "planted",
        "preset": "masked",
        "saturated": "false",
        "front": "0",
        "lambda_imp": repr(0.01 / 3),
        "accuracy": "80.5",
        "srs_30": repr(1 / 3),
        "sha256": best.checkpoint.sha256 if best.checkpoint else None,
    }
    assert {key: version.tags[key] for key in expected} == expected
    assert version.run_id is not None
    assert store.client.get_run(version.run_id).data.tags["safr.trial"] == "0"
    assert list_models(store) == [version]


def test_what_is_pulled_is_what_was_registered(store: Store, tmp_path: Path) -> None:
    trials = [complete_trial(n, 80.0 - n, 10.0 + n, folder=tmp_path / "c") for n in range(3)]
    _register(store, [trials], knee=1)
    for number, spec in enumerate(
        ["safr-planted@best-accuracy", "models:/safr-planted@s1-knee", "safr-planted/3"]
    ):
        folder = pull(store, spec, tmp_path / "pulled" / str(number))
        card = (folder / "README.md").read_text("utf-8")
        assert card.startswith("# safr-planted: imp=")
        assert _files(folder, without="README.md") == _files(tmp_path / "c" / str(number))
    assert [path.name for path in sorted((tmp_path / "pulled").iterdir())] == ["0", "1", "2"]


def test_a_name_alone_is_its_knee_or_else_its_newest_version(store: Store, tmp_path: Path) -> None:
    trials = [complete_trial(n, 80.0 - n, 10.0 + n, folder=tmp_path) for n in range(3)]
    _register(store, [trials])
    assert find_model(store, "safr-planted").version == "3"
    _register(store, [trials], knee=1)
    assert find_model(store, "safr-planted").tags["trial"] == "1"


def test_a_front_has_the_alias_of_its_knee_or_of_its_compromise(
    store: Store, tmp_path: Path
) -> None:
    trials = [complete_trial(n, 80.0 - n, 10.0 + n, folder=tmp_path) for n in range(3)]
    _register(store, [trials], knee=1)
    _register(store, [trials], compromise=2)
    aliases = {alias for version in list_models(store) for alias in version.aliases}
    assert aliases == _roles("s1-", "compromise") | _roles("", "compromise")
    assert find_model(store, "safr-planted").tags["trial"] == "2"
    with pytest.raises(BadInput, match=r"has no '@knee'; there is .*@compromise"):
        find_model(store, "safr-planted@knee")
    # The bare ones of another study: the kind that its front does not have goes too.
    (other,) = _register(
        store, [[complete_trial(0, 90.0, 30.0, folder=tmp_path / "o")]], knee=0, study="s2",
        promote=True,
    )  # fmt: skip
    bare = {a for v in list_models(store) for a in v.aliases if not a.startswith(("s1-", "s2-"))}
    assert bare == _roles()
    assert find_model(store, "safr-planted") == replace(other, aliases=other.aliases)


def test_no_alias_points_to_a_model_that_beats_nothing(store: Store, tmp_path: Path) -> None:
    plain = complete_trial(0, 80.0, 10.0, folder=tmp_path, baseline="no-vmask")
    worse = complete_trial(1, 79.0, 9.0, folder=tmp_path)
    _register(store, [[plain], [worse]], compromise=0)
    assert _aliases(store) == {"1": set()}
    card = pull(store, "safr-planted/1", tmp_path / "pulled") / "README.md"
    assert "No trial beats the baselines" in card.read_text("utf-8")
    better = complete_trial(2, 81.0, 11.0, folder=tmp_path)
    _register(store, [[better], [plain], [worse]], compromise=2)
    assert _aliases(store) == {
        "1": set(),
        "2": _roles("s1-", "compromise") | _roles("", "compromise"),
    }
    card = pull(store, "safr-planted@compromise", tmp_path / "better") / "README.md"
    text = card.read_text("utf-8")
    assert "It is the front's compromise, the member whose worst scaled objective is best" in text
    assert "models:/safr-planted@compromise" in text
    assert "@knee" not in text


def test_an_empty_folder_is_filled_and_a_full_one_is_refused(store: Store, tmp_path: Path) -> None:
    _register(store, [[complete_trial(0, 80.0, 10.0, folder=tmp_path / "c")]])
    empty = tmp_path / "empty"
    empty.mkdir()
    assert pull(store, "safr-planted", empty) == empty
    with pytest.raises(BadInput, match="not empty"):
        pull(store, "safr-planted", empty)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="not empty"):
        pull(store, "safr-planted", tmp_path / "file")
    with pytest.raises(BadInput, match="cannot be written"):
        pull(store, "safr-planted", tmp_path / "file" / "below")


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json", "README.md"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_artifact_is_refused_and_leaves_nothing(
    store: Store, tmp_path: Path, file: str, damage: str
) -> None:
    (version,) = _register(store, [[complete_trial(0, 80.0, 10.0, folder=tmp_path / "c")]])
    (artifact,) = _artifacts(store, version).rglob(file)
    if damage == "changed":
        content = artifact.read_bytes()
        artifact.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        artifact.unlink()
    with pytest.raises(CorruptCheckpoint) as caught:
        pull(store, "safr-planted", tmp_path / "out" / "model")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../weights.safetensors", "/tmp/weights.safetensors", "a/../b", "a//b", "..", "a/", ""]
)
def test_a_file_list_that_leads_out_of_the_folder_is_refused(
    store: Store, tmp_path: Path, name: str
) -> None:
    (version,) = _register(store, [[complete_trial(0, 80.0, 10.0, folder=tmp_path / "c")]])
    files = {"weights.safetensors": version.tags["sha256"], name: version.tags["sha256"]}
    store.client.set_model_version_tag(
        version.name, version.version, "safr.files", json.dumps(files)
    )
    with pytest.raises(CorruptCheckpoint, match="readable list"):
        pull(store, "safr-planted", tmp_path / "out" / "model")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_the_trials_are_not_registered(store: Store, tmp_path: Path) -> None:
    trial = complete_trial(0, 80.0, 10.0, folder=tmp_path)
    (tmp_path / "0" / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(CorruptCheckpoint, match="other weights"):
        _register(store, [[trial]])
    assert list_models(store) == []
    (tmp_path / "0" / "weights.safetensors").unlink()
    with pytest.raises(CorruptCheckpoint, match="safetensors"):
        _register(store, [[trial]])


def test_an_unknown_model_alias_or_version_lists_what_there_is(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="none is registered"):
        find_model(store, "safr-planted")
    _register(store, [[complete_trial(0, 80.0, 10.0, folder=tmp_path)]])
    with pytest.raises(BadInput, match="there is safr-planted"):
        find_model(store, "safr-other")
    for spec in ("safr-planted@nobody", "safr-planted/7"):
        with pytest.raises(BadInput, match=r"there is @best-accuracy, @best-srs, .*/1$"):
            find_model(store, spec)
    for spec in ("", "a/b/c", "safr-planted@", "safr-planted/x"):
        with pytest.raises(BadInput, match="names no model"):
            find_model(store, spec)


def test_registering_again_makes_no_second_version(store: Store, tmp_path: Path) -> None:
    trials = [complete_trial(n, 80.0 - n, 10.0 + n, folder=tmp_path) for n in range(2)]
    first = _register(store, [trials], knee=0)
    assert _register(store, [trials], knee=0) == first
    assert len(list_models(store)) == 2


def test_a_version_needs_its_checkpoint_once_only(store: Store, tmp_path: Path) -> None:
    trial = complete_trial(0, 80.0, 10.0, folder=tmp_path)
    _register(store, [[trial]])
    freed = complete_trial(0, 80.0, 10.0)
    assert len(_register(store, [[freed]])) == 1
    with pytest.raises(BadInput, match="no checkpoint"):
        _register(store, [[complete_trial(1, 81.0, 11.0)]])


def test_a_study_that_went_on_moves_its_aliases_and_fronts(store: Store, tmp_path: Path) -> None:
    old = complete_trial(0, 70.0, 5.0, folder=tmp_path)
    new = complete_trial(1, 80.0, 10.0, folder=tmp_path)
    _register(store, [[old]], knee=0)
    _register(store, [[new], [old]], knee=1)
    by_trial = {version.tags["trial"]: version for version in list_models(store)}
    assert by_trial["0"].aliases == ()
    assert by_trial["0"].tags["front"] == "1"
    assert set(by_trial["1"].aliases) == _roles("s1-") | _roles()


def test_the_bare_aliases_stay_with_the_first_study_until_another_is_promoted(
    store: Store, tmp_path: Path
) -> None:
    _register(store, [[complete_trial(0, 70.0, 5.0, folder=tmp_path / "1")]], knee=0)
    second = complete_trial(0, 80.0, 10.0, folder=tmp_path / "2")
    _register(store, [[second]], knee=0, study="s2")
    assert _aliases(store) == {"1": _roles("s1-") | _roles(), "2": _roles("s2-")}
    _register(store, [[second]], knee=0, study="s2", promote=True)
    assert _aliases(store) == {"1": _roles("s1-"), "2": _roles("s2-") | _roles()}


def test_another_data_set_has_bare_aliases_of_its_own(store: Store, tmp_path: Path) -> None:
    trial = complete_trial(0, 70.0, 5.0, folder=tmp_path)
    for dataset in ("planted", "planted:redundant"):
        _register(store, [[trial]], knee=0, dataset=dataset, uid=dataset)
    names = [model_name("planted"), model_name("planted:redundant")]
    assert names == ["safr-planted", "safr-planted-redundant"]
    assert [version.name for version in list_models(store)] == names
    assert all(_roles() <= set(version.aliases) for version in list_models(store))


def test_a_saturated_trial_is_neither_knee_nor_best_srs(store: Store, tmp_path: Path) -> None:
    collapsed = complete_trial(0, 90.0, 40.0, folder=tmp_path, saturated=True)
    sound = complete_trial(1, 80.0, 10.0, folder=tmp_path)
    _register(store, [[collapsed, sound]], knee=0)
    assert find_model(store, "safr-planted@best-accuracy").tags["trial"] == "0"
    assert find_model(store, "safr-planted@best-accuracy").tags["saturated"] == "true"
    assert find_model(store, "safr-planted@best-srs").tags["trial"] == "1"
    with pytest.raises(BadInput):
        find_model(store, "safr-planted@knee")


def test_an_alias_that_nobody_deserves_any_more_goes(store: Store, tmp_path: Path) -> None:
    sound = complete_trial(0, 80.0, 10.0, folder=tmp_path)
    _register(store, [[sound]], knee=0)
    collapsed = complete_trial(1, 90.0, 40.0, folder=tmp_path, saturated=True)
    _register(store, [[collapsed], [sound]])
    assert _aliases(store) == {"1": set(), "2": {"best-accuracy", "s1-best-accuracy"}}


def test_the_best_is_taken_on_the_axis_of_its_objective(store: Store, tmp_path: Path) -> None:
    spec = study_spec(objectives=[{"name": "srs_excess@10"}, {"name": "accuracy"}])
    low = replace(complete_trial(0, 70.0, 30.0, folder=tmp_path), values=(30.0, 70.0))
    high = replace(complete_trial(1, 90.0, 10.0, folder=tmp_path), values=(10.0, 90.0))
    result = ranked_study(spec, [[low, high]])
    _track(store, result, spec)
    register_front(store, result, uid="s1-1", spec=spec)
    assert find_model(store, "safr-planted@best-srs").tags["trial"] == "0"
    assert find_model(store, "safr-planted@best-accuracy").tags["trial"] == "1"
    assert find_model(store, "safr-planted@best-srs").tags["srs_excess_10"] == "30.0"


@pytest.mark.parametrize("study", ["v1", "latest", "a.b_c-1", "2024.01"])
def test_every_study_name_makes_aliases_that_mlflow_takes(
    store: Store, tmp_path: Path, study: str
) -> None:
    trial = complete_trial(0, 80.0, 10.0, folder=tmp_path)
    _register(store, [[trial]], knee=0, study=study)
    assert find_model(store, f"safr-planted@{study.replace('.', '-')}-knee").version == "1"


def test_studies_whose_aliases_would_meet_keep_their_own(store: Store, tmp_path: Path) -> None:
    for number, study in enumerate(("a.b", "a-b", "a.b", "a-b")):
        trial = complete_trial(number, 80.0, 10.0, folder=tmp_path)
        _register(store, [[trial]], knee=number, study=study, uid=study)
    aliases = _aliases(store)
    assert aliases["3"] == _roles("a-b-") | _roles()
    prefix = "a-b-" + next(a for a in aliases["4"] if a.endswith("-knee")).split("-")[2] + "-"
    assert aliases["4"] == _roles(prefix)
    assert aliases["1"] == aliases["2"] == set()


def test_studies_of_one_name_in_two_homes_keep_their_own_aliases(
    store: Store, tmp_path: Path
) -> None:
    for number, uid in enumerate(("s1-1", "s1-2", "s1-1", "s1-2")):
        best = complete_trial(number, 80.0 + number, 10.0, folder=tmp_path)
        _register(store, [[best]], knee=number, uid=uid)
    aliases = _aliases(store)
    # The first study's, which it has moved to its second version.
    assert aliases["3"] == _roles("s1-") | _roles()
    prefix = next(a for a in aliases["4"] if a.endswith("-knee")).removesuffix("knee")
    assert prefix.startswith("s1-")
    assert len(prefix) > len("s1-")
    assert aliases["4"] == _roles(prefix)
    assert find_model(store, "safr-planted@s1-knee").tags["uid"] == "s1-1"


def test_a_study_that_is_begun_afresh_takes_over_its_aliases(store: Store, tmp_path: Path) -> None:
    first = complete_trial(0, 80.0, 10.0, folder=tmp_path)
    _register(store, [[first]], knee=0)
    again = complete_trial(1, 70.0, 9.0, folder=tmp_path)
    _register(store, [[again]], knee=1, uid="s1-2", earlier=("s1-1",))
    assert _aliases(store) == {"1": _roles(), "2": _roles("s1-")}


def _delete_versions(store: Store) -> None:
    for version in list_models(store):
        store.client.delete_model_version(version.name, version.version)


def _delete_logged_models(store: Store) -> None:
    experiment = store.client.get_experiment_by_name("safr/planted")
    for model in store.client.search_logged_models([experiment.experiment_id]):
        store.client.delete_logged_model(model.model_id)
    _delete_versions(store)


DELETIONS: dict[str, Callable[[Store], object]] = {
    "a version": lambda store: store.client.delete_model_version("safr-planted", "1"),
    "all versions": _delete_versions,
    "the model": lambda store: store.client.delete_registered_model("safr-planted"),
    "the logged models too": _delete_logged_models,
}


@pytest.mark.parametrize("what", DELETIONS)
def test_what_was_deleted_in_mlflows_page_is_registered_anew(
    store: Store, tmp_path: Path, what: str
) -> None:
    trials = [complete_trial(n, 80.0 - n, 10.0 + n, folder=tmp_path / "c") for n in range(2)]
    before = _register(store, [trials], knee=0)
    DELETIONS[what](store)
    after = _register(store, [trials], knee=0)
    assert [one.tags["trial"] for one in after] == [one.tags["trial"] for one in before]
    assert [one.aliases for one in after] == [one.aliases for one in before]
    folder = pull(store, "safr-planted@s1-knee", tmp_path / "pulled")
    assert _files(folder, without="README.md") == _files(tmp_path / "c" / "0")
    # Nothing is made twice.
    assert _register(store, [trials], knee=0) == after


def _register(
    store: Store,
    fronts: list[list[TrialRecord]],
    *,
    knee: int | None = None,
    compromise: int | None = None,
    study: str = "s1",
    dataset: str = "planted",
    uid: str | None = None,
    promote: bool = False,
    earlier: Sequence[str] = (),
) -> Sequence[RegisteredModel]:
    spec = study_spec(study, dataset)
    result = ranked_study(spec, fronts, knee=knee, compromise=compromise)
    _track(store, result, spec, uid)
    uid = uid or f"{study}-1"
    return register_front(store, result, uid=uid, spec=spec, promote=promote, earlier=earlier)


def _track(store: Store, result: StudyResult, spec: object, uid: str | None = None) -> None:
    writer = writer_of(store, spec, uid)
    writer.start()
    assert writer.finish(StudyEnd(result)) is None


def _roles(prefix: str = "", choice: str = "knee") -> set[str]:
    return {f"{prefix}{role}" for role in (choice, "best-accuracy", "best-srs")}


def _aliases(store: Store) -> dict[str, set[str]]:
    return {version.version: set(version.aliases) for version in list_models(store)}


def _artifacts(store: Store, version: RegisteredModel) -> Path:
    place = store.client.get_model_version_download_uri(version.name, version.version)
    return Path(urlsplit(place).path)


def _files(folder: Path, without: str = "") -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != without}
