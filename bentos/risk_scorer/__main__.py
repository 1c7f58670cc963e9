"""`python -m bentos.risk_scorer serve`: the lean server. Its settings are environment variables; --help lists them.

`python -m bentos.risk_scorer score` reads events from standard input, a JSON object of features a line, and writes what
it would have answered to each: `[score, decision]`, or `null` for one that it would have refused.

Exit codes: 0 ended when asked to; 2 wrong settings; 3 a model file is missing or wrong; 4 locked for another
environment; 5 the self-test failed; 6 the port can't be listened on; 7 another process uses the spool.
"""

import logging
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import ValidationError

from . import batch, identity, scorer
from .errors import ScorerError
from .process import serve
from .settings import Settings

_USAGE_ERROR = 2


def score(settings: Settings) -> None:
    """Score standard input. Raises ScorerError when the model can't be loaded."""
    loaded = scorer.load(settings.model_dir, identity.tag(identity.content_version(model=settings.model_dir)))
    for answer in batch.answers(loaded, sys.stdin):
        sys.stdout.write(f"{answer}\n")


_COMMANDS: Final[dict[str, Callable[[Settings], None]]] = {"serve": serve, "score": score}


def usage() -> str:
    """The help text: the commands, the exit codes, and every setting with its default."""
    lines = [__doc__ or ""]
    for name, info in Settings.model_fields.items():
        text = f"{info.description} Default: {info.default}."
        lines += [f"SCORER_{name.upper()}", textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    ")]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Run the command; the process's exit code."""
    command = _COMMANDS.get(arguments[0]) if len(arguments) == 1 else None
    if command is None:
        asked = bool({"-h", "--help"} & set(arguments))
        (sys.stdout if asked else sys.stderr).write(f"{usage()}\n")
        return 0 if asked else _USAGE_ERROR
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        command(Settings())
    except ValidationError as error:
        problems = (f"SCORER_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return _USAGE_ERROR
    except ScorerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
