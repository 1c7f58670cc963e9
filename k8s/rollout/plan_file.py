"""A plan as a file: read with the line of each mistake, and written with every field's meaning beside it."""

import re
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from k8s.rollout.errors import FileError
from k8s.rollout.plan import ChangeWindow, Plan

_WIDTH: Final = 110
_NUMBER: Final = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$")
_EMPTY_LISTS: Final = {"windows": ChangeWindow()}
"""What an entry of a list looks like whose default has none."""
_WORDS: Final = {"extra_forbidden": "there is no such field; see `vigil rollout plan`"}
"""Mistakes that are said better than by pydantic."""


class _Loader(yaml.SafeLoader):
    """Reads 22:00 as text, which YAML 1.1 takes for the number 1320, and 1e-3 as a number, which it takes for text.

    Yes and no are read as text, which the plan takes where it asks for them: elsewhere they would count as 1 and 0.
    """


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in {"null", "merge"}]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: _number(node.value))


def read(path: Path) -> Plan:
    """The plan in a YAML file; what it leaves out has its default. Raises FileError, naming file and line."""
    try:
        return parsed(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise FileError(f"{path}: can't be read: {reason}") from error


def parsed(text: str, name: str) -> Plan:
    """The plan that a text holds. Raises FileError: each mistake with its line, `name` in front."""
    try:
        node = yaml.compose(text, _Loader)
        _refuse_duplicates(node, name, set())
        values = yaml.load(text, _Loader)  # noqa: S506 - made of the safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FileError(f"{name}:{line}: no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise FileError(f"{name}: no YAML: {error}") from error
    except RecursionError:
        raise FileError(f"{name}: no YAML: it is nested too deeply") from None
    if values is not None and not isinstance(values, dict):
        raise FileError(f"{name}:1: a plan is a mapping of its fields to values; see `vigil rollout plan`")
    try:
        plan = Plan.model_validate(values or {})
    except ValidationError as error:
        raise FileError("\n".join(_problems(error, node, name))) from error
    if plan.contradiction:
        raise FileError(f"{name}:{_line(node, ('labels',))}: labels: {plan.contradiction}")
    return plan


def written(plan: Plan) -> str:
    """A plan as YAML with every field's meaning in a comment above it; reading it again gives the same plan."""
    head = ["# A plan of `vigil rollout start --plan FILE`. What is left out has the value shown in the example."]
    return "\n".join([*head, *_fields(plan, plan.model_dump(mode="json"), ""), ""])


def rows() -> Iterator[tuple[str, str, str]]:
    """Each field of the schema: its path, its default, its meaning."""
    yield from _rows(Plan(), "")


def _rows(model: BaseModel, path: str) -> Iterator[tuple[str, str, str]]:
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        here = f"{path}{name}"
        if isinstance(value, BaseModel):
            yield here, "", info.description or (type(value).__doc__ or "")
            yield from _rows(value, f"{here}.")
        elif name in _EMPTY_LISTS or (isinstance(value, tuple) and isinstance(value[0], BaseModel)):
            yield here, _count(value), info.description or ""
            entries = value or (_EMPTY_LISTS[name],)
            yield from ((f"{here}[].{field}", _all(entries, field), text) for field, text in _meanings(entries[0]))
        else:
            yield here, _shown(value), info.description or ""


def _count(values: tuple[Any, ...]) -> str:
    return f"{len(values)} of them" if values else "none"


def _all(models: tuple[Any, ...], field: str) -> str:
    return ", ".join(_shown(getattr(model, field)) for model in models)


def _meanings(model: BaseModel) -> Iterator[tuple[str, str]]:
    for name, info in type(model).model_fields.items():
        yield name, info.description or ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)


def _fields(model: BaseModel, values: dict[str, Any], indent: str) -> Iterator[str]:
    for name, info in type(model).model_fields.items():
        field, value = getattr(model, name), values[name]
        meaning = info.description or (type(field).__doc__ if isinstance(field, BaseModel) else "")
        yield from (f"{indent}# {line}" for line in _wrapped(meaning or ""))
        if isinstance(field, BaseModel):
            yield f"{indent}{name}:"
            yield from _fields(field, value, indent + "  ")
        elif isinstance(value, list) and value:
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {_flow(each)}" for each in value)
        else:
            yield f"{indent}{name}: {_flow(value)}"


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1_000)
    return text.removesuffix("...\n").strip()


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _problems(error: ValidationError, node: yaml.Node | None, name: str) -> Iterator[str]:
    """One line for each mistake; not for what follows from a mistake further in, as a list without its bad entry."""
    found = error.errors()
    places = [each["loc"] for each in found]
    for each in found:
        place = each["loc"]
        if not any(other[: len(place)] == place and len(other) > len(place) for other in places):
            words = _WORDS.get(each["type"], each["msg"].removeprefix("Value error, "))
            yield f"{name}:{_line(node, place)}: {_path(place)}{words}"


def _refuse_duplicates(node: yaml.Node | None, name: str, done: set[int]) -> None:
    """Raises FileError for a key that stands twice: YAML's readers would silently take the last.

    `done`: the ids of nodes that were looked at. What aliases name again is not looked at again.
    """
    if id(node) in done:
        return
    done.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _refuse_duplicates(entry, name, done)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                raise FileError(f"{name}:{key.start_mark.line + 1}: {key.value} stands there twice; leave one")
            seen.add(str(key.value))
            _refuse_duplicates(value, name, done)


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the deepest part of a location that the text has."""
    line = node.start_mark.line if node else 0
    for part in location:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line + 1


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _path(location: tuple[int | str, ...]) -> str:
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{parts.removeprefix('.')}: " if parts else ""
