"""The evaluation as a page: whole, self-contained, and with everything that the markdown says."""

import html.parser
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from bentos.risk_scorer.policy import Costs, Policy
from monitoring.evaluation import Floor
from training import datasets, evaluate, evaluation_page, evaluation_report, synthesize
from training.evaluate import Candidate

POLICY = Policy.from_costs(Costs(missed=100, review=46, false_block=150))


@pytest.fixture(scope="module")
def evaluation():
    dataset = datasets.from_frame(synthesize.plain(3_000, 4, datetime(2026, 11, 1, tzinfo=UTC)))
    rng = np.random.default_rng(0)
    scores = [1 / (1 + np.exp(-(3.0 * dataset.labels - 1.5 + rng.normal(0, spread, 3_000)))) for spread in (1, 2.5)]
    good, poor = (Candidate(each, POLICY) for each in scores)
    return evaluate.evaluate(dataset, good, rng=rng, baseline=poor)


class Page(html.parser.HTMLParser):
    """The text of a page, its figures, and what it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.text, self.fetched, self._json, self.figures = [], [], False, {}
        self.feed(text)
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, _, attributes):
        values = dict(attributes)
        self.fetched += [
            values[name] for name in ("src", "href") if name in values and not values[name].startswith("#")
        ]
        self._json = values.get("id") == "figures"

    def handle_data(self, data):
        if self._json:
            self.figures = json.loads(data)
            self._json = False
        elif len(data) < 100_000:
            self.text.append(data)


def test_the_page_has_every_number_of_the_markdown_and_fetches_nothing(evaluation):
    page = Page(evaluation_page.render(evaluation))
    assert page.fetched == []
    say = evaluation_report
    metrics = evaluation.model
    for text in (
        say.summary(evaluation), say.gates(evaluation), say.quality(evaluation), say.decisions(evaluation),
        say.calibration(metrics), say.lift(metrics), say.slices(evaluation.slices), say.floors(evaluation),
        say.data(evaluation),
    ):  # fmt: skip
        assert text in say.render(evaluation)
        rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
        for cell in (cell.strip() for row in rows for cell in row.strip("|").split(" | ")):
            assert cell.lower() in page.words.lower()


def test_each_drawing_has_its_place_and_both_models(evaluation):
    text = evaluation_page.render(evaluation)
    page = Page(text)
    assert set(page.figures) == {"curve", "cost", "calibration", "lift", "slices"}
    for name, figure in page.figures.items():
        assert f'data-figure="{name}"' in text
        names = {trace.get("name") for trace in figure["data"]}
        assert name == "slices" or {"LightGBM", "logistic regression"} <= names
    slices = page.figures["slices"]["data"][0]
    assert len(slices["x"]) == sum(1 for each in evaluation.slices if each.recall is not None)


def test_a_slice_below_its_floor_stands_out(evaluation):
    low = next(each for each in evaluation.slices if each.recall is not None)
    broken = Floor(
        field=low.field, band=low.band, figure="recall", value=low.recall, limit=1.0, held=False, clear=False
    )  # fmt: skip
    figure = Page(evaluation_page.render(evaluation.model_copy(update={"floors": (broken,)}))).figures["slices"]
    assert [trace["name"] for trace in figure["data"]] == ["held or not judged", "below its floor", "whole"]
    assert figure["data"][1]["y"] == [f"{low.field}: {low.band}"]


def test_the_headline_tells_what_failed_and_what_was_forced(evaluation):
    assert evaluation_page.headline(evaluation) == "1 of 4 gates failed"  # these scores are no probabilities
    assert evaluation_page.headline(evaluation.model_copy(update={"forced": True})) == "Forced: 1 of 4 gates failed"
    assert "**Forced.** A person shipped this model although it failed: calibrated." in evaluation_report.render(
        evaluation.model_copy(update={"forced": True})
    )
    good = tuple(gate for gate in evaluation.gates if gate.verdict == "passed")
    assert evaluation_page.headline(evaluation.model_copy(update={"gates": good})) == "All 3 gates passed"


def test_what_comes_from_the_data_is_escaped(evaluation):
    odd = evaluation.model_copy(update={"notes": ("Columns were ignored: <script>alert(1)</script>.",)})
    assert "<script>alert" not in evaluation_page.render(odd)
    assert str(evaluation_page.html("a **b** <i>")) == "<p>a <strong>b</strong> &lt;i&gt;</p>"
