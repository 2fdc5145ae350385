"""The tokenizer file of a bundle: its load, and a check that the load ends."""

import subprocess
import sys
from signal import Signals
from typing import Any

import tokenizers

from stream.bundle import TOKENIZER_FILE, Bundle
from stream.errors import BundleError, one_line

# The largest vocabularies load in about two seconds on an idle core.
LOAD_TIMEOUT_S = 60.0
MAX_CAUSE_CHARS = 200
_LOAD = """
import sys, tokenizers
loaded = tokenizers.Tokenizer.from_buffer(sys.stdin.buffer.read())
loaded.enable_truncation(int(sys.argv[1]), stride=int(sys.argv[2]))
loaded.encode("a " * 1_000)
"""


def load_tokenizer(bundle: Bundle) -> Any:
    """Load the tokenizer of a bundle from the bytes whose digest is verified.

    Raises:
        BundleError: the file is missing, the library cannot read it, or special tokens fill every row.
    """
    content = bundle.read(TOKENIZER_FILE)
    manifest = bundle.manifest
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(content)
        special = tokenizer.num_special_tokens_to_add(is_pair=manifest.takes_pair)
        tokenizer.encode(*("a", "a") if manifest.takes_pair else ("a",))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:
        # A panic of the Rust library is not an Exception.
        raise _unusable(bundle, one_line(exc)) from exc
    if special >= manifest.max_length:
        raise _unusable(bundle, f"it adds {special} special tokens, and max_length is {manifest.max_length}")
    return tokenizer


def check_tokenizer(bundle: Bundle, timeout_s: float = LOAD_TIMEOUT_S) -> None:
    """Load the tokenizer in a process of its own, which may hang or abort without harm.

    Args:
        bundle: a verified bundle.
        timeout_s: the seconds that the load may take.

    Raises:
        BundleError: the load fails, takes too long, or ends the process.
    """
    windows = bundle.manifest.windows
    # `-P`: a file of the working folder must not replace a library.
    command = [sys.executable, "-P", "-c", _LOAD, str(bundle.manifest.max_length)]
    try:
        done = subprocess.run(
            [*command, str(windows.stride if windows else 0)],
            input=bundle.read(TOKENIZER_FILE),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unusable(bundle, f"it did not load within {timeout_s:g} s") from None
    if done.returncode < 0:
        raise _unusable(bundle, f"the library aborted with {Signals(-done.returncode).name}")
    if done.returncode > 0:
        lines = done.stderr.decode(errors="replace").splitlines() or ["it does not load"]
        raise _unusable(bundle, ascii(lines[-1])[1:-1][:MAX_CAUSE_CHARS])


def _unusable(bundle: Bundle, cause: str) -> BundleError:
    return BundleError(
        f"the tokenizer of {bundle.path} cannot be loaded",
        cause=f"{TOKENIZER_FILE}: {cause}",
        fix="export the bundle again",
    )
