"""A picture inside an HTML page: its ids apart from those of others, its marks named."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(svg: str, *, name: str, label: str, titles: Mapping[str, str | list[str]]) -> str:
    """An SVG element ready to stand in HTML beside others.

    Every id gets the prefix ``NAME:``. A mark whose id has a title shows it when pointed at.

    Args:
        svg: an SVG element; what it holds is trusted, its texts are escaped.
        name: of the picture.
        label: what a screen reader says of it.
        titles: a sentence by the id of a mark, or one for each path of a group.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        title = titles.get(element.get("id", ""))
        if isinstance(title, str):
            _set_title(element, title)
        elif title is not None:
            for path, sentence in zip(element.iter(f"{{{_SVG}}}path"), title, strict=True):
                _set_title(path, sentence)
        _prefix_ids(element, name)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    return ET.tostring(root, encoding="unicode")


def _set_title(mark: ET.Element, sentence: str) -> None:
    title = ET.Element(f"{{{_SVG}}}title")
    title.text = sentence
    mark.insert(0, title)


def _prefix_ids(element: ET.Element, name: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}:{value}")
        elif key in ("href", f"{{{_XLINK}}}href") and value.startswith("#"):
            element.set(key, f"#{name}:{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(rf"url(#{name}:\1)", value))
