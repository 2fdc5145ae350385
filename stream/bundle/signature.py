"""Signatures of bundles: Ed25519 over the bytes of the manifest, whose digests cover all files that are read.

The signature file holds the 64 bytes of the signature, so that OpenSSL can create and check it too. Only the
optional library `cryptography` computes signatures, and it is imported on use.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stream.bundle.fields import MANIFEST_FILE, SIGNATURE_FILE
from stream.bundle.files import open_regular
from stream.errors import BundleError, UsageError, install_hint
from stream.output_files import write_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 64 * 2**10
MAKE_KEYS = (
    "make a key pair: openssl genpkey -algorithm ed25519 -out private.pem; "
    "openssl pkey -in private.pem -pubout -out public.pem"
)


def write_signature(folder: Path, manifest: bytes, private_key: Path) -> None:
    """Write the signature of a bundle, replacing an earlier one atomically.

    Args:
        folder: the bundle's folder.
        manifest: the bytes of the manifest.
        private_key: the PEM file of an Ed25519 private key without a passphrase.

    Raises:
        UsageError: the key cannot be read, the folder cannot be written, or `cryptography` is not installed.
    """
    signature = _load_private(private_key).sign(manifest)
    write_file(folder / SIGNATURE_FILE, signature, fix="sign it where the store is writable")


def check_signature(folder: Path, manifest: bytes, public_key: Path) -> None:
    """Check that a key has signed a bundle.

    Args:
        folder: the bundle's folder.
        manifest: the bytes of the manifest, as they will be parsed.
        public_key: the PEM file of an Ed25519 public key.

    Raises:
        BundleError: the bundle has no signature, or another key or another manifest was signed.
        UsageError: the key cannot be read, or `cryptography` is not installed.
    """
    key = _load_public(public_key)
    if not os.path.lexists(folder / SIGNATURE_FILE):
        raise BundleError(
            f"the bundle {folder} is not signed",
            cause=f"it has no {SIGNATURE_FILE}, and a signature is required",
            fix=f"sign it: labelstream bundles sign {folder} --key PRIVATE_KEY.pem",
        )
    with open_regular(folder, SIGNATURE_FILE) as file:
        signature = file.read(SIGNATURE_BYTES + 1)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        raise BundleError(
            f"the signature of the bundle {folder} is wrong",
            cause=f"{SIGNATURE_FILE} was not made with the key of {public_key} for this {MANIFEST_FILE}",
            fix="copy the bundle again with its signature, or sign it with the right key",
        ) from None


def _load_private(file: Path) -> "Ed25519PrivateKey":
    pem = _read_key(file)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(pem, password=None)
    except ModuleNotFoundError as exc:
        raise _not_installed(exc) from None
    except Exception as exc:  # noqa: BLE001 - the library raises several kinds for a key that it cannot use
        raise _unusable(file, "an Ed25519 private key", str(exc)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(file, "an Ed25519 private key", f"it is a {type(key).__name__}")
    return key


def _load_public(file: Path) -> "Ed25519PublicKey":
    pem = _read_key(file)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(pem)
    except ModuleNotFoundError as exc:
        raise _not_installed(exc) from None
    except Exception as exc:  # noqa: BLE001 - the library raises several kinds for a key that it cannot use
        raise _unusable(file, "an Ed25519 public key", str(exc)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(file, "an Ed25519 public key", f"it is a {type(key).__name__}")
    return key


def _read_key(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_KEY_BYTES)
    except OSError as exc:
        raise UsageError(
            f"cannot read the key {file}", cause=exc.strerror or str(exc), fix="name a readable PEM file"
        ) from None


def _unusable(file: Path, wanted: str, found: str) -> UsageError:
    return UsageError(
        f"{file} is not {wanted} in PEM form", cause=" ".join(found.split())[:200], fix=MAKE_KEYS
    )


def _not_installed(exc: ModuleNotFoundError) -> UsageError:
    return UsageError(
        "signatures of bundles need packages that are not installed",
        cause=f"the Python module {exc.name} is missing",
        fix=install_hint("cpu", "signing"),
    )
