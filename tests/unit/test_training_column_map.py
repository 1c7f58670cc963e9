"""Files of strangers, read through a column map."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bentos.risk_scorer.events import FEATURES
from training import cli, column_map, columns, data_files, datasets, mapped_columns
from training.errors import DataError

README = Path(__file__).parents[2] / "training" / "README.md"
PLAIN = "amount,hour,device_risk,velocity_5m,label"
ROW = "10.5,3,1,2,0"


@pytest.fixture
def read(tmp_path):
    """Reads a CSV of these lines through the map of this TOML."""

    def reader(rules: str, *lines: str, encoding: str = "utf-8") -> datasets.Dataset:
        (tmp_path / "data.csv").write_bytes(("\n".join(lines) + "\n").encode(encoding))
        (tmp_path / "map.toml").write_text(rules, encoding="utf-8")
        return datasets.read(tmp_path / "data.csv", column_map.read(tmp_path / "map.toml"))

    return reader


def refused(read, rules, *lines) -> str:
    with pytest.raises(DataError) as caught:
        read(rules, *lines)
    return str(caught.value)


def one(read, rule, cell, name="amount"):
    """The value of a column that is mapped by a rule from one cell of the file's column X."""
    others = [each for each in PLAIN.split(",") if each != name]
    cells = [{"label": "1"}.get(each, "0") for each in others]
    data = read(f"[columns]\n{name} = {rule}", ",".join(["X", *others]), ",".join([f'"{cell}"', *cells]))
    return data.frame[name][0]


# --- what a map can say

GERMAN = """
[file]
delimiter = ";"
encoding = "latin-1"
decimal = ","
thousands = "."
missing = ["?", -1]

[columns]
entity_id = "Kunde"
occurred_at = { from = "Zeit", format = "%d.%m.%Y %H:%M", zone = "Europe/Vienna" }
hour = { derive = "hour", zone = "Europe/Vienna" }
amount = "Beträge"
device_risk = { constant = "" }
velocity_5m = { derive = "velocity" }
account_age_days = "Alter"
channel = { from = "Weg", values = { Filiale = "in_store", Netz = "online" }, otherwise = "" }
label = { from = "Urteil", values = { Betrug = 1, ok = 0 } }
"""
GERMAN_ROWS = (
    "Kunde;Zeit;Beträge;Alter;Weg;Urteil;Notiz",
    "a;01.07.2026 00:30;1.234,50;-1;Netz;ok;x",
    "a;01.07.2026 00:33;99;12,5;Filiale;Betrug;y",
    "b;01.01.2026 00:31;?;2.000;Brieftaube;ok;",
    "a;01.07.2026 00:36;-0;?;?;ok;",
    ";01.07.2026 00:36;1;1;?;ok;",
    ";01.07.2026 00:37;1;1;?;ok;",
)


