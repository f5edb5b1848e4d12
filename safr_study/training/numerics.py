"""Device, threads and determinism of a computation."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Constants of malloc.h."""
_KEPT = 2**30
"""Bytes; smaller blocks stay with the process when they are freed."""
_SHIELDED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""Methods of torch's optimisers that it keeps its compiler out of."""
_SHIELD = "__dynamo_disable"
"""Attribute in which torch remembers what such a method becomes."""


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Compute in this thread with so many CPU threads, deterministically, without denormals.

    Saturated attention leaves denormal weights that slow every later product several times.
    Everything is as before afterwards; may be nested.

    Args:
        threads: CPU threads of torch, at least 1; more than the machine has are not taken.
    """
    if torch.cuda.is_available():
        # cuBLAS is deterministic only with this; it is read when CUDA starts, so it stays.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads()
    deterministic = torch.get_deterministic_debug_mode()
    filling: Any = torch.utils.deterministic
    filled = filling.fill_uninitialized_memory
    _keep_freed_memory()
    flushed = sys.float_info.min / 2 == 0.0
    torch.set_num_threads(min(threads, os.cpu_count() or 1))
    torch.set_flush_denormal(True)
    # As use_deterministic_algorithms, which imports torch's compiler to tell it too: a second.
    torch.set_deterministic_debug_mode("error")
    # It would write NaN into every new tensor.
    filling.fill_uninitialized_memory = False
    try:
        with _without_compiler():
            yield
    finally:
        release_memory()
        filling.fill_uninitialized_memory = filled
        torch.set_deterministic_debug_mode(deterministic)
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(before)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Keep the optimisers from importing the compiler, only to say that it must not compile them.

    That takes a second and 80 MB of every process. Nothing is done where it is imported already.
    """
    methods = [
        getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None) for name in _SHIELDED
    ]
    bare = [one for one in methods if one is not None and not hasattr(one, _SHIELD)]
    if "torch._dynamo" in sys.modules:
        bare = []
    for method in bare:
        setattr(method, _SHIELD, method)
    try:
        yield
    finally:
        for method in bare:
            delattr(method, _SHIELD)


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can.

    glibc keeps what lies between the long-lived kernels that oneDNN compiles for each length of
    batch: several GB in an hour on long texts, without a call of this now and then.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


@functools.cache
def _keep_freed_memory() -> None:
    """Let the C library keep what is freed until ``release_memory``, where it can.

    glibc hands large blocks back to the system at once, and each new one costs a page fault per
    4 KB: a fifth of a step. Once for the process, as the former limits cannot be read.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if change is not None:
        change(_M_MMAP_THRESHOLD, _KEPT)
        change(_M_TRIM_THRESHOLD, _KEPT)


def pick_device(gpus: float) -> torch.device:
    """The GPU if the trial has (a share of) one and torch sees it, else the CPU.

    Args:
        gpus: GPUs given to the trial, at least 0; may be a fraction.
    """
    return torch.device("cuda" if gpus > 0 and torch.cuda.is_available() else "cpu")


def limit_gpu_memory(device: torch.device, share: float) -> None:
    """Let this process take at most this share of the GPU's memory; nothing on the CPU.

    Ray's fractional GPUs are bookkeeping only: without a limit one trial can starve the others.

    Args:
        device: of ``pick_device``.
        share: above 0; 1 and more mean no limit.
    """
    if device.type == "cuda" and share < 1:
        # torch takes no device without a number here.
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.set_per_process_memory_fraction(share, index)
