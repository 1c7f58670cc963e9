import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def docs():
    spec = importlib.util.spec_from_file_location("docs", ROOT / ".ci" / "docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_generated_table_is_stale(docs, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(check=True) == 0, capsys.readouterr().err


def test_a_stale_table_is_replaced_and_the_rest_left_alone(docs) -> None:
    text = "before\n<!-- t -->\nold\n<!-- /t -->\nafter\n"
    assert docs.with_table(text, "t", "new") == "before\n<!-- t -->\nnew\n<!-- /t -->\nafter\n"


def test_a_missing_marker_is_an_error(docs) -> None:
    with pytest.raises(ValueError, match="expected one pair of markers"):
        docs.with_table("no markers", "t", "new")