def test_a_file_in_other_words_signs_units_and_zones_is_understood(tmp_path):
    (tmp_path / "data.csv").write_bytes("\n".join(GERMAN_ROWS).encode("latin-1"))
    (tmp_path / "map.toml").write_text(GERMAN, encoding="utf-8")
    data = datasets.read(tmp_path / "data.csv", column_map.read(tmp_path / "map.toml"))
    frame = data.frame
    np.testing.assert_array_equal(frame["amount"], [1234.5, 99.0, np.nan, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(frame["account_age_days"], [np.nan, 12.5, 2000.0, np.nan, 1.0, 1.0])
    assert frame["channel"].tolist() == ["online", "in_store", None, None, None, None]
    assert data.labels.tolist() == [0, 1, 0, 0, 0, 0]
    assert data.times[:4].astype("datetime64[m]").astype(str).tolist() == [
        *("2026-06-30T22:30", "2026-06-30T22:33", "2025-12-31T23:31", "2026-06-30T22:36"),  # summer: +2, winter: +1
    ]
    assert frame["hour"].tolist() == [0] * 6
    np.testing.assert_array_equal(frame["velocity_5m"], [0, 1, 0, 1, np.nan, np.nan])  # nobody knows whose they are
    assert frame["device_risk"].isna().all()
    assert any("amount from Beträge" in note for note in data.notes)
    assert any(note.startswith("Columns that Vigil does not know were ignored: Notiz") for note in data.notes)


def test_what_has_no_rule_is_read_by_its_own_name_and_a_rule_wins(read):
    data = read('[columns]\namount = "price"', f"{PLAIN},price", f"{ROW},7")
    assert data.frame["amount"][0] == 7
    assert data.frame["hour"][0] == 3


@pytest.mark.parametrize(
    ("rule", "cell", "value"),
    [
        ('"X"', "2.5", 2.5),
        ('{ from = "X", factor = 0.01 }', "1250", 12.5),
        ('{ from = "X", factor = 2 }', "", np.nan),
        ('{ from = "X", decimal = "," }', "2,5", 2.5),
        ('{ from = "X", decimal = "," }', "25", 25),
        ('{ from = "X", decimal = ",", thousands = "." }', "1.234.567,5", 1234567.5),
        ('{ from = "X", decimal = ",", thousands = "." }', "1234,5", 1234.5),
        ('{ from = "X", thousands = "," }', "1,234", 1234),
        ('{ from = "X", thousands = " " }', "1 234.5", 1234.5),
        ('{ from = "X", thousands = "\'" }', "1'234", 1234),
        ('{ from = "X", thousands = "," }', "1e3", 1000),
        ('{ from = "X", decimal = ",", thousands = ".", factor = 0.5 }', "1.000,0", 500),
        ('{ from = "X", missing = ["?", -1] }', "-1", np.nan),
        ('{ from = "X", missing = ["?", -1] }', " ? ", np.nan),
        ('{ from = "X", values = { low = 5, high = 500.5 } }', "high", 500.5),
        ('{ from = "X", values = { low = 5 }, otherwise = 9 }', "middle", 9),
        ('{ from = "X", values = { low = 5 }, otherwise = "" }', "middle", np.nan),
        ('{ from = "X", values = { low = 5 }, otherwise = 9 }', "", np.nan),
        ("{ constant = 3 }", "whatever", 3),
        ('{ constant = "" }', "whatever", np.nan),
    ],
)
def test_numbers_may_be_written_in_many_ways(read, rule, cell, value):
    np.testing.assert_equal(one(read, rule, cell), value)


@pytest.mark.parametrize(
    ("rule", "cell", "value"),
    [
        ('{ from = "X", unit = "s" }', "1700000000", "2023-11-14T22:13:20"),
        ('{ from = "X", unit = "ms" }', "1700000000250", "2023-11-14T22:13:20.250"),
        ('{ from = "X", unit = "us" }', "1.7e15", "2023-11-14T22:13:20"),
        ('{ from = "X", unit = "s", since = 2013-09-01T00:00:00Z }', "86400.5", "2013-09-02T00:00:00.5"),
        ('{ from = "X", unit = "s", since = 2013-09-01T00:00:00+02:00 }', "0", "2013-08-31T22:00:00"),
        ('{ from = "X", format = "%d/%m/%y %H:%M:%S" }', "03/02/26 04:05:06", "2026-02-03T04:05:06"),
        ('{ from = "X", format = "%Y%m%d%H%M%S%z" }', "20260203040506+0100", "2026-02-03T03:05:06"),
        (
            '{ from = "X", format = "%Y%m%d%H%M%S%z", zone = "Asia/Tokyo" }',
            "20260203040506+0100",
            "2026-02-03T03:05:06",
        ),
        ('{ from = "X", zone = "America/New_York" }', "2026-07-01T12:00:00", "2026-07-01T16:00:00"),
        ('{ from = "X", zone = "America/New_York" }', "2026-07-01T12:00:00Z", "2026-07-01T12:00:00"),
        # Clocks go back at 3 o'clock on 2026-10-25 and forward at 2 on 2026-03-29.
        ('{ from = "X", zone = "Europe/Vienna" }', "2026-10-25T02:30:00", "2026-10-25T00:30:00"),
        ('{ from = "X", zone = "Europe/Vienna" }', "2026-03-29T02:30:00", "2026-03-29T01:00:00"),
    ],
)
def test_times_may_be_written_in_many_ways(read, rule, cell, value):
    assert one(read, rule, cell, "occurred_at").tz_localize(None) == pd.Timestamp(value)


def test_parquet_keeps_its_types_through_a_map(tmp_path):
    frame = pd.DataFrame(
        {
            "cents": [1250, -1],
            "at": pd.to_datetime(["2026-07-01T12:00:00", "2026-07-01T13:00:00"]),
            "fraud": [True, False],
            "risk": [1.0, -1.0],
            "velocity_5m": [1, 2],
        }
    )
    frame.to_parquet(tmp_path / "data.parquet")
    (tmp_path / "map.toml").write_text(
        """
        [file]
        decimal = ","
        [columns]
        amount = { from = "cents", factor = 0.01, missing = [-1] }
        occurred_at = { from = "at", zone = "America/New_York" }
        hour = { derive = "hour", zone = "America/New_York" }
        device_risk = { from = "risk", missing = [-1] }
        label = { from = "fraud", values = { true = 1, false = 0 } }
        """
    )
    data = datasets.read(tmp_path / "data.parquet", column_map.read(tmp_path / "map.toml"))
    np.testing.assert_array_equal(data.frame["amount"], [12.5, np.nan])
    np.testing.assert_array_equal(data.frame["device_risk"], [1, np.nan])
    assert data.frame["hour"].tolist() == [12, 13]
    assert data.times[0] == np.datetime64("2026-07-01T16:00:00")
    assert data.labels.tolist() == [1, 0]


def test_utf_16_is_read_when_it_is_said(read):
    data = read('[file]\nencoding = "utf-16"\n[columns]\n', PLAIN, ROW, encoding="utf-16")
    assert data.frame["amount"].tolist() == [10.5]


@given(
    st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 2)), st.sampled_from([",.", ".,", ". ", ",'"])
)
def test_any_number_written_with_separators_is_read_as_itself(value, signs):
    decimal, thousands = signs
    written = f"{value:,.2f}".translate(str.maketrans({",": thousands, ".": decimal}))
    table = data_files.table(pd.DataFrame({"X": [written]}))
    rules = column_map.ColumnMap.model_validate(
        {"columns": {"amount": {"from": "X", "decimal": decimal, "thousands": thousands}}}
    )
    problems = columns.Problems()
    mapped, _ = mapped_columns.mapped(table, rules, "it", problems)
    assert problems.count == 0
    assert float(mapped["amount"][0].as_py()) == value


