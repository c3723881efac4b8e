"""Names of labels as lines of limited width, for the axes of figures.

A Chinese letter is as wide as two others.
"""

import re
from unicodedata import east_asian_width


def in_lines(label: str, width: int, lines: int) -> str:
    r"""The label in at most ``lines`` lines of at most ``width`` letters; "…" marks a cut.

    Lines end after words; a word also ends at a sign such as ``_``, and before a capital within it.
    A longer word is broken.

    >>> in_lines("customer_service complaint", 10, 3)
    'customer_\nservice\ncomplaint'
    >>> in_lines("customer_service complaint", 10, 1)
    'customer…'
    """
    found = _broken(label, width)
    if len(found) > lines:
        last = found[lines - 1].rstrip("_")
        while _width(last) >= width:
            last = last[:-1]
        found = [*found[: lines - 1], f"{last}…"]
    return "\n".join(found)


def fits(label: str, width: int, lines: int) -> bool:
    """Whether the whole label fits, with no broken word.

    >>> fits("lost_luggage", 10, 2), fits("customer", 5, 2)
    (True, False)
    """
    return len(_broken(label, width)) <= lines and all(
        _width(word.rstrip()) <= width for word in _words(label)
    )


def _words(label: str) -> list[str]:
    """Parts of the label between which a line may end, in order and with their blanks."""
    wide_apart = "".join(f"\0{sign}\0" if _width(sign) == 2 else sign for sign in label)
    marked = re.sub(r"(?<=[_\-/.:|\s])(?=\w)|(?<=[a-z])(?=[A-Z])", "\0", wide_apart)
    return [word for word in marked.split("\0") if word]


def _broken(label: str, width: int) -> list[str]:
    """The label in lines, of any number."""
    found = [""]
    for word in _words(label):
        if found[-1] and _width(found[-1] + word.rstrip()) > width:
            found.append("")
        for sign in word:
            if found[-1] and _width(found[-1] + sign.rstrip()) > width:
                found.append("")
            found[-1] += sign
    return [line.strip() for line in found if line.strip()] or [""]


def _width(text: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
