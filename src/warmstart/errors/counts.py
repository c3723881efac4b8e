"""Numbers in sentences: ``1 row has``, ``2 rows have``. For all messages, not only for errors."""


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun.

    Args:
        count: the number.
        one: the noun for 1.
        many: the noun for all other numbers; by default with an s.

    >>> counted(1, "row"), counted(1200, "row"), counted(0, "query", "queries")
    ('1 row', '1,200 rows', '0 queries')
    """
    return f"{count:,} {form(count, one, many or one + 's')}"


def form(count: int, one: str, many: str) -> str:
    """The form of a word, for example of a verb, that agrees with a number.

    Args:
        count: the number.
        one: the form for 1.
        many: the form for all other numbers.

    >>> form(1, "has", "have"), form(2, "has", "have")
    ('has', 'have')
    """
    return one if count == 1 else many


def percentage(share: float) -> str:
    """A share as a percentage with one decimal; a very small one is not shown as 0.

    >>> percentage(0.0), percentage(0.0002), percentage(0.123)
    ('0.0%', 'less than 0.1%', '12.3%')
    """
    return "less than 0.1%" if 0 < share < 0.0005 else f"{share:.1%}"
