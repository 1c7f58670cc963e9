"""The identity of a Bento: a version derived from its content, so that the same input gives the same tag.

The version covers the code of this package, its lock file and the model's files: everything that can change an
answer. It is computed when a Bento is built, checked when one is pulled, and computed again when one starts, so a
tag can be neither invented nor kept by something that was altered.
"""

import hashlib
from pathlib import Path
from typing import Final

NAME: Final = "risk_scorer"
CODE: Final = Path(__file__).parent
MODEL: Final = CODE / "model"
LOCK: Final = CODE / "requirements.lock"

_COUNTED: Final = frozenset({".py", ".lock", ".json", ".txt"})


def content_version(code: Path = CODE, model: Path | None = None) -> str:
    """Twelve hexadecimal digits of the SHA-256 over every counted file's path and bytes.

    `code` is a copy of this package, `model` the folder of its model's files (by default `code / "model"`).
    """
    model = code / "model" if model is None else model
    files = {
        path.relative_to(code).as_posix(): path for path in _counted(code) if not path.is_relative_to(code / "model")
    }
    files |= {f"model/{path.relative_to(model).as_posix()}": path for path in _counted(model)}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def tag(version: str) -> str:
    """The one name of a model everywhere: in metrics, rows, answers and annotations."""
    return f"{NAME}:{version}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _counted(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.suffix in _COUNTED and path.is_file() and "__pycache__" not in path.parts
    ]