# --- cells that can't be used: the file's own column, row and cell are named


@pytest.mark.parametrize(
    ("rule", "cell", "words"),
    [
        ('"X"', "abc", "row 1, column X (for amount): 'abc' is not a number"),
        ('"X"', "-5", "row 1, column X (for amount): '-5' is below 0"),
        ('{ from = "X", factor = 0.5 }', "-5", "column X (for amount): '-5', read as -2.5, is below 0"),
        ('{ from = "X", factor = 0.5 }', "x", "column X (for amount): 'x' is not a number"),
        ('{ from = "X", decimal = ",", thousands = "." }', "12.5", "'12.5' is not a number such as 1.234,5"),
        ('{ from = "X", decimal = ",", thousands = "." }', "1.2345", "'1.2345' is not a number such as 1.234,5"),
        ('{ from = "X", decimal = "," }', "12.5", "'12.5' is not a number such as 1234,5"),
        ('{ from = "X", thousands = "," }', "1,23", "'1,23' is not a number such as 1,234.5"),
        ('{ from = "X", thousands = "," }', "1,234x", "'1,234x' is not a number such as"),
        (
            '{ from = "X", values = { a = 1, b = 2 } }',
            "c",
            "'c' is not in the map's values, which are a, b: add it there",
        ),
        ('{ from = "X", values = { a = -1 } }', "a", "column X (for amount): 'a', read as '-1', is below 0"),
    ],
)
def test_a_number_that_cannot_be_used_is_named(read, rule, cell, words):
    with pytest.raises(DataError) as caught:
        one(read, rule, cell)
    assert words in str(caught.value)
    assert "1 value can't be used" in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "cell", "words"),
    [
        ('{ from = "X", unit = "s" }', "now", "'now' is not a number, and unit = 's' says that it is one"),
        ('{ from = "X", unit = "s" }', "1700000000000", "before 1900 or after 2200: is the unit another one?"),
        ('{ from = "X", format = "%d.%m.%Y" }', "2026-01-31", "'2026-01-31' is not a time such as 31.01.2026"),
        ('{ from = "X", zone = "Europe/Vienna" }', "31.1.2026", "is not a time such as 2026-01-31T09:30:00"),
        ('"X"', "31.1.2026", "row 1, column X (for occurred_at): '31.1.2026' is not a time such as"),
    ],
)
def test_a_time_that_cannot_be_used_is_named(read, rule, cell, words):
    with pytest.raises(DataError) as caught:
        one(read, rule, cell, "occurred_at")
    assert words in str(caught.value)
    assert "1 value can't be used" in str(caught.value)


