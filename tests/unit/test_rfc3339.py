"""Date-times of RFC 3339, after the cases of the JSON Schema test suite (`format: date-time`)."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import COMMON_DATE_TIME, is_rfc3339
from tests.unit.decoding import event
from tests.unit.record_path import record_path

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

VALID = [
    "1963-06-19T08:30:06.283185Z",
    "1963-06-19T08:30:06Z",
    "1937-01-01T12:00:27.87+00:20",
    "1990-12-31T15:59:50.123-08:00",
    "1998-12-31T23:59:60Z",
    "1998-12-31T15:59:60.123-08:00",
    "1999-01-01T00:59:60+01:00",
    "2012-06-30T23:59:60Z",
    "1963-06-19t08:30:06.283185z",
    "2024-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "0000-02-29T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999999-23:59",
    "2026-01-31T00:00:00-00:00",
]
INVALID = [
    "",
    "1990-02-31T15:59:59.123-08:00",
    "1990-12-31T15:59:59-24:00",
    "1990-12-31T15:59:59+99:99",
    "1998-12-31T23:59:61Z",
    "1998-12-31T23:58:60Z",
    "1998-12-31T22:59:60Z",
    "1998-12-30T23:59:60Z",
    "1998-12-31T23:59:60+01:00",
    "1963-06-19T08:30:06.28123+01:00Z",
    "06/19/1963 08:30:06 PST",
    "2013-350T01:01:01",
    "2013-W01-1T00:00:00Z",
    "1963-06-1৪T00:00:00Z",
    "1963-06-11T0৪:00:00Z",
    "1963-06-19 08:30:06Z",
    "1963-06-19",
    "1963-06-19T08:30Z",
    "1963-06-19T08:30:06",
    "1963-06-19T08:30:06.Z",
    "1963-06-19T08:30:06,5Z",
    "1963-06-19T08:30:06+0100",
    "1963-06-19T24:00:00Z",
    "1963-06-19T08:60:00Z",
    "1963-00-19T08:30:06Z",
    "1963-13-19T08:30:06Z",
    "1963-06-00T08:30:06Z",
    "1963-06-31T08:30:06Z",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "+11963-06-19T08:30:06.283185Z",
    "11963-06-19T08:30:06.283185Z",
    "-001-06-19T08:30:06Z",
    "1963-06-19T08:30:06Z\n",
    " 1963-06-19T08:30:06Z",
    "1963-06-19T08:30:06.283185\N{MINUS SIGN}08:00",
    "1963-06-19T08:30:06." + "1" * 5000 + "Z",
]


@pytest.mark.parametrize("time", VALID)
def test_a_date_time_is_copied(time: str) -> None:
    assert is_rfc3339(time)
    assert event(f'{{"text":"hi","time":"{time}"}}'.encode()).time == time
    assert event(f'{{"id":1,"text":"hi","time":"{time}"}}'.encode()).time == time


@pytest.mark.parametrize("time", INVALID)
def test_another_time_is_left_out_and_the_event_labelled(time: str) -> None:
    assert not is_rfc3339(time)
    escaped = time.replace("\n", "\\n")
    assert event(f'{{"text":"hi","time":"{escaped}"}}'.encode()).time is None
    assert event(f'{{"id":1,"text":"hi","time":"{escaped}"}}'.encode()).time is None


@given(
    st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))))
)
def test_every_time_of_the_standard_library_is_valid(moment: datetime) -> None:
    assert is_rfc3339(moment.isoformat())


@given(st.from_regex(COMMON_DATE_TIME))
def test_the_pattern_of_the_fast_path_accepts_only_valid_times(time: str) -> None:
    assert is_rfc3339(time)


DIGIT = st.sampled_from("0123456789")


@given(st.lists(DIGIT, min_size=18, max_size=18))
def test_any_digits_are_valid_or_refused(digits: list[str]) -> None:
    parts = iter(digits)
    time = re.sub("D", lambda _: next(parts), "DDDD-DD-DDTDD:DD:DD+DD:DD")
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        moment = None
    if moment is not None and time[11:13] != "24":
        assert is_rfc3339(time)
    elif time[17:19] != "60" and not time.startswith("0000"):
        assert not is_rfc3339(time)
