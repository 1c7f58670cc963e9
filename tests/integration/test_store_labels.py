"""Labels come in from files: all of a file, or nothing of it."""

from datetime import UTC, datetime, timedelta

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring import label_files, labels
from monitoring.errors import InputError

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def labeller(database):
    with psycopg.connect(database.dsn("labeller")) as connection:
        yield connection


def add(connection, *rows, now=NOW):
    done = labels.add(connection, (labels.Label(*row) for row in rows), now)
    assert done.imported + done.duplicates == len(rows)
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
    with pytest.raises(InputError, match=r"1 contradictions: nothing was imported.*\n(a|known) is 0 and 1, known at"):
        add(labeller, *rows)
    assert stored(labeller) == [("known", 1, NOW - HOUR)]


def test_a_bad_row_late_in_a_file_leaves_nothing(labeller, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("event_id,label\na,1\nb,0\nc,2\n")
    with pytest.raises(InputError, match=r"labels\.csv, line 4: label is '2', not 0 or 1"):
        labels.add(labeller, label_files.read(file), NOW)
    assert stored(labeller) == []


def test_a_csv_file_may_have_other_columns_any_order_and_a_mark_at_its_start(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text(
        "note,label,known_at,event_id\nx,1,2026-03-02T10:00:00Z, a \n,0.0,2026-03-02 12:00:00+02:00,b\n"
        "y,false,2026-03-02T10:00:00,c\nz,1,,d\n",
        encoding="utf-8-sig",
    )
    assert list(label_files.read(file)) == [
        labels.Label("a", 1, NOW), labels.Label("b", 0, NOW), labels.Label("c", 0, NOW), labels.Label("d", 1, None),
    ]  # fmt: skip


def test_a_parquet_file_is_read_the_same(tmp_path):
    file = tmp_path / "labels.parquet"
    times = pa.array([NOW, None], pa.timestamp("us", tz="UTC"))
    pyarrow.parquet.write_table(
        pa.table({"label": [1, 0], "event_id": ["a", "b"], "known_at": times, "x": [1, 2]}), file
    )
    assert list(label_files.read(file)) == [labels.Label("a", 1, NOW), labels.Label("b", 0, None)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("event_id,label\n", "has no rows"),
        ("", r"lacks event_id and label; its columns are none"),
        ("event,label\na,1\n", "lacks event_id; its columns are event, label"),
        ("event_id,label\n,1\n", "line 2: event_id is empty"),
        ("event_id,label\na,\n", "line 2: label is '', not 0 or 1"),
        ("event_id,label\na\n", "line 2: 1 cells, but the header has 2"),
        ("event_id,label,known_at\na,1,yesterday\n", "line 2: known_at is 'yesterday', not a time"),
        ("event_id,label\n\xff,1\n", "can't be read as CSV"),
    ],
)
def test_a_file_that_can_not_be_used_says_why(tmp_path, content, problem):
    file = tmp_path / "labels.csv"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=problem):
        list(label_files.read(file))


def test_a_parquet_file_that_is_none_says_so(tmp_path):
    file = tmp_path / "labels.parquet"
    file.write_text("event_id,label\na,1\n")
    with pytest.raises(InputError, match="can't be read as Parquet"):
        list(label_files.read(file))


def test_every_bad_cell_is_told_with_its_line_and_nothing_of_the_file_is_imported(labeller, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text('event_id,label,known_at\n"a\nb",1,\nb,x,\n,1,\nc,1,soon\nd,1,2030-01-01\n' + "e,2,\n" * 30)
    with pytest.raises(InputError) as told:
        labels.add(labeller, label_files.read(file, latest=NOW), NOW)
    lines = str(told.value).splitlines()
    assert [line.split(": ")[0].rpartition(", ")[2] for line in lines[:4]] == ["line 4", "line 5", "line 6", "line 7"]
    assert "which is still to come" in lines[3]
    assert lines[-1] == "... and 14 more"
    assert stored(labeller) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("event_id,label,label\na,1,1\n", "2 columns called label"),
        ("event_id,label\na,1,2\n", "line 2: 3 cells, but the header has 2"),
        (f"event_id,label\n{'x' * 65},1\n", "at most 64 characters"),
        ('event_id,label\n"a,1\n', "can't be read as CSV"),
    ],
)
def test_a_file_whose_cells_can_not_be_told_apart_is_none(tmp_path, content, problem):
    file = tmp_path / "labels.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=problem):
        list(label_files.read(file))


