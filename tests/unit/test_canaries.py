"""Canaries: one for each private or undocumented interface of a library that the package rests on.

A version bound keeps a new release away until ``make canary``, which installs the newest versions
that are allowed, has shown that all of these still hold. Each fails with what changed, which file
uses it, and for what.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

PACKAGE = Path(__file__).resolve().parents[2] / "safr_study"


@dataclass(frozen=True)
class Canary:
    """One interface that its library may change without a word."""

    interface: str
    """Name as its library has it."""
    used_in: str
    """File of the package, relative to it."""
    needle: str
    """Text by which the file uses it: a canary whose use is gone goes too."""
    purpose: str
    holds: Callable[[], bool]


def _source(module: str) -> str:
    """Source of a library's module, for what is there as a text alone."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"no module {module}"
    assert spec.origin is not None, f"{module} is no file"
    return Path(spec.origin).read_text(encoding="utf-8")


def _attribute(module: str, path: str) -> Any:
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _parameters(module: str, path: str) -> list[str]:
    return list(inspect.signature(_attribute(module, path)).parameters)


def _are_named(names: tuple[str, ...], package: str) -> bool:
    """Whether each name, of an environment variable say, is in the sources of a package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    (folder,) = spec.submodule_search_locations or [""]
    missing = set(names)
    for path in sorted(Path(folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8", errors="ignore")
        missing -= {name for name in missing if name in text}
        if not missing:
            break
    return not missing


def _linear_pointwise() -> bool:
    # Absent from builds without oneDNN, where the package does without; its form must not differ.
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return True
    x, weight, bias = torch.rand(32, 16), torch.rand(16, 16), torch.rand(16)
    product = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu", [], "")
    total = torch.ops.mkldnn._linear_pointwise.binary(x, product, weight, None, "add")
    plain = x @ weight.t()
    return torch.allclose(product, (plain + bias).relu()) and torch.allclose(total, plain + product)


def _softmax_backward() -> bool:
    scores = torch.rand(2, 5, dtype=torch.float64, requires_grad=True)
    weights, upstream = torch.softmax(scores, -1), torch.rand(2, 5, dtype=torch.float64)
    (expected,) = torch.autograd.grad(weights, scores, upstream)
    given = torch._softmax_backward_data(upstream, weights.detach(), -1, torch.float64)
    return torch.allclose(given, expected)


def _threshold_backward() -> bool:
    gradient, hidden = torch.rand(6), torch.tensor([0.0, 1.0, 0.0, 2.0, 3.0, 0.0])
    expected = gradient * (hidden > 0)
    torch.ops.aten.threshold_backward.grad_input(gradient, hidden, 0, grad_input=gradient)
    return torch.equal(gradient, expected)


def _tanh_backward() -> bool:
    gradient, output = torch.rand(6), torch.tanh(torch.rand(6))
    given = torch.ops.aten.tanh_backward(gradient, output)
    return torch.allclose(given, gradient * (1 - output**2))


def _sparse_parts() -> bool:
    table = torch.zeros(5, 2, requires_grad=True)
    torch.nn.functional.embedding(torch.tensor([3, 1]), table, sparse=True).sum().backward()
    gradient = table.grad
    assert gradient is not None
    return gradient._indices()[0].tolist() == [3, 1] and gradient._values().tolist() == [[1, 1]] * 2


def _dynamo_shield() -> bool:
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = [getattr(torch.optim.Optimizer, name) for name in names]
    wrapped = [method for method in methods if hasattr(method, "__wrapped__")]
    return len(wrapped) > 0 and "__dynamo_disable" in _source("torch._compile")


def _init_functions_go_through_the_mode() -> bool:
    seen = []

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(getattr(func, "__module__", None))
            return func(*args, **(kwargs or {}))

    with Mode():
        torch.nn.Linear(2, 2)
    return "torch.nn.init" in seen


def _gp_logger() -> bool:
    importlib.import_module("optuna._gp.optim_mixed")
    return "optuna._gp.optim_mixed" in logging.Logger.manager.loggerDict


def _dead_processes() -> bool:
    assert hasattr(_attribute("ray._private.worker", "Worker"), "__init__")
    importlib.import_module("ray._private.worker")
    return "_global_node" in vars(sys.modules["ray._private.worker"]) and callable(
        _attribute("ray._private.node", "Node.dead_processes")
    )


def _pyfunc_flavour() -> bool:
    # Imported by the package's own module, which keeps a warning of MLflow's away.
    importlib.import_module("safr_study.tracking.served")
    model = importlib.import_module("mlflow.pyfunc.model")
    names = [value for name, value in vars(model).items() if name.startswith("CONFIG_KEY_ARTIFACT")]
    code = importlib.import_module("mlflow.pyfunc").MODEL_CODE_PATH
    return sorted(names) == ["artifacts", "path", "uri"] and code == "model_code_path"


def _hub_errors() -> bool:
    error = _attribute("huggingface_hub.errors", "HfHubHTTPError")
    return any(base is not OSError and issubclass(base, Exception) for base in error.__bases__)


TUNE_VARIABLES = (
    "TUNE_DISABLE_STRICT_METRIC_CHECKING",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS",
    "TUNE_DISABLE_SIGINT_HANDLER",
    "TUNE_FORCE_TRIAL_CLEANUP_S",
    "TUNE_RESULT_BUFFER_LENGTH",
    "TUNE_GLOBAL_CHECKPOINT_S",
    "TUNE_PRINT_ALL_TRIAL_ERRORS",
    "RAY_USAGE_STATS_ENABLED",
    "RAY_AIR_NEW_OUTPUT",
    "RAY_CHDIR_TO_TRIAL_DIR",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
)

CANARIES = (
    Canary(
        "optuna.samplers.QMCSampler._find_sample_id",
        "sampling/cube_samplers.py",
        "def _find_sample_id(",
        "Sobol points that a restart does not repeat",
        lambda: (
            _parameters("optuna.samplers", "QMCSampler._find_sample_id")
            == ["self", "study", "search_space"]
        ),
    ),
    Canary(
        "optuna.samplers.NSGAIISampler.get_trial_generation",
        "sampling/cube_samplers.py",
        "def get_trial_generation(",
        "parents that are the best of all trials so far",
        lambda: (
            _parameters("optuna.samplers", "NSGAIISampler.get_trial_generation")
            == ["self", "study", "trial"]
        ),
    ),
    Canary(
        "optuna.samplers.NSGAIISampler.get_population",
        "sampling/cube_samplers.py",
        "def get_population(",
        "parents that are the best of all trials so far",
        lambda: (
            _parameters("optuna.samplers", "NSGAIISampler.get_population")
            == ["self", "study", "generation"]
        ),
    ),
    Canary(
        "the logger optuna._gp.optim_mixed",
        "sampling/cube_samplers.py",
        '"optuna._gp.optim_mixed"',
        "no warning where the model is sure of every point",
        _gp_logger,
    ),
    Canary(
        "optuna.trial.Trial(study, trial_id)",
        "ledger/ledger.py",
        "optuna.trial.Trial(",
        "drawing the rest of a trial that was begun",
        lambda: _parameters("optuna.trial", "Trial") == ["study", "trial_id"],
    ),
    Canary(
        "ray._private.worker.print_to_stdstream",
        "cluster/ray_cluster.py",
        "worker.print_to_stdstream",
        "keeping the errors of Ray's daemons out of standard output",
        lambda: callable(_attribute("ray._private.worker", "print_to_stdstream")),
    ),
    Canary(
        "ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE",
        "runner/driver.py",
        "class_cache.ENV_VARS_TO_PROPAGATE",
        "keys of the environment that stay out of Ray's logs",
        lambda: (
            "AWS_SECRET_ACCESS_KEY" in _source("ray.tune.execution.class_cache")
            and isinstance(
                _attribute("ray.tune.execution.class_cache", "ENV_VARS_TO_PROPAGATE"), set
            )
        ),
    ),
    Canary(
        "ray._private.state.state.get_cluster_config",
        "cluster/",
        "ray._private.state.state.get_cluster_config",
        "the nodes that an autoscaler may start",
        lambda: callable(_attribute("ray._private.state", "state.get_cluster_config")),
    ),
    Canary(
        "ray._private.worker._global_node.dead_processes",
        "cluster/head_watch.py",
        "dead_processes",
        "seeing that the head of a local cluster was killed",
        _dead_processes,
    ),
    Canary(
        "the variables TUNE_* and RAY_*",
        "cluster/ray_cluster.py",
        "TUNE_DISABLE_SIGINT_HANDLER",
        "a clean end by Ctrl-C, listeners on loopback alone, a quiet Ray",
        lambda: _are_named(TUNE_VARIABLES, "ray"),
    ),
    Canary(
        "the variables RAY_JOB_STOP_SIGNAL and RAY_JOB_STOP_WAIT_TIME_S",
        "features/submit.py",
        "RAY_JOB_STOP_SIGNAL",
        "a job that ends cleanly when it is stopped",
        lambda: _are_named(
            ("RAY_JOB_STOP_SIGNAL", "RAY_JOB_STOP_WAIT_TIME_S"), "ray.dashboard.modules.job"
        ),
    ),
    Canary(
        "the loggers of ray.dashboard.modules",
        "cluster/job_server.py",
        "ray.dashboard.modules.dashboard_sdk",
        "a standard output without Ray's notices of uploads",
        lambda: all(
            "logging.getLogger(__name__)" in _source(f"ray.dashboard.modules.{name}")
            for name in ("dashboard_sdk", "job.sdk")
        ),
    ),
    Canary(
        "mlflow.utils.rest_utils.http_request and credentials.get_default_host_creds",
        "tracking/store.py",
        "http_request(",
        "one quick question to a tracking server before any work",
        lambda: (
            {"host_creds", "endpoint", "method"}
            <= set(_parameters("mlflow.utils.rest_utils", "http_request"))
            and _parameters("mlflow.utils.credentials", "get_default_host_creds") == ["store_uri"]
        ),
    ),
    Canary(
        "the text 'Model Version creation error' of MLflow's registry",
        "tracking/versions.py",
        "Model Version creation error",
        "another try where two processes register at once",
        lambda: (
            "Model Version creation error"
            in _source("mlflow.store.model_registry.sqlalchemy_store")
        ),
    ),
    Canary(
        "the tags mlflow.experimentKind, parentRunId and note.content",
        "tracking/",
        "mlflow.experimentKind",
        "the training view of MLflow's page, with nested runs and notes",
        lambda: _are_named(
            ("mlflow.experimentKind", "mlflow.parentRunId", "mlflow.note.content"), "mlflow"
        ),
    ),
    Canary(
        "the tag mlflow.loggedArtifacts",
        "tracking/study_runs.py",
        "mlflow.loggedArtifacts",
        "tables that MLflow's page shows as tables",
        lambda: (
            "mlflow.loggedArtifacts"
            in vars(importlib.import_module("mlflow.utils.mlflow_tags")).values()
        ),
    ),
    Canary(
        "the tag mlflow.modelVersions of logged models",
        "tracking/versions.py",
        "mlflow.modelVersions",
        "links from a logged model to its registered versions",
        lambda: (
            "mlflow.modelVersions"
            in vars(importlib.import_module("mlflow.utils.mlflow_tags")).values()
        ),
    ),
    Canary(
        "the keys model_code_path and artifacts of the python_function flavour",
        "tracking/versions.py",
        'flavour["model_code_path"]',
        "registered models without paths of the machine that made them",
        _pyfunc_flavour,
    ),
    Canary(
        "torch.ops.mkldnn._linear_pointwise",
        "model/kernels/onednn.py",
        "_linear_pointwise",
        "products on processors that are not Intel's, twice as fast",
        _linear_pointwise,
    ),
    Canary(
        "torch._softmax_backward_data",
        "model/",
        "torch._softmax_backward_data",
        "the backward pass of attention",
        _softmax_backward,
    ),
    Canary(
        "aten.threshold_backward.grad_input",
        "model/kernels/onednn.py",
        "threshold_backward.grad_input",
        "the gradient of ReLU in place",
        _threshold_backward,
    ),
    Canary(
        "aten.tanh_backward",
        "model/",
        "tanh_backward",
        "the gradient of VMASK's network",
        _tanh_backward,
    ),
    Canary(
        "torch._fused_adam_",
        "training/adam.py",
        "torch._fused_adam_",
        "Adam's step over all dense parameters in one call",
        lambda: "torch._fused_adam_" in _source("torch.optim.adam"),
    ),
    Canary(
        "Tensor._indices and Tensor._values of sparse gradients",
        "training/",
        "_indices()",
        "the embedding's rows that a batch has touched",
        _sparse_parts,
    ),
    Canary(
        "__dynamo_disable and Optimizer.*.__wrapped__",
        "training/numerics.py",
        "__dynamo_disable",
        "a process without torch's compiler, a second and 80 MB cheaper",
        _dynamo_shield,
    ),
    Canary(
        "torch.utils.deterministic.fill_uninitialized_memory",
        "training/numerics.py",
        "fill_uninitialized_memory",
        "deterministic training that does not fill every new tensor with NaN",
        lambda: isinstance(torch.utils.deterministic.fill_uninitialized_memory, bool),
    ),
    Canary(
        "functions of torch.nn.init in a TorchFunctionMode",
        "checkpoint/model_files.py",
        '"torch.nn.init"',
        "models that are loaded without drawing weights first",
        _init_functions_go_through_the_mode,
    ),
    Canary(
        "datasets.config.HF_HUB_OFFLINE, read at each use",
        "data/library.py",
        "datasets.config.HF_HUB_OFFLINE",
        "a look at the cache that asks no network",
        lambda: "config.HF_HUB_OFFLINE" in _source("datasets.load"),
    ),
    Canary(
        "bases of huggingface_hub.errors.HfHubHTTPError",
        "data/library.py",
        "HfHubHTTPError.__bases__",
        "errors of whichever HTTP library the hub's client has",
        _hub_errors,
    ),
    Canary(
        "huggingface_hub.utils",
        "data/library.py",
        "huggingface_hub.utils",
        "no progress bars but ours",
        lambda: all(
            callable(_attribute("huggingface_hub.utils", name))
            for name in (
                "are_progress_bars_disabled",
                "disable_progress_bars",
                "enable_progress_bars",
            )
        ),
    ),
)
OWN = {"_repr_html_", "_private", "_asdict", "_replace", "_fields", "_exit"}
"""Attributes with an underscore that are public by a convention, or named by the canary of what
is behind them."""


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.interface)
def test_upstream_is_as_it_was(canary: Canary) -> None:
    changed = f"upstream changed {canary.interface}, used in {canary.used_in} for {canary.purpose}"
    try:
        holds = canary.holds()
    except (ImportError, AttributeError, TypeError, AssertionError, RuntimeError) as error:
        pytest.fail(f"{changed} ({error})")
    assert holds, changed


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.interface)
def test_each_canary_has_its_use(canary: Canary) -> None:
    place = PACKAGE / canary.used_in
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    assert any(canary.needle in path.read_text(encoding="utf-8") for path in files)


def test_each_private_attribute_of_a_library_has_a_canary() -> None:
    named = " ".join(canary.interface + canary.needle for canary in CANARIES)
    without = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in _foreign_private(ast.parse(path.read_text(encoding="utf-8")))
        if name not in named
    ]
    assert without == []


def test_a_private_attribute_without_a_canary_is_found() -> None:
    tree = ast.parse("class A:\n    _own = 1\n\nother._own\nself._mine\noptuna._hidden.thing\n")
    assert _foreign_private(tree) == ["_hidden"]


def _foreign_private(tree: ast.Module) -> list[str]:
    """Private attributes that a module uses and nothing in it defines."""
    defined = {
        name
        for node in ast.walk(tree)
        for name in (
            getattr(node, "name", None),
            getattr(node, "id", None)
            if isinstance(getattr(node, "ctx", None), ast.Store)
            else None,
            node.attr
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            else None,
        )
        if name
    }
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in defined | OWN
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
