"""Writes the generated tables of the READMEs, between their markers; `--check` only says which are stale (exit code 1).

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`, and comes from the code that it describes.
"""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from bentos.risk_scorer.events import FEATURES
from bentos.risk_scorer.settings import Settings
from k8s.rollout import custom_resource, plan_file, verdict_codes
from k8s.rollout.metrics import Metrics
from k8s.rollout.plan import Plan
from k8s.rollout.settings import Settings as RolloutSettings
from training import datasets, model_card, synthesize, train

ROOT = Path(__file__).parents[1]


def settings() -> str:
    """Every setting of a scorer process."""
    return _settings(Settings)


def rollout_settings() -> str:
    """Every setting of a controller process."""
    return _settings(RolloutSettings)


def _settings(kind: type[BaseSettings]) -> str:
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, info in kind.model_fields.items():
        default = "" if info.default in (None, PydanticUndefined) else f"`{_shown(info.default)}`"
        lines.append(f"| `{kind.model_config.get('env_prefix')}{name.upper()}` | {default} | {info.description} |")
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


def plan() -> str:
    """Every field of a rollout's plan."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {f'`{default}`' if default else ''} | {text} |" for name, default, text in plan_file.rows()
    ]
    return "\n".join(lines)


def rollout_metrics() -> str:
    """Every metric of a controller."""
    lines = ["| metric | labels | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {labels} | {text} |" for name, labels, text in Metrics().described()]
    return "\n".join(lines)


def rollout_codes() -> str:
    """How the commands of a rollout end."""
    lines = ["| code | meaning |", "|---|---|"]
    for line in verdict_codes.EPILOG.splitlines():
        code, _, text = line.strip().partition(" ")
        if code.isdigit():
            lines.append(f"| {code} | {text.strip()} |")
    return "\n".join(lines)


def rollout_status() -> str:
    """A drawing of `status`, as a test holds it."""
    drawn = ROOT / "tests" / "unit" / "drawings" / "canary-120.txt"
    return f"```\n{drawn.read_text(encoding='utf-8').rstrip()}\n```"


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:,.0f}"


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("bentos/README.md", "settings"): settings,
    ("bentos/README.md", "event"): event,
    ("MODEL_CARD.md", "example"): example,
    ("k8s/rollout/README.md", "plan"): plan,
    ("k8s/rollout/README.md", "settings"): rollout_settings,
    ("k8s/rollout/README.md", "metrics"): rollout_metrics,
    ("k8s/rollout/README.md", "codes"): rollout_codes,
    ("k8s/rollout/README.md", "status"): rollout_status,
}

FILES: dict[str, Callable[[], str]] = {
    "k8s/rollout/plan.example.yaml": lambda: plan_file.written(Plan()),
    "k8s/platform/crds/modelrollouts.yaml": custom_resource.written,
}
"""Files that are generated whole."""


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
    for path, content in FILES.items():
        if (ROOT / path).read_text(encoding="utf-8") != content():
            stale.append(f"{path} is stale; run `make docs`")
            if not check:
                (ROOT / path).write_text(content(), encoding="utf-8")
    if check:
        sys.stderr.write("".join(f"{line}\n" for line in stale))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