def test_a_category_that_is_unknown_after_the_map_is_shown_as_the_file_has_it(read):
    message = refused(read, '[columns]\nchannel = { from = "c", values = { W = "web" } }', f"{PLAIN},c", f"{ROW},W")
    assert "row 1, column c (for channel): 'W', read as 'web', is unknown; known are in_store, online" in message


# --- maps that can't be used


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("[columns", "is no TOML"),
        ("", "columns: Field required"),
        (
            '[columns]\namuont = "X"',
            "columns: amuont is no column of Vigil's (did you mean amount?); known are event_id",
        ),
        ('[columns]\namount = { fron = "X" }', "columns.amount.fron: unknown key (did you mean from?)"),
        ('[colums]\namount = "X"', "colums: unknown key (did you mean columns?)"),
        ("[file]\nseparator = ';'\n[columns]", "file.separator: unknown key; known are delimiter, encoding, decimal"),
        ("[file]\ndelimiter = ';;'\n[columns]", "file.delimiter"),
        ("[file]\nencoding = 'klingon'\n[columns]", "file.encoding: 'klingon' is no encoding that Python knows"),
        ("[columns]\namount = {}", "columns.amount: needs exactly one of from, constant and derive; has none"),
        ('[columns]\namount = { from = "X", constant = 1 }', "has from and constant"),
        ("[columns]\namount = 5", "columns.amount"),
        ("[columns]\namount = { constant = 1, factor = 2 }", "factor: only for a column that is read `from` the file"),
        ('[columns]\namount = { from = "X", factor = 0 }', "columns.amount.factor: a factor of 0"),
        ('[columns]\namount = { from = "X", factor = inf }', "columns.amount.factor"),
        ('[columns]\namount = { from = "X", factor = "2" }', "columns.amount.factor"),
        ('[columns]\namount = { from = "X", decimal = ";" }', "columns.amount.decimal"),
        ('[columns]\namount = { from = "X", decimal = ",", thousands = "," }', "decimal and thousands are both ','"),
        ('[columns]\namount = { from = "X", format = "%d" }', "columns.amount.format"),
        ('[columns]\namount = { from = "X", unit = "s" }', "amount is a number and can't have unit"),
        ('[columns]\nchannel = { from = "X", factor = 2 }', "channel is a category and can't have factor"),
        ('[columns]\nentity_id = { derive = "velocity" }', "entity_id is a text and can't have derive"),
        ('[columns]\namount = { from = "X", zone = "UTC" }', "amount is a number and can't have zone"),
        ('[columns]\nvelocity_5m = { derive = "velocity", zone = "UTC" }', "zone: only for times and for the hour"),
        ('[columns]\nvelocity_5m = { derive = "speed" }', "columns.velocity_5m.derive: Input should be 'hour' or"),
        ('[columns]\nlabel = { from = "X", otherwise = 0 }', "otherwise needs values"),
        ('[columns]\nlabel = { from = "X", values = { a = 1 }, factor = 2 }', "factor: not together with values"),
        ('[columns]\noccurred_at = { from = "X", format = "%q" }', "columns.occurred_at.format: '%q' can't be read"),
        ('[columns]\noccurred_at = { from = "X", format = "%d.%m. %H:%M" }', "has no year"),
        ('[columns]\noccurred_at = { from = "X", unit = "days" }', "columns.occurred_at.unit"),
        ('[columns]\noccurred_at = { from = "X", unit = "s", zone = "UTC" }', "unit is for numbers"),
        ('[columns]\noccurred_at = { from = "X", since = 2020-01-01T00:00:00Z }', "since needs unit"),
        (
            '[columns]\noccurred_at = { from = "X", unit = "s", since = 2020-01-01T00:00:00 }',
            "columns.occurred_at.since",
        ),
        ('[columns]\noccurred_at = { from = "X", zone = "Mars/Base" }', "'Mars/Base' is no time zone"),
        ('[columns]\noccurred_at = { from = "X", zone = "../etc" }', "'../etc' is no time zone"),
        ('[columns]\namount = "Betrag"', "columns.amount: "),
        ('[columns]\namount = "XX"', "has no column 'XX' (did you mean X?)"),
        ('[columns]\nhour = { derive = "hour" }', "derive = 'hour' needs occurred_at, which neither"),
        ('[columns]\nvelocity_5m = { derive = "velocity" }', "derive = 'velocity' needs entity_id and occurred_at"),
    ],
)
def test_a_map_that_cannot_be_used_says_where_and_why(read, rules, words):
    assert words in refused(read, rules, f"{PLAIN},X", f"{ROW},1")


