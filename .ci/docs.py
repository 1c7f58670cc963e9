"""Writes the generated tables of the READMEs, between their markers; `--check` only says which are stale (exit code 1).

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`, and comes from the code that it describes.
"""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic_core import PydanticUndefined

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.settings import Settings
from training import datasets, model_card, synthesize, train

ROOT = Path(__file__).parents[1]


def settings() -> str:
    """Every setting of a scorer process."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, info in Settings.model_fields.items():
        default = "" if info.default in (None, PydanticUndefined) else f"`{_shown(info.default)}`"
        lines.append(f"| `SCORER_{name.upper()}` | {default} | {info.description} |")
    return "\n".join(lines)


def event() -> str:
    """Every feature of the event."""
    lines = ["| field | | range | watched for drift | meaning |", "|---|---|---|---|---|"]
    for field in FEATURES:
        values = ", ".join(field.categories) or f"{_bound(field.low)} to {_bound(field.high)}"
        needed = "required" if field.required else "optional"
        watched = "yes" if field.watch else "no"
        lines.append(f"| `{field.name}` | {needed} | {values} | {watched} | {field.description} |")
    return "\n".join(lines)


def example() -> str:
    """The figures of one model, trained on invented events that everybody can make again."""
    data = datasets.from_frame(synthesize.realistic(60_000, seed=1, end=datetime(2026, 11, 1, tzinfo=UTC)))
    return model_card.tables(train.train(data, train.TrainOptions()).evaluation).replace("### ", "#### ").rstrip()


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:,.0f}"


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("bentos/README.md", "settings"): settings,
    ("bentos/README.md", "event"): event,
    ("MODEL_CARD.md", "example"): example,
}


def _shown(value: object) -> object:
    """A default as a reader of the docs knows it: no path of the machine that wrote them."""
    return value.relative_to(ROOT) if isinstance(value, Path) and value.is_absolute() else value


def with_table(text: str, name: str, table: str) -> str:
    """The text with what stands between the markers replaced. Raises ValueError where there is not one such pair."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    made, count = pattern.subn(lambda match: f"{match[1]}{table}\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"expected one pair of markers <!-- {name} --> and <!-- /{name} -->, found {count}")
    return made


def main(*, check: bool) -> int:
    """Write the tables, or say which are stale."""
    stale = []
    for (path, name), table in TABLES.items():
        file = ROOT / path
        text = file.read_text(encoding="utf-8")
        fresh = with_table(text, name, table())
        if fresh != text:
            stale.append(f"{path}: the table '{name}' is stale; run `make docs`")
            if not check:
                file.write_text(fresh, encoding="utf-8")
    if check:
        sys.stderr.write("".join(f"{line}\n" for line in stale))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
