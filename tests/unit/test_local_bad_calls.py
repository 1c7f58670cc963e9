from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s.local.cli import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "--url", "http://[bad", "--amount", "1"],
        ["score", "--url", "http://127.0.0.1:99999", "--amount", "1"],
        ["score", "--url", "ftp://127.0.0.1", "--amount", "1"],
        ["score", "--url", "http://127.0.0.1:1", "--amount", "1", "--entity", "žofie"],
        ["score", "--url", "http://127.0.0.1:1", "--amount", "1", "--entity", "a\r\nx: y"],
        ["up", "--state", "/proc/nope"],
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_code_2(arguments: list[str]) -> None:
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 2, ended.output
    assert ended.output.startswith("error: ")


def test_a_state_folder_that_is_a_file_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert CliRunner().invoke(main, ["up", "--state", str(tmp_path / "state")]).exit_code == 2
