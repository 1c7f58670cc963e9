from pathlib import Path

import pytest

from bentos.risk_scorer.errors import SpoolError
from bentos.risk_scorer.spool import Spool

LINES = [b"a\t1\n", b"b\t2\n"]


def test_rows_come_back_whole_and_oldest_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1_000)
    assert spool.add(LINES) == 2
    assert spool.add([b"c\n"]) == 1
    assert spool.oldest() == LINES
    spool.remove_oldest()
    assert spool.oldest() == [b"c\n"]
    assert len(spool) == 1


def test_the_next_process_takes_over_what_was_left_and_not_what_was_half_written(tmp_path: Path) -> None:
    Spool(tmp_path, 1_000).add(LINES)
    (tmp_path / "000000000001.tmp").write_bytes(b"half a r")
    later = Spool(tmp_path, 1_000)
    later.add([b"c\n"])
    assert later.oldest() == LINES
    assert len(later) == 2
    assert not list(tmp_path.glob("*.tmp"))


def test_past_its_limit_it_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    assert spool.add(LINES) == 2
    assert spool.add([b"one too many\n"]) == 0
    spool.remove_oldest()
    assert spool.add([b"fits\n"]) == 1


def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_the_spool_usable(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where a folder should be")
    spool = Spool(tmp_path / "spool", 1_000)
    with pytest.raises(OSError, match="spool"):
        spool.add(LINES)
    assert len(spool) == 0


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    first = Spool(tmp_path, 1_000)
    with pytest.raises(SpoolError, match="SCORER_SPOOL_DIR"):
        Spool(tmp_path, 1_000)
    first.close()
    assert len(Spool(tmp_path, 1_000)) == 0


def test_what_is_no_part_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "abc.rows").write_text("somebody's notes")
    (tmp_path / "000000000007.rows").mkdir()
    spool = Spool(tmp_path, 1_000)
    spool.add(LINES)
    assert spool.oldest() == LINES
    assert (tmp_path / "abc.rows").exists()


def test_a_part_that_was_deleted_behind_its_back_is_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    spool.add(LINES)
    next(tmp_path.glob("*.rows")).unlink()
    spool.remove_oldest()
    assert (len(spool), spool.bytes) == (0, 0)