def test_all_mistakes_of_a_map_are_said_at_once(read):
    message = refused(read, '[columns]\namount = { form = "X" }\nhour = { constant = 1, derive = "hour" }', PLAIN, ROW)
    assert "map.toml: the column map can't be used:\n  columns.amount" in message
    assert "columns.hour" in message


def test_a_map_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.toml: the column map can't be read"):
        column_map.read(tmp_path / "none.toml")


def test_every_column_of_the_event_can_be_mapped():
    assert {field.name for field in FEATURES} < set(column_map.KINDS)


# --- a public card-fraud data set's shape, by the map that the documentation shows


@pytest.fixture
def card_data(tmp_path):
    """A made-up file in the shape of the ULB card data: Time, V1 to V28, Amount, Class; quotes as there."""
    rng = np.random.default_rng(4)
    rows = 3_000
    frame = pd.DataFrame({"Time": np.sort(rng.integers(0, 172_792, rows)).astype(float)})
    label = rng.random(rows) < 0.03
    for number in range(1, 29):
        frame[f"V{number}"] = rng.normal(-3.0 * label if number == 14 else 0.0, 1.0, rows)
    frame["Amount"] = rng.lognormal(3, 1.2, rows).round(2) * np.where(label, 4, 1)
    frame["Class"] = label.astype(int)
    path = tmp_path / "creditcard.csv"
    text = frame.to_csv(index=False).splitlines()
    quoted = [",".join(f'"{name}"' for name in text[0].split(","))]
    path.write_text("\n".join(quoted + [re.sub(r",(\d)$", r',"\1"', line) for line in text[1:]]) + "\n")
    return path


