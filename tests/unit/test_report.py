"""Lines for an operator: one event, one line, readable without a manual."""

import io
from datetime import UTC, datetime

from sedmd.core.job import Job, Outcome
from sedmd.run.event_log import EventLog, figures

NOW = datetime(2019, 6, 12, 4, 28, 2, tzinfo=UTC)
JOB = Job(step="flat", night="20190612", label="flat", inputs={}, outputs={})


def lines(tmp_path=None, *, journal=False, verbose=False, outcome=None, state="done"):
    stream = io.StringIO()
    report = EventLog(clock=lambda: NOW, redux_root=tmp_path, stream=stream, journal=journal, verbose=verbose)
    report.started(JOB)
    report.job(JOB, outcome or Outcome(state="done", figures={"rms_px": 0.0123456, "n": 5}, seconds=2.34), state)
    return stream.getvalue().splitlines()


def test_a_finished_job_is_one_line_with_its_figures():
    (line,) = lines()
    assert " ".join(line.split()) == "2019-06-12 04:28:02 UT 20190612 flat flat done in 2.3 s rms_px=0.01235 n=5"


def test_warnings_and_faults_have_their_level_in_the_journal():
    outcome = Outcome(state="failed", reason="rms too large", warnings=("few lines",), detail="Traceback\n  x")
    error, warning = lines(journal=True, outcome=outcome, state="failed")
    assert error.startswith("<3>") and error.endswith("failed: rms too large")
    assert warning.startswith("<4>") and warning.endswith("warning: few lines")


def test_the_nights_log_has_the_details_too(tmp_path):
    lines(tmp_path, outcome=Outcome(state="failed", reason="r", detail="Traceback\n  x"), state="failed")
    log = (tmp_path / "20190612" / "sedmd.log").read_text().splitlines()
    text = len("2019-06-12 04:28:02 UT  20190612  flat       ") + 45
    assert [line[text:] for line in log] == [
        "begins",
        "failed: r",
        "  | Traceback",
        "  |   x",
    ]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "20190612").write_text("a file where the night should be")
    assert len(lines(tmp_path)) == 1


def test_figures():
    assert figures({"a": 1.0, "b": None, "c": "x y"}) == "a=1 b=None c=x y"
