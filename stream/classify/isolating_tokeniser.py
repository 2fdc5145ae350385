"""A tokenizer that isolates the texts on which it fails, and is loaded again after it has stopped working."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from stream.classify.inputs import ModelInput
from stream.classify.tokenise import Tokens
from stream.classify.windows import Window, WindowPool
from stream.errors import BundleError, Poison, Reason, is_fault_of_record, one_line
from stream.isolation import checked_results, isolate
from stream.runtime import PaddedBatch

PROBE_TEXT = "warm up"


class BatchTokeniser(Protocol):
    """The part of `Tokeniser` that the classifier uses."""

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]: ...
    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> PaddedBatch: ...
    def reload(self) -> None: ...


class EncodedInputs(NamedTuple):
    """The tokens of inputs.

    Attributes:
        encoded: for each input its tokens, or its windows if the bundle splits texts, or `Poison`.
        errors: the type of the error behind each `Poison`; empty if there is none.
    """

    encoded: Sequence[Any]
    errors: Sequence[str]


class IsolatingTokeniser:
    """Tokenizes inputs so that one text cannot make others fail. Only the tokenise thread calls it.

    A text can make the Rust tokenizer panic, which may leave a lock unusable. So after each failure a text
    that is known to work decides whether the failed text or the tokenizer is at fault.
    """

    def __init__(self, tokeniser: BatchTokeniser, windows: WindowPool | None) -> None:
        """
        Args:
            tokeniser: the bundle's tokenizer.
            windows: splits long texts into windows; None if the bundle truncates texts.
        """
        self._tokeniser = tokeniser
        self._windows = windows

    def encode(self, inputs: Sequence[ModelInput]) -> EncodedInputs:
        """Tokenize inputs; the result of an input on which the tokenizer fails is `Poison`.

        Raises:
            BundleError: the tokenizer fails on a text that is known to work, also after it was loaded again.
        """
        errors: list[str] = []

        def on_failure(given: ModelInput, error: BaseException) -> Any:
            encoded = self._encode_again(given, error)
            if isinstance(encoded, Poison):
                errors.append(type(error).__name__)
            return encoded

        return EncodedInputs(isolate(self._encode, inputs, on_failure), errors)

    def encode_known(self, texts: Sequence[str]) -> Sequence[Tokens]:
        """Tokenize texts that must not fail, truncated to the maximum length.

        Raises:
            BundleError: the tokenizer fails on them.
        """
        error = self._error_on(texts)
        if error is not None:
            self._restore()
            error = self._error_on(texts)
        if error is not None:
            raise _stopped(error) from error
        return self._first_windows(texts)

    def _encode(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens] | Sequence[Sequence[Window]]:
        tokens = checked_results(self._tokeniser.encode_inputs(inputs), len(inputs))
        return tokens if self._windows is None else [*map(self._windows.split, tokens)]

    def _encode_again(self, given: ModelInput, error: BaseException) -> Any:
        """Return `Poison` if the input is at fault, or its tokens if a new tokenizer encodes it."""
        if self._restore():
            try:
                return self._encode([given])[0]
            except BaseException as exc:
                if not is_fault_of_record(exc):
                    raise
                self._restore()
        if isinstance(error, Poison):
            return error
        return Poison(Reason.MODEL, "the tokenizer failed on this text")

    def _restore(self) -> bool:
        """Load the tokenizer again if it fails on a known text; return True if it was loaded.

        Raises:
            BundleError: it cannot be loaded, or still fails.
        """
        if self._error_on([PROBE_TEXT]) is None:
            return False
        self._tokeniser.reload()
        error = self._error_on([PROBE_TEXT])
        if error is not None:
            raise _stopped(error) from error
        return True

    def _error_on(self, texts: Sequence[str]) -> BaseException | None:
        try:
            self._first_windows(texts)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            return exc
        return None

    def _first_windows(self, texts: Sequence[str]) -> Sequence[Tokens]:
        tokens = checked_results(self._tokeniser.encode_inputs(texts), len(texts))
        return tokens if self._windows is None else [*map(self._windows.first_window, tokens)]


def _stopped(error: BaseException) -> BundleError:
    # The known texts are not events, so the message of the error holds no text of an event.
    return BundleError(
        "the tokenizer has stopped working",
        cause=f"it fails on a text that is known to work: {one_line(error)}",
        fix="check the bundle: labelstream verify; the worker reads the events again after a restart",
    )
