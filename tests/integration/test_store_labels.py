"""Labels come in from files: all of a file, or nothing of it."""

from datetime import UTC, datetime, timedelta

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest

from monitoring import labels
from monitoring.errors import InputError

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def labeller(database):
    with psycopg.connect(database.dsn("labeller")) as connection:
        yield connection


def add(connection, *rows, now=NOW):
    done = labels.add(connection, (labels.Label(*row) for row in rows), now)
    return done.imported, done.duplicates


def stored(connection):
    return connection.execute("select event_id, label, known_at from labels order by event_id, known_at").fetchall()


def test_new_labels_are_added_and_known_ones_are_not_doubled(labeller):
    assert add(labeller, ("a", 1, NOW), ("b", 0, NOW)) == (2, 0)
    assert add(labeller, ("a", 1, NOW), ("c", 1, NOW), ("c", 1, NOW)) == (1, 2)
    assert stored(labeller) == [("a", 1, NOW), ("b", 0, NOW), ("c", 1, NOW)]


def test_without_known_at_the_time_of_the_import_counts_and_a_second_import_adds_nothing(labeller):
    assert add(labeller, ("a", 1, None), ("b", 0, None)) == (2, 0)
    assert add(labeller, ("a", 1, None), ("b", 0, None), now=NOW + HOUR) == (0, 2)
    assert stored(labeller) == [("a", 1, NOW), ("b", 0, NOW)]


def test_a_label_that_changed_is_a_new_row(labeller):
    add(labeller, ("a", 0, None))
    assert add(labeller, ("a", 1, None), now=NOW + HOUR) == (1, 0)
    assert add(labeller, ("a", 0, None), now=NOW + 2 * HOUR) == (1, 0)
    assert [label for _, label, _ in stored(labeller)] == [0, 1, 0]


@pytest.mark.parametrize(
    "rows",
    [
        [("b", 1, NOW), ("a", 0, NOW), ("a", 1, NOW)],
        [("b", 1, None), ("a", 0, None), ("a", 1, None)],
        [("b", 1, NOW), ("known", 0, NOW - HOUR)],
    ],
)
def test_a_contradiction_refuses_the_whole_file(labeller, rows):
    add(labeller, ("known", 1, NOW - HOUR))
    with pytest.raises(InputError, match=r"1 contradictions .* as for (a|known): nothing was imported"):
        add(labeller, *rows)
    assert stored(labeller) == [("known", 1, NOW - HOUR)]


def test_a_bad_row_late_in_a_file_leaves_nothing(labeller, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("event_id,label\na,1\nb,0\nc,2\n")
    with pytest.raises(InputError, match=r"labels\.csv, row 3: label is '2', not 0 or 1"):
        labels.add(labeller, labels.read(file), NOW)
    assert stored(labeller) == []


def test_a_csv_file_may_have_other_columns_any_order_and_a_mark_at_its_start(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(
        "note,label,known_at,event_id\nx,1,2026-03-02T10:00:00Z, a \n,0.0,2026-03-02 12:00:00+02:00,b\n"
        "y,false,2026-03-02T10:00:00,c\nz,1,,d\n",
        encoding="utf-8-sig",
    )
    assert list(labels.read(file)) == [
        labels.Label("a", 1, NOW), labels.Label("b", 0, NOW), labels.Label("c", 0, NOW), labels.Label("d", 1, None),
    ]  # fmt: skip


def test_a_parquet_file_is_read_the_same(tmp_path):
    file = tmp_path / "labels.parquet"
    times = pa.array([NOW, None], pa.timestamp("us", tz="UTC"))
    pyarrow.parquet.write_table(
        pa.table({"label": [1, 0], "event_id": ["a", "b"], "known_at": times, "x": [1, 2]}), file
    )
    assert list(labels.read(file)) == [labels.Label("a", 1, NOW), labels.Label("b", 0, None)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("event_id,label\n", "has no rows"),
        ("", r"lacks event_id and label; its columns are none"),
        ("event,label\na,1\n", "lacks event_id; its columns are event, label"),
        ("event_id,label\n,1\n", "row 1: event_id is empty"),
        ("event_id,label\na,\n", "row 1: label is '', not 0 or 1"),
        ("event_id,label\na\n", "row 1: label is None, not 0 or 1"),
        ("event_id,label,known_at\na,1,yesterday\n", "row 1: known_at is 'yesterday', not a time"),
        ("event_id,label\n\xff,1\n", "can't be read as CSV"),
    ],
)
def test_a_file_that_can_not_be_used_says_why(tmp_path, content, problem):
    file = tmp_path / "labels.csv"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=problem):
        list(labels.read(file))


def test_a_parquet_file_that_is_none_says_so(tmp_path):
    file = tmp_path / "labels.parquet"
    file.write_text("event_id,label\na,1\n")
    with pytest.raises(InputError, match="can't be read as Parquet"):
        list(labels.read(file))
