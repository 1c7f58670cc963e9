"""Writes the command `vigil` of this checkout into an environment, by that environment's Python: `.ci/vigil.py`.

A script that names the interpreter, and a .pth file that names the checkout: so it works from any folder, and another
folder's k8s/ is not taken for ours.
"""

import shlex
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write(python: Path, packages: Path, root: Path = ROOT) -> Path:
    """The script, beside the interpreter; `packages` is its site-packages."""
    (packages / "vigil-checkout.pth").write_text(f"{root}\n", encoding="utf-8")
    script = python.with_name("vigil")
    # -P: the working directory is no place to import from.
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -P -m k8s.cli "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


if __name__ == "__main__":
    write(Path(sys.executable), Path(sysconfig.get_path("purelib")))
