"""The public interfaces of the packages that worker and trainer share."""

import subprocess
import sys
from importlib import import_module

import pytest

import stream.runtime

PACKAGES = ("stream.bundle", "stream.classify", "stream.runtime", "stream.tables", "stream.verify")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists(package: str) -> None:
    module = import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        stream.runtime.missing  # noqa: B018


def test_importing_a_package_loads_neither_onnx_runtime_nor_redis() -> None:
    heavy = "{'onnxruntime', 'openvino', 'redis', 'torch'}"
    code = f"import sys, {', '.join(PACKAGES)}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
