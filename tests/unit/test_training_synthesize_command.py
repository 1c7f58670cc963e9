"""What `synthesize` may be told, and what it refuses."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from click.testing import CliRunner

from training import cli, synthesize

UNTIL = ("--rows", "2000", "--until", "2026-11-01")


def run(out, *arguments):
    return CliRunner().invoke(cli.main, ["synthesize", *UNTIL, *arguments, "--out", str(out)])


def test_the_realistic_recipe_is_the_default_and_its_drift_begins_on_the_day(tmp_path):
    for name, arguments in (
        ("default.parquet", ()),
        ("realistic.parquet", ("--recipe", "realistic")),
        ("drift.parquet", ("--drift", "amount", "--drift-from", "2026-10-20", "--drift-strength", "3")),
    ):
        done = run(tmp_path / name, *arguments)
        assert done.exit_code == 0, done.stderr
        assert done.stdout == ""
    base, again, moved = (
        pd.read_parquet(tmp_path / name) for name in ("default.parquet", "realistic.parquet", "drift.parquet")
    )
    pd.testing.assert_frame_equal(base, again)
    later = base["occurred_at"] >= datetime(2026, 10, 20, tzinfo=UTC)
    assert (moved["amount"] / base["amount"])[later].median() == pytest.approx(3, rel=0.01)
    pd.testing.assert_frame_equal(moved[~later], base[~later])


def test_plain_is_still_there(tmp_path):
    assert run(tmp_path / "plain.parquet", "--recipe", "plain").exit_code == 0
    plain = synthesize.plain(2_000, 0, datetime(2026, 11, 1, tzinfo=UTC))
    pd.testing.assert_series_equal(pd.read_parquet(tmp_path / "plain.parquet")["amount"], plain["amount"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--drift", "amount"), "--drift needs --drift-from"),
        (("--drift-from", "2026-10-20"), "add --drift"),
        (("--drift-strength", "2"), "add --drift"),
        (("--drift", "weather", "--drift-from", "2026-10-20"), "'weather' is not one of"),
        (("--drift", "device", "--drift-from", "2026-11-01"), "is not in the 42 days before 2026-11-01"),
        (
            ("--drift", "device", "--drift-from", "2026-10-20", "--drift-strength", "1.1"),
            "a share above 0 and at most 1",
        ),
        (("--recipe", "plain", "--drift", "device", "--drift-from", "2026-10-20"), "the recipe plain can't drift"),
    ],
)
def test_options_that_contradict_each_other_are_a_wrong_call(tmp_path, arguments, words):
    refused = run(tmp_path / "a.csv", *arguments)
    assert refused.exit_code == 2
    assert words in " ".join(refused.stderr.split())
    assert list(tmp_path.iterdir()) == []