def test_the_map_in_the_documentation_trains_on_card_data(card_data, tmp_path):
    (rules,) = [
        block for block in re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL) if '"Class"' in block
    ]
    (tmp_path / "map.toml").write_text(rules)
    runner, model = CliRunner(), tmp_path / "model"
    arguments = ["--data", str(card_data), "--columns", str(tmp_path / "map.toml")]
    trained = runner.invoke(cli.main, ["train", *arguments, "--out", str(model), "--trees", "20", "--force"])
    assert trained.exit_code == 0, trained.stderr
    assert "ignored: V1, V2" in trained.stderr
    measured = runner.invoke(cli.main, ["evaluate", *arguments, "--model", str(model)])
    assert measured.exit_code == 0, measured.stderr
    data = datasets.read(card_data, column_map.read(tmp_path / "map.toml"))
    assert data.span()[0].startswith("2013-09-01T")
    assert 0 < data.frame["hour"].nunique() <= 24
    assert data.frame["velocity_5m"].isna().all()


def test_a_bad_map_exits_with_3_and_no_traceback(card_data, tmp_path):
    (tmp_path / "map.toml").write_text('[columns]\namount = "Amuont"\n')
    result = CliRunner().invoke(
        cli.main,
        ["train", "--data", str(card_data), "--columns", str(tmp_path / "map.toml"), "--out", str(tmp_path / "model")],
    )
    assert result.exit_code == 3
    assert "has no column 'Amuont' (did you mean Amount?)" in result.stderr


# --- labels that come late


LATE = "occurred_at,label_known_at,reviewed," + PLAIN


def read_late(tmp_path, *rows):
    (tmp_path / "late.csv").write_text("\n".join([LATE, *(f"{row},{ROW}" for row in rows)]) + "\n")
    return datasets.read(tmp_path / "late.csv")


def test_when_a_label_was_known_and_who_looked_is_kept(tmp_path):
    data = read_late(tmp_path, "2026-01-01T00:00Z,2026-01-03T00:00Z,1", "2026-01-01T00:00Z,,")
    assert data.frame["label_known_at"].isna().tolist() == [False, True]
    np.testing.assert_array_equal(data.frame["reviewed"], [1, np.nan])
    assert "Labels were known 2.0 days after the event (median), the last after 2 days." in data.notes
    early = data.known_by(pd.Timestamp("2026-01-02", tz="UTC").to_pydatetime())
    assert early.frame["event_id"].tolist() == ["row-2"]  # no time: taken as known
    assert len(data.known_by(pd.Timestamp("2026-01-03", tz="UTC").to_pydatetime())) == 2


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2026-01-02T00:00Z,2026-01-01T00:00Z,1", "column label_known_at: '2026-01-01T00:00Z' is before the event's"),
        ("2026-01-02T00:00Z,soon,1", "column label_known_at: 'soon' is not a time"),
        ("2026-01-02T00:00Z,,2", "column reviewed: '2' is neither 0 nor 1"),
        ("2026-01-02T00:00Z,,x", "column reviewed: 'x' is neither 0 nor 1"),
    ],
)
def test_what_cannot_be_known_of_a_label_is_refused(tmp_path, row, words):
    with pytest.raises(DataError) as caught:
        read_late(tmp_path, row)
    assert words in str(caught.value)


def test_a_file_without_them_says_nothing_of_late_labels(tmp_path):
    (tmp_path / "plain.csv").write_text(f"{PLAIN}\n{ROW}\n")
    data = datasets.read(tmp_path / "plain.csv")
    assert data.frame[["label_known_at", "reviewed"]].isna().all(axis=None)
    assert not any("Labels were known" in note or "reviewed" in note for note in data.notes)
