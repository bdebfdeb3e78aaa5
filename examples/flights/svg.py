"""Just enough SVG to draw charts: elements as escaped text, colours and scales."""

from collections.abc import Sequence
from html import escape

HEAT = ((255, 246, 224), (254, 217, 142), (253, 166, 84), (226, 94, 54), (151, 29, 48))
"""From a light delay to a heavy one; light to dark as well, so that it reads without colour."""


def element(tag: str, *children: str, **attributes: str | float) -> str:
    """Return an element. Attribute names use _ for -, and a trailing _ is dropped (`class_`).

    Attribute values are escaped; children are taken to be markup already.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"' for name, value in attributes.items()
    )
    return f"<{tag}{written}>{''.join(children)}</{tag}>"


def text(content: str, *, x: float, y: float, class_: str = "label", anchor: str = "start") -> str:
    """Return a line of text at a place."""
    return element("text", escape(content), x=x, y=y, class_=class_, text_anchor=anchor)


def tooltip(content: str) -> str:
    """Return what a browser shows when the pointer rests on the element around it."""
    return element("title", escape(content))


def drawing(*children: str, width: float, height: float, title: str) -> str:
    """Return the whole drawing; it scales with the page, and `title` is read to those who cannot see it."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        aria_label=title,
        xmlns="http://www.w3.org/2000/svg",
    )


def heat(share: float) -> str:
    """Return the colour of a share from 0 to 1; what lies outside gets the colour of the nearer end."""
    position = min(max(share, 0.0), 1.0) * (len(HEAT) - 1)
    below = min(int(position), len(HEAT) - 2)
    part = position - below
    red, green, blue = (
        round(low + (high - low) * part) for low, high in zip(HEAT[below], HEAT[below + 1], strict=True)
    )
    return f"rgb({red} {green} {blue})"


def ticks(highest: float, *, at_most: int = 6) -> Sequence[float]:
    """Return round numbers from 0 to the first that is not below `highest`, few enough for an axis."""
    steps = (step * scale for scale in (1, 10, 100, 1000) for step in (1, 2, 5))
    step = next(step for step in steps if highest / step <= at_most - 1)
    count = int(-(-highest // step))
    return [step * number for number in range(count + 1)]


def _value(value: str | float) -> str:
    return escape(value, quote=True) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
