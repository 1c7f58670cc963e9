"""Tables of markdown, aligned for those who read the source, and figures as text."""

from collections.abc import Iterable, Sequence

from monitoring.evaluation import Interval


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its first column is text, the others are figures."""
    cells = [header, *rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]])


def area(each: Interval) -> str:
    """A figure of four decimals with its interval."""
    return f"{each.value:.4f} ({each.low:.4f} to {each.high:.4f})"


def share(each: Interval | None) -> str:
    """A share in percent with its interval; a dash where there is none."""
    return "-" if each is None else f"{each.value:.1%} ({each.low:.1%} to {each.high:.1%})"


def money(each: Interval) -> str:
    """An amount with its interval."""
    return f"{each.value:,.2f} ({each.low:,.2f} to {each.high:,.2f})"
