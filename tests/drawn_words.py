"""Reads the pictures of an explanation: bars, circles and labels by their ids in the SVG."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from typing import NamedTuple

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

SVG = "{http://www.w3.org/2000/svg}"


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def group(page: ET.Element, gid: str) -> ET.Element:
    [found] = page.findall(f".//*[@id='{gid}']")
    return found


def ids(page: ET.Element, kind: str) -> dict[str, ET.Element]:
    """The groups whose id is ``KIND-NUMBER`` or ``KIND-NUMBER-NUMBER``, by what follows."""
    pattern = re.compile(rf"^{kind}-(\d+(?:-\d+)?)$")
    found = {}
    for element in page.iter():
        match = pattern.match(element.get("id", ""))
        if match:
            found[match[1]] = element
    return found


def box_of(shape: ET.Element) -> Box:
    """The extent of the path of a bar, a circle or a line."""
    path = shape if shape.tag == f"{SVG}path" else shape.find(f"{SVG}path")
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path.get("d"))]
    xs, ys = numbers[::2], numbers[1::2]
    return Box(min(xs), min(ys), max(xs), max(ys))


def style_of(shape: ET.Element) -> dict[str, str]:
    style = shape.find(f"{SVG}path").get("style")
    return dict(re.findall(r"([a-z-]+): ([^;]+)", style))


def label_box(label: ET.Element) -> Box:
    """The extent of a centred text, from its place, font and letters in the SVG."""
    text = label.find(f"{SVG}text")
    style = dict(re.findall(r"([a-z-]+): ([^;]+)", text.get("style")))
    assert style["text-anchor"] == "middle"
    size = float(style["font-size"].removesuffix("px"))
    font = FontProperties(
        family="DejaVu Sans",
        size=size,
        weight=style.get("font-weight", "normal"),
        style=style.get("font-style", "normal"),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        measure = TextToPath().get_text_width_height_descent
        width, height, descent = measure(text.text, font, False)
    x, y = float(text.get("x")), float(text.get("y"))
    return Box(x - width / 2, y - height + descent, x + width / 2, y + descent)


def words_of(page: ET.Element, kind: str) -> dict[int, str]:
    return {
        int(number): "".join(label.itertext()).strip() for number, label in ids(page, kind).items()
    }