def test_a_parquet_file_may_have_labels_of_any_plain_type_and_says_the_row_of_a_bad_one(tmp_path):
    file = tmp_path / "labels.parquet"
    for kind, ones in ((pa.float64(), [1.0, 0.0]), (pa.bool_(), [True, False]), (pa.string(), ["1", "false"])):
        pyarrow.parquet.write_table(pa.table({"event_id": [1, 2], "label": pa.array(ones, kind)}), file)
        assert [label.label for label in label_files.read(file)] == [1, 0]
    pyarrow.parquet.write_table(pa.table({"event_id": ["a", "b"], "label": [[1], [0]]}), file)
    with pytest.raises(InputError, match=r"row 2: label is \[0\]"):
        list(label_files.read(file))


def test_a_label_with_its_own_time_is_kept_when_it_says_the_same_again(labeller):
    """Else a correction that is of the time between them, and comes later, would stay in force."""
    assert add(labeller, ("a", 1, NOW), ("a", 1, NOW + 2 * HOUR)) == (2, 0)
    assert add(labeller, ("a", 0, NOW + HOUR)) == (1, 0)
    assert [label for _, label, _ in stored(labeller)] == [1, 0, 1]


def test_corrections_and_events_that_were_never_scored_are_counted(labeller, database):
    with psycopg.connect(database.owner) as owner:
        owner.execute(
            "insert into predictions (request_id, event_id, role, tag, scored_at, status, latency_us) "
            "values ('r', 'known', 'stable', 't', %s, 200, 1)",
            [NOW],
        )
    first = [labels.Label("known", 0, NOW), labels.Label("unknown", 0, NOW), labels.Label("unknown", 1, NOW + HOUR)]
    assert labels.add(labeller, first, NOW) == labels.Imported(3, 1, 0, 1)
    again = [labels.Label("known", 1, NOW + HOUR), labels.Label("known", 0, NOW - HOUR)]
    assert labels.add(labeller, again, NOW) == labels.Imported(2, 1, 0, 0)
    assert labels.add(labeller, again, NOW, look_up=False) == labels.Imported(0, 0, 2, None)


rows_of_a_file = st.lists(
    st.builds(
        labels.Label, st.sampled_from("ab"), st.sampled_from([0, 1]), st.integers(0, 4).map(lambda n: NOW + n * HOUR)
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows_of_a_file, max_size=3))
def test_at_any_time_the_label_in_force_is_the_one_that_the_files_say(labeller, files):
    """Whatever is left out as a duplicate, or refused as a contradiction."""
    with labeller.transaction(force_rollback=True):
        said: dict[tuple[str, datetime], int] = {}
        for file in files:
            try:
                with labeller.transaction():
                    labels.add(labeller, file, NOW)
                    labeller.execute("drop table incoming")
            except InputError:
                together = {(row.event_id, row.known_at, row.label) for row in file} | {
                    (*at, one) for at, one in said.items()
                }
                assert len({row[:2] for row in together}) < len(together)
                continue
            said |= {(row.event_id, row.known_at): row.label for row in file}
        for event in "ab":
            for hours in range(5):
                before = [at for name, at in said if name == event and at <= NOW + hours * HOUR]
                found = labeller.execute(
                    "select label from labels where event_id = %s and known_at <= %s order by known_at desc limit 1",
                    [event, NOW + hours * HOUR],
                ).fetchone()
                assert found == ((said[event, max(before)],) if before else None)
