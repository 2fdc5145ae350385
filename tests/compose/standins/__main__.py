"""Build the missing stand-in images, and print the variables of docker-compose.yml that select them.

python -m tests.compose.standins >standins.env

debootstrap needs root. Machines that can pull the official images do not need stand-ins.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.real.jars import resolve_jars

HERE = Path(__file__).parent
RELEASE = "bookworm"
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
APT_SETTINGS = Path("/etc/apt/apt.conf.d")
PREFIX = "labelstream-standin"
VARIABLES = {
    "python": "STACK_PYTHON_IMAGE",
    "redis": "STACK_REDIS_IMAGE",
    "prometheus": "STACK_PROMETHEUS_IMAGE",
    "kafka": "STACK_KAFKA_IMAGE",
}


def main() -> None:
    """Build the missing images, and print the variable of each image."""
    base = image("base")
    if not exists(base):
        report(f"{base}: debootstrap {RELEASE}")
        with tempfile.TemporaryDirectory() as folder:
            pack_base(Path(folder))
            build(base, Path(folder), "base")
    for name, variable in VARIABLES.items():
        if not exists(image(name)):
            report(image(name))
            with tempfile.TemporaryDirectory() as folder:
                if name == "kafka":
                    copy_kafka(Path(folder))
                build(image(name), Path(folder), name, f"BASE={base}")
        print(f"{variable}={image(name)}")


def image(name: str) -> str:
    """Return the name of a stand-in."""
    return f"{PREFIX}/{name}:{RELEASE}"


def exists(name: str) -> bool:
    """Return whether the engine has the image."""
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0


def pack_base(folder: Path) -> None:
    """Write a minimal Debian into FOLDER/root.tar, with this machine's certificates and apt settings."""
    root = folder / "root"
    subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, str(root)],
        check=True,
        stdout=sys.stderr,
    )
    if TRUSTED.is_file():
        shutil.copy(TRUSTED, root / str(TRUSTED).lstrip("/"))
    if APT_SETTINGS.is_dir():
        shutil.copytree(APT_SETTINGS, root / str(APT_SETTINGS).lstrip("/"), dirs_exist_ok=True)
    subprocess.run(["tar", "-C", str(root), "-cf", str(folder / "root.tar"), "."], check=True)
    shutil.rmtree(root)


def copy_kafka(folder: Path) -> None:
    """Copy the jars of tests/kafka/pom.xml and the start script into a build context."""
    (folder / "libs").mkdir()
    for jar in resolve_jars(report):
        shutil.copy(jar, folder / "libs")
    shutil.copy(HERE / "kafka-run", folder)


def build(name: str, context: Path, recipe: str, *arguments: str) -> None:
    """Build an image on the host's network, because a bridge network may not reach Debian's mirrors."""
    options = [word for argument in arguments for word in ("--build-arg", argument)]
    file = HERE / f"{recipe}.Dockerfile"
    subprocess.run(
        ["docker", "build", "--network", "host", "-q", "-t", name, "-f", str(file), *options, str(context)],
        check=True,
        stdout=sys.stderr,
    )


def report(line: str) -> None:
    """Print progress to stderr; stdout has the variables only."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
