import hashlib
import string
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bentos.risk_scorer import features
from bentos.risk_scorer.events import FEATURES, Pseudonym
from training import columns, datasets, synthesize
from training.errors import DataError, NotEnoughDataError

HEADER = "amount,hour,device_risk,velocity_5m,label"
ROW = "10.5,3,1,2,0"
NUMBERS = [field for field in FEATURES if field.kind != "category"]


@pytest.fixture
def read(tmp_path):
    """Reads a CSV of these lines (or these bytes)."""

    def reader(*lines: str, raw: bytes | None = None) -> datasets.Dataset:
        path = tmp_path / "data.csv"
        path.write_bytes(raw if raw is not None else ("\n".join(lines) + "\n").encode())
        return datasets.read(path)

    return reader


def refused(read, *lines, raw=None) -> str:
    with pytest.raises(DataError) as caught:
        read(*lines, raw=raw)
    return str(caught.value)


# --- what is accepted


def test_columns_may_stand_in_any_order(read):
    one = read(HEADER, "10.5,3,1,2,0", "7,4,2,9,1")
    other = read("label,velocity_5m,device_risk,hour,amount", "0,2,1,3,10.5", "1,9,2,4,7")
    assert one.fingerprint() == other.fingerprint()
    assert one.frame["amount"].tolist() == [10.5, 7.0]
    assert one.labels.tolist() == [0, 1]


def test_optional_columns_are_missing_when_absent_and_that_is_noted(read):
    data = read(HEADER, ROW)
    assert data.frame["account_age_days"].isna().all()
    assert data.frame["channel"].isna().all()
    assert np.isnan(data.matrix()[0, features.COLUMNS.index("channel")])
    assert any("account_age_days and channel" in note for note in data.notes)


@pytest.mark.parametrize("cell", ["", "NA", "n/a", "NaN", "null", "None", " "])
def test_an_empty_or_na_cell_is_a_missing_value(read, cell):
    data = read(HEADER, f"{cell},3,1,2,0")
    assert np.isnan(data.frame["amount"][0])


@pytest.mark.parametrize(("cell", "value"), [("3.0", 3), (" 3 ", 3), ("3e0", 3), ("+3", 3)])
def test_whole_numbers_may_be_written_in_other_ways(read, cell, value):
    assert read(HEADER, f"1,{cell},1,2,1.0").frame["hour"][0] == value


def test_numbers_are_read_to_the_last_bit(read):
    texts = ["0.1", "123456.789012345", "1e-7", "47.98000000000001"]
    assert read(HEADER, *(f"{text},3,1,2,0" for text in texts)).frame["amount"].tolist() == [float(t) for t in texts]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(read):
    data = read(raw=b"\xef\xbb\xbf" + f"{HEADER}\r\n{ROW}\r\n".encode())
    assert data.frame["amount"].tolist() == [10.5]


def test_quoted_names_and_cells_are_fine(read):
    assert read('"amount","hour","device_risk","velocity_5m","label"', '"10.5","3","1","2","0"').labels.tolist() == [0]


def test_columns_that_are_not_known_are_ignored_and_noted(read):
    data = read(f"{HEADER},colour", f"{ROW},red")
    assert "colour" not in data.frame
    assert any("colour" in note for note in data.notes)


def test_parquet_of_anyone_is_read(tmp_path):
    frame = pd.DataFrame(
        {
            "label": [True, False],
            "amount": np.array([1.5, np.nan], dtype=np.float32),
            "hour": pd.array([3, None], dtype="Int8"),
            "device_risk": pd.Categorical(["1", "2"]),
            "velocity_5m": [1.0, 2.0],
            "channel": pd.Categorical(["online", None], categories=["online"]),
            "entity_id": [12.0, np.nan],
            "event_id": [1, 2],
            "occurred_at": pd.to_datetime(["2026-01-02T03:00:00", "2026-01-02T04:00:00"]),
        }
    )
    frame.to_parquet(tmp_path / "data.parquet")
    data = datasets.read(tmp_path / "data.parquet")
    assert data.labels.tolist() == [1, 0]
    assert data.frame["channel"].tolist() == ["online", None]
    assert data.frame["device_risk"].tolist() == [1.0, 2.0]
    assert data.frame["entity_id"].tolist() == ["12", None]
    assert data.frame["event_id"].tolist() == ["1", "2"]
    assert data.span() == ("2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z")
    assert any("UTC" in note for note in data.notes)


# --- times


def test_times_become_utc(read):
    data = read(f"occurred_at,{HEADER}", f"2026-01-01T02:00:00+02:00,{ROW}", f"2026-01-01T00:00:01.5Z,{ROW}")
    assert data.times.tolist() == [datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 1, 500_000)]  # noqa: DTZ001
    assert not any("UTC" in note for note in data.notes)


