"""The fix of a dead letter, by its reason."""

from stream.dlq.letters import StoredLetter
from stream.errors import Reason

REPLAY = "labelstream dlq replay"
EDIT = "labelstream dlq export, edit the file, then labelstream dlq replay --import FILE"
FIXES = {
    Reason.DECODE: f"correct the producer, or set input_format to the format of the value; or {EDIT}",
    Reason.SCHEMA: "set text_field and the other fields of the route if the event has its text elsewhere, "
    f"then {REPLAY}; or correct the producer, and {EDIT}",
    Reason.EMPTY: f"correct the producer; an event without a text has no label; or {EDIT}",
    Reason.TOO_LARGE: "raise max_event_bytes or max_text_chars, or max.message.bytes of the label topic, "
    f"then {REPLAY}",
    Reason.MODEL: "try the text: labelstream predict --explain; correct or roll back the bundle, "
    f"then {REPLAY}",
    Reason.ATTEMPTS: "correct the cause that the message names, then "
    f"{REPLAY} --reason attempts with a larger --max-attempts",
    Reason.QUARANTINED: "correct what made the record stop the worker, then "
    f"{REPLAY}; the event gets another offset, which the setting quarantine does not name",
}
INCOMPLETE = (
    "the dead letter does not hold the whole record: read the original in the input topic, if its retention "
    "has kept it, and produce it again"
)
UNKNOWN = "this version does not know the reason: use the version that wrote the dead letter"
FOREIGN = "no worker wrote this record: check which program writes to the dead-letter topic"


def fix_of(letter: StoredLetter) -> str:
    """Return what an operator does about a dead letter, in one line."""
    if not letter.is_dead_letter:
        return FOREIGN
    if letter.incomplete:
        return INCOMPLETE
    return FIXES[Reason(letter.reason)] if letter.reason in [*Reason] else UNKNOWN
