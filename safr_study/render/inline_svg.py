"""A picture inside an HTML page: its ids apart from those of others, its marks named, themed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from safr_study.figures import canvas
from safr_study.figures.canvas import Chart

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
_FAMILY = re.compile(r"font-family: [^;]*(; )?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_VARIABLES = {
    colour.lower(): f"var(--{name})"
    for name, colour in (
        ("ink", canvas.BLACK),
        ("orange", canvas.ORANGE),
        ("sky", canvas.SKY),
        ("green", canvas.GREEN),
        ("blue", canvas.BLUE),
        ("vermillion", canvas.VERMILLION),
        ("purple", canvas.PURPLE),
        ("paper", canvas.WHITE),
        ("soft", canvas.DARK_GREY),
        ("grey", canvas.GREY),
        ("faint", canvas.LIGHT_GREY),
    )
}
"""Variables of the style sheet for the figures' palette."""
_HALO = "11"
"""Radius of the ring around a marker that is pointed at or focused, in points."""

_LARGEST = 1.6
"""Pixels per point of the figure at most, so that letters are of one size in all charts."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A sentence about something drawn, and its trial."""

    sentence: str | None = None
    """Shown when it is pointed at or focused; the first line is its name; ``None``: nothing."""
    trial: int | None = None
    """Number of its trial: all that is drawn of one lights up together."""
    kind: str = ""
    """More classes of the style sheet."""


def inline_svg(svg: str, *, name: str, label: str, titles: Mapping[str, str | list[str]]) -> Markup:
    """An SVG element for HTML, next to others, in the figure's own colours.

    Every id gets the prefix ``NAME:``. A mark whose id has a title shows it when pointed at.

    Args:
        svg: an SVG element; what it holds is trusted, its texts are escaped.
        name: of the picture.
        label: what a screen reader says of it.
        titles: a sentence by the id of a mark, or one for each path of a group.
    """
    root = _parsed(svg)
    for element in root.iter():
        title = titles.get(element.get("id", ""))
        if isinstance(title, str):
            _set_title(element, title)
        elif title is not None:
            for path, sentence in zip(element.iter("path"), title, strict=True):
                _set_title(path, sentence)
        _prefix_ids(element, name)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    return Markup(ET.tostring(root, encoding="unicode"))


def inline_chart(
    chart: Chart, *, name: str, label: str, marks: Mapping[str, Mark | list[Mark]], place: int = 0
) -> Markup:
    """A chart in the colours of the page, whose marks can be walked with the arrow keys.

    Args:
        chart: from the figures.
        name: class of the style sheet.
        label: what a screen reader says of it.
        marks: by the id of what is drawn, or one for each marker of a group.
        place: of the charts of this name on the page, so that their ids differ.
    """
    root = _parsed(chart.svg)
    for group in [element for element in root.iter() if element.get("id") in marks]:
        mark = marks[group.get("id", "")]
        if isinstance(mark, Mark):
            _set_mark(group, mark)
        else:
            for (parent, use), one in zip(list(_markers(group)), mark, strict=True):
                _set_mark(_wrapped(parent, use), one)
    for element in root.iter():
        _prefix_ids(element, f"{name}{place or ''}")
        _set_theme(element)
    view = root.get("viewBox", "")
    root.attrib = {
        "class": f"chart {name}",
        "viewBox": view,
        "style": f"max-width: {_LARGEST * float(view.split()[2]):.0f}px",
        "role": "group",
        "aria-label": label,
        "data-roving": "",
    }
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))


def legend(chart: Chart, name: str) -> Markup:
    """The chart's signs with what they mean; ``name`` is that of the chart."""
    items = []
    for place, (svg, words) in enumerate(chart.legend):
        sign = _parsed(svg)
        for element in sign.iter():
            _prefix_ids(element, f"{name}-sign-{place}")
            _set_theme(element)
        sign.attrib = {"viewBox": sign.get("viewBox", ""), "aria-hidden": "true"}
        drawn = ET.tostring(sign, encoding="unicode", short_empty_elements=False)
        items.append(f"<li>{drawn}{escape(' '.join(words.split()))}</li>")
    return Markup(f'<ul class="legend-marks">{"".join(items)}</ul>')


def _parsed(svg: str) -> ET.Element:
    """The element without namespaces, which HTML knows, and without what a page does not need."""
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        parent.tag = parent.tag.rpartition("}")[2]
        parent.attrib = {
            name.rpartition("}")[2]: _DECIMALS.sub(r"\1", value) if name != "id" else value
            for name, value in parent.attrib.items()
        }
        if parent.get("transform", "").startswith("rotate(-0 "):
            del parent.attrib["transform"]
        parent.text = parent.text and (parent.text if parent.text.strip() else None)
        parent.tail = parent.tail and (parent.tail if parent.tail.strip() else None)
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    return root


def _markers(group: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    """Each marker with the element that holds it."""
    for parent in group.iter():
        yield from ((parent, child) for child in parent if child.tag == "use")


def _wrapped(parent: ET.Element, child: ET.Element) -> ET.Element:
    """A group in the child's place that holds the child alone."""
    group = ET.Element("g")
    parent[list(parent).index(child)] = group
    group.append(child)
    return group


def _set_mark(group: ET.Element, mark: Mark) -> None:
    if mark.trial is not None:
        group.set("data-trial", str(mark.trial))
    if mark.sentence is None:
        if mark.kind:
            group.set("class", mark.kind)
        return
    group.set("class", f"mark {mark.kind}".strip())
    group.set("tabindex", "0")
    group.set("role", "img")
    group.set("aria-label", mark.sentence.replace("\n", "; "))
    use = group.find(".//use")
    if use is not None:
        place = {"cx": use.get("x", ""), "cy": use.get("y", "")}
        group.insert(0, ET.Element("circle", {"class": "halo", "r": _HALO, **place}))
    elif (path := group.find("path")) is not None:
        # A line is wide enough to be pointed at.
        group.insert(0, ET.Element("path", {"class": "reach", "d": path.get("d", "")}))
    _set_title(group, mark.sentence)


def _set_title(mark: ET.Element, sentence: str) -> None:
    title = ET.Element("title")
    title.text = sentence
    mark.insert(0, title)


def _set_theme(element: ET.Element) -> None:
    """Colours of the palette become variables, fonts those of the page."""
    style = element.get("style")
    if style is None:
        return
    style = _COLOUR.sub(lambda found: _VARIABLES.get(found[0], found[0]), style)
    style = _FAMILY.sub("", style)
    element.set("style", style)


def _prefix_ids(element: ET.Element, name: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}:{value}")
        elif key == "href" and value.startswith("#"):
            element.set(key, f"#{name}:{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(rf"url(#{name}:\1)", value))
