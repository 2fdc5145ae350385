"""The example in docs/python-api.md works as documented, in a thread and without ending the process."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from stream.bundle import Bundle, open_bundle
from tests.real.tiny_bundle import save_tiny_base

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "python-api.md").read_text(encoding="utf-8")


def test_the_example_trains_a_bundle_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (example,) = [block for block in examples if "from trainer import" in block]
    # A tiny base model in the place of the default one, and one variant, keep the test short.
    tiny = example.replace('name="tickets"', 'name="tickets", base_model="base", variants="fp32"')
    assert tiny != example
    save_tiny_base(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    # Signal handlers can be set in the main thread only.
    thread = threading.Thread(target=lambda: exec(tiny, names))
    thread.start()
    thread.join()
    assert isinstance(names["bundle"], Bundle)
    assert open_bundle("tickets", tmp_path / "bundles").digest == names["bundle"].digest