@pytest.mark.parametrize("time", ["2026-01-01 02:00:00", "2026-01-01"])
def test_a_time_without_an_offset_is_taken_as_utc_and_noted(read, time):
    data = read(f"occurred_at,{HEADER}", f"{time},{ROW}")
    assert str(data.times[0]).startswith("2026-01-01T0")
    assert any("taken as UTC" in note for note in data.notes)


@pytest.mark.parametrize("time", ["yesterday", "01.02.2026", "1700000000", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused(read, time):
    message = refused(read, f"occurred_at,{HEADER}", f"{time},{ROW}")
    assert f"row 1, column occurred_at: '{time}' is not a time" in message


def test_times_for_some_rows_only_are_refused(read):
    message = refused(read, f"occurred_at,{HEADER}", f"2026-01-01T00:00:00Z,{ROW}", f",{ROW}")
    assert "1 of 2 rows have no occurred_at" in message


def test_no_times_at_all_is_noted(read):
    for data in (read(HEADER, ROW), read(f"occurred_at,{HEADER}", f",{ROW}")):
        assert not data.has_times
        assert data.span() is None
        assert any("no occurred_at" in note for note in data.notes)


def test_numbers_in_a_parquet_column_of_times_are_refused(tmp_path):
    frame = synthesize.plain(10, 1, datetime(2026, 1, 1, tzinfo=UTC)).assign(occurred_at=1_700_000_000)
    frame.to_parquet(tmp_path / "data.parquet")
    with pytest.raises(DataError, match="is not a time"):
        datasets.read(tmp_path / "data.parquet")


# --- identifiers


def test_odd_entity_ids_become_stable_pseudonyms(read):
    lines = [f"entity_id,{HEADER}", f"Jörg Müller,{ROW}", f"e-1,{ROW}", f"Jörg Müller,{ROW}", f"4111111111111111,{ROW}"]
    data = read(*lines)
    names = data.frame["entity_id"].tolist()
    assert names[0] == names[2] == "h-" + hashlib.sha256("Jörg Müller".encode()).hexdigest()[:16]
    assert names[1] == "e-1"
    assert "4111" not in names[3]
    TypeAdapter(list[Pseudonym]).validate_python(names)
    assert any(note.startswith("2 entity ids") for note in data.notes)
    assert read(*lines).frame["entity_id"].tolist() == names


def test_absent_entity_ids_make_each_row_its_own_group(read):
    data = read(f"entity_id,{HEADER}", f"a,{ROW}", f",{ROW}", f",{ROW}", f"a,{ROW}")
    codes = data.entity_codes.tolist()
    assert codes[0] == codes[3]
    assert len(set(codes)) == 3


def test_absent_event_ids_are_made_up(read):
    data = read(f"event_id,{HEADER}", f"a,{ROW}", f",{ROW}")
    assert data.frame["event_id"].tolist() == ["a", "row-2"]
    assert any("1 rows had no event_id" in note for note in data.notes)


@pytest.mark.parametrize("ids", [("a", "a"), ("ü", "ü"), ("row-2", "")])
def test_a_repeated_event_id_is_refused(read, ids):
    assert "repeat an event_id" in refused(read, f"event_id,{HEADER}", *(f"{name},{ROW}" for name in ids))


@example(names=["a" * 64, "a" * 65, "1" * 15])
@given(st.lists(st.one_of(st.none(), st.text(max_size=80)), min_size=1, max_size=20))
def test_pseudonyms_always_fit_and_keep_names_apart(names):
    named, _ = columns.pseudonyms(np.array(names, dtype=object))
    known = [name for name in named if name is not None]
    TypeAdapter(list[Pseudonym]).validate_python(known)
    assert [name is None for name in named] == [name is None for name in names]
    assert len(set(known)) == len({name for name in names if name is not None})


# --- cells that can't be used


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_each_numbers_range_comes_from_the_event(read, field):
    names = [*(each.name for each in NUMBERS), "label"]
    good = dict.fromkeys(names, "0")
    for bound, step, words in ((field.low, -1, "is below"), (field.high, 1, "is above")):
        edge, beyond = f"{bound:.0f}", f"{bound + step:.0f}"
        read(",".join(names), ",".join((good | {field.name: edge}).values()))
        message = refused(read, ",".join(names), ",".join((good | {field.name: beyond}).values()))
        assert f"row 1, column {field.name}: '{beyond}' {words} {bound:.10g}" in message


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("abc,3,1,2,0", "column amount: 'abc' is not a number"),
        ("1_0,3,1,2,0", "column amount: '1_0' is not a number"),
        ("inf,3,1,2,0", "column amount: 'inf' is above"),
        ("1,3.5,1,2,0", "column hour: '3.5' is not a whole number"),
        ("1,3,1,2,", "column label: the value is missing"),
        ("1,3,1,2,2", "column label: '2' is neither 0 nor 1"),
        ("1,3,1,2,yes", "column label: 'yes' is neither 0 nor 1"),
        ("1,3,1,2,0.5", "column label: '0.5' is neither 0 nor 1"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(read, row, part):
    message = refused(read, HEADER, ROW, row)
    assert f"1 value can't be used (rows are counted from 1, after the header):\n  row 2, {part}" in message
    assert message.count("row 2") == 1


def test_an_unknown_channel_is_refused_with_the_known_ones(read):
    message = refused(read, f"{HEADER},channel", f"{ROW},fax")
    assert "row 1, column channel: 'fax' is unknown; known are in_store, online" in message


def test_five_examples_are_shown_and_all_are_counted(read):
    message = refused(read, HEADER, *["-1,99,1,2,0"] * 4)
    assert "8 values can't be used" in message
    assert message.count("  row ") == 5
    assert "and 3 more" in message


# --- files that can't be read


def test_a_required_column_that_is_absent_is_named(read):
    message = refused(read, "Amount,hour,device_risk,label", "1,2,1,0")
    assert "required and absent: amount (did you mean Amount?) and velocity_5m; the file has Amount, hour" in message
    assert "A column map (--columns)" in message
    assert "Amount" in message


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_another_delimiter_is_recognised(read, delimiter, name):
    assert name in refused(read, HEADER.replace(",", delimiter), ROW.replace(",", delimiter))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (HEADER.encode() + b"\n1,2,1,0\n", "Expected 5 columns, got 4"),
        (HEADER.encode() + b",entity_id\n10.5,3,1,2,0,\xff\xfe\n", "UTF8"),
        (b"amount\xff,hour\n", "not UTF-8"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"amount,amount\n1,2\n", "more than one column is named 'amount'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(read, raw, words):
    assert words in refused(read, raw=raw)


def test_missing_file_folder_and_other_suffixes_are_refused(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "bad.parquet").write_text("no parquet")
    for name, words in (("none.csv", "no such file"), ("folder.csv", "not a file"), ("bad.parquet", "parquet")):
        with pytest.raises(DataError, match=words):
            datasets.read(tmp_path / name)
    with pytest.raises(DataError, match=r"must end in \.csv or \.parquet"):
        datasets.read(tmp_path / "data.xlsx")


def test_a_header_without_rows_is_not_enough(read):
    with pytest.raises(NotEnoughDataError, match="no rows"):
        read(HEADER)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        datasets.write(pd.DataFrame({"a": [1]}), tmp_path / "none" / "a.csv")
    with pytest.raises(Exception, match="quoting"):
        datasets.write(pd.DataFrame({"a": ["x,y"]}), tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


# --- enough, and cuts


def labelled(rows: int, positives: int) -> datasets.Dataset:
    frame = synthesize.plain(rows, 1, datetime(2026, 1, 1, tzinfo=UTC))
    return datasets.from_frame(frame.assign(label=[1] * positives + [0] * (rows - positives)))


def test_enough_is_500_rows_and_30_of_each_class():
    datasets.require_enough(labelled(500, 30))
    datasets.require_enough(labelled(500, 470))
    for rows, positives, words in (
        (499, 200, "500 rows"),
        (500, 29, "label 1"),
        (500, 471, "label 0"),
        (500, 0, "label 1"),
    ):
        with pytest.raises(NotEnoughDataError, match=words):
            datasets.require_enough(labelled(rows, positives))


def test_the_newest_share_is_split_off_by_time():
    data = labelled(1_000, 500)
    shuffled = data.take(np.random.default_rng(0).permutation(len(data)))
    history, live = datasets.split_newest(shuffled, 0.25)
    assert len(live) == 250
    assert history.times.max() < live.times.min()


def test_without_times_the_share_is_drawn_by_the_seed_and_entities_stay_together():
    frame = synthesize.plain(2_000, 1, datetime(2026, 1, 1, tzinfo=UTC)).drop(columns="occurred_at")
    frame["entity_id"] = [f"e{number % 100}" for number in range(len(frame))]
    data = datasets.from_frame(frame)
    history, live = datasets.split_newest(data, 0.25, seed=1)
    assert len(live) == 500
    assert not set(history.frame["entity_id"]) & set(live.frame["entity_id"])
    again, other = (datasets.split_newest(data, 0.25, seed=seed)[1].fingerprint() for seed in (1, 2))
    assert live.fingerprint() == again != other


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40).map(lambda keys: np.sort(np.array(keys))),
    st.floats(0.05, 0.95),
)
def test_a_boundary_never_cuts_equal_keys(keys, share):
    cut = datasets.boundary(keys, share)
    assert 0 <= cut <= len(keys)
    assert cut in {0, len(keys)} or keys[cut - 1] < keys[cut]


def test_the_fingerprint_sees_each_value(read):
    base = read(f"{HEADER},channel", f"{ROW},online").fingerprint()
    for row in ("10.5,3,1,2,1,online", "10.6,3,1,2,0,online", "10.5,3,1,2,0,phone", "10.5,3,1,2,0,"):
        assert read(f"{HEADER},channel", row).fingerprint() != base
    assert set(base) <= set(string.hexdigits)
