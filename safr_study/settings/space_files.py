"""Search space files: found by name or path, checked with all faults at once."""

from __future__ import annotations

from collections.abc import Hashable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from safr_study.errors import BadInput, did_you_mean
from safr_study.settings import SearchSpace

MAX_BYTES = 100_000
"""A space file is a page of text; more than this is a mistake."""


def built_in_spaces() -> list[str]:
    """Names of the spaces that come with the package, sorted."""
    files = resources.files("search_spaces").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def find_space(name_or_path: str) -> SearchSpace:
    """The space of this name, or of the YAML file at this path.

    Raises:
        BadInput: there is neither.
        BadInputs: the file's faults, all at once.
    """
    if name_or_path in built_in_spaces():
        text = (resources.files("search_spaces") / f"{name_or_path}.yaml").read_text("utf-8")
        return parse_space(text, where=name_or_path)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise BadInput(
            "space",
            f"{name_or_path!r} is neither a file nor one of {', '.join(built_in_spaces())}"
            + did_you_mean(name_or_path, built_in_spaces()),
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput("space", f"{path} is larger than {MAX_BYTES:,} bytes: not a space file")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("space", f"{path} cannot be read as text ({error})") from error
    return parse_space(text, where=str(path))


def parse_space(text: str, *, where: str) -> SearchSpace:
    """A space from YAML text.

    Args:
        text: the YAML document.
        where: name of its file, for the error.

    Raises:
        BadInput: no YAML mapping.
        BadInputs: the faults of its fields, all at once.
    """
    try:
        values = yaml.load(text, Loader=_PlainLoader)  # a SafeLoader, only stricter
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(where, f"is no valid YAML: {error}; see search_spaces/") from None
    if not isinstance(values, dict):
        raise BadInput(where, "must be a mapping with name and parameters; see search_spaces/")
    return SearchSpace.parse(values, where=where)


class _PlainLoader(yaml.SafeLoader):
    """A safe loader that refuses aliases, and keys that are given twice.

    A few lines of aliases can stand for more than any memory holds, and of equal keys PyYAML keeps
    the last.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            anchor = self.peek_event().anchor  # type: ignore[no-untyped-call]
            raise ValueError(f"it has an alias (*{anchor}): write its values out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            line = node.start_mark.line + 1
            raise ValueError(f"{repeated!r} is given twice in the mapping of line {line}")
        return super().construct_mapping(node, deep)
