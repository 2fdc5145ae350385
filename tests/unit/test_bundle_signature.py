"""Signatures of bundles: `bundles sign`, `bundles verify` and the check at load."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from typer.testing import CliRunner, Result

from stream.bundle import latest_version, open_bundle
from stream.bundle.fields import MANIFEST_FILE, SIGNATURE_FILE
from stream.commands.bundles import app
from stream.errors import BundleError, UsageError
from stream.observe.metrics import Metrics
from stream.settings import load_settings
from stream.worker.route_model import open_model
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.bad_bundles import GRAPH, member, relist


class Keys(NamedTuple):
    """The PEM files of a key pair."""

    private: Path
    public: Path


def make_keys(folder: Path, name: str = "key", password: bytes | None = None, *, curve: bool = False) -> Keys:
    key = ec.generate_private_key(ec.SECP256R1()) if curve else ed25519.Ed25519PrivateKey.generate()
    keys = Keys(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    keys.private.write_bytes(key.private_bytes(pem, form, encryption))
    keys.public.write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("built")
    for _ in range(2):
        make_bundle_of(BY_NAME["single"], store)
    return store


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "store"))


def run(store: Path, *arguments: object) -> Result:
    result = CliRunner().invoke(
        app, [*map(str, arguments), "--bundle-store", str(store)], standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return result


def test_a_signed_bundle_is_accepted_with_its_key_and_without_one(store: Path, keys: Keys) -> None:
    before = open_bundle("single@1", store).digest
    assert "single@1: signed" in run(store, "sign", "single@1", "--key", keys.private).stdout
    assert "the signature is right" in run(store, "verify", "single@1", "--key", keys.public).stdout
    assert open_bundle("single@1", store, public_key=keys.public).digest == before
    assert open_bundle("single@1", store).digest == before, "the signature is not part of the digest"


def test_the_signature_is_plain_ed25519_over_the_manifest(store: Path, keys: Keys) -> None:
    run(store, "sign", "single@1", "--key", keys.private)
    folder = store / "single" / "1"
    public = serialization.load_pem_public_key(keys.public.read_bytes())
    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify((folder / SIGNATURE_FILE).read_bytes(), (folder / MANIFEST_FILE).read_bytes())


def test_an_unsigned_bundle_is_refused(store: Path, keys: Keys) -> None:
    with pytest.raises(BundleError, match="is not signed") as raised:
        open_bundle("single", store, public_key=keys.public)
    assert "bundles sign" in raised.value.fix


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 63, b"x" * 10_000])
def test_a_wrong_signature_is_refused(signature: bytes, store: Path, keys: Keys) -> None:
    (store / "single" / "2" / SIGNATURE_FILE).write_bytes(signature)
    with pytest.raises(BundleError, match=r"signature .* is wrong"):
        open_bundle("single", store, public_key=keys.public)


def test_the_signature_of_another_key_is_refused(store: Path, keys: Keys, tmp_path: Path) -> None:
    run(store, "sign", "single", "--key", make_keys(tmp_path, "other").private)
    with pytest.raises(BundleError, match=r"signature .* is wrong") as raised:
        run(store, "verify", "single", "--key", keys.public)
    assert str(keys.public) in raised.value.cause


def test_a_change_after_signing_is_refused(store: Path, keys: Keys) -> None:
    run(store, "sign", "single", "--key", keys.private)
    folder = store / "single" / "2"
    (folder / GRAPH).write_bytes((folder / GRAPH).read_bytes() + b"\0")
    with pytest.raises(BundleError, match="was changed"):
        open_bundle("single", store, public_key=keys.public)
    relist(folder)
    with pytest.raises(BundleError, match=r"signature .* is wrong"):
        open_bundle("single", store, public_key=keys.public)


def test_the_signature_of_another_version_is_refused(store: Path, keys: Keys) -> None:
    run(store, "sign", "single@1", "--key", keys.private)
    shutil.copyfile(store / "single" / "1" / SIGNATURE_FILE, store / "single" / "2" / SIGNATURE_FILE)
    with pytest.raises(BundleError, match=r"signature .* is wrong"):
        open_bundle("single@2", store, public_key=keys.public)


def test_a_damaged_bundle_is_not_signed(store: Path, keys: Keys) -> None:
    member("labels", ["a", "b"])(store / "single" / "2")
    with pytest.raises(BundleError, match="does not fit its manifest"):
        run(store, "sign", "single", "--key", keys.private)
    assert not (store / "single" / "2" / SIGNATURE_FILE).exists()


def test_promotion_and_rollback_keep_the_signature(store: Path, keys: Keys) -> None:
    for version in ("single@1", "single@2"):
        run(store, "sign", version, "--key", keys.private)
    run(store, "promote", "single@1")
    run(store, "rollback", "single")
    assert latest_version(store, "single") == "2"
    run(store, "promote", "single@1")
    for spec in ("single", "single@1", "single@2"):
        assert open_bundle(spec, store, public_key=keys.public)


def test_signing_again_replaces_the_signature(store: Path, keys: Keys, tmp_path: Path) -> None:
    run(store, "sign", "single", "--key", make_keys(tmp_path, "other").private)
    run(store, "sign", "single", "--key", keys.private)
    assert open_bundle("single", store, public_key=keys.public)


@pytest.mark.parametrize("what", ["missing", "text", "encrypted", "curve", "public", "folder"])
def test_an_unusable_private_key_is_a_usage_error(what: str, store: Path, tmp_path: Path, keys: Keys) -> None:
    file = {
        "missing": tmp_path / "none.pem",
        "text": tmp_path / "text.pem",
        "encrypted": make_keys(tmp_path, "encrypted", b"secret").private,
        "curve": make_keys(tmp_path, "curve", curve=True).private,
        "public": keys.public,
        "folder": tmp_path,
    }[what]
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(UsageError) as raised:
        run(store, "sign", "single", "--key", file)
    assert str(file) in raised.value.message
    assert raised.value.fix


@pytest.mark.parametrize("what", ["missing", "text", "curve", "private"])
def test_an_unusable_public_key_is_a_usage_error(what: str, store: Path, tmp_path: Path, keys: Keys) -> None:
    run(store, "sign", "single", "--key", keys.private)
    file = {
        "missing": tmp_path / "none.pem",
        "text": tmp_path / "text.pem",
        "curve": make_keys(tmp_path, "curve", curve=True).public,
        "private": keys.private,
    }[what]
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(UsageError) as raised:
        open_bundle("single", store, public_key=file)
    assert str(file) in raised.value.message


def test_without_the_library_the_error_names_its_extra(
    store: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for arguments in (("sign", "--key", keys.private), ("verify", "--key", keys.public)):
        command, *rest = arguments
        with pytest.raises(UsageError) as raised:
            run(store, command, "single", *rest)
        assert "'.[cpu,signing]'" in raised.value.fix


def test_an_unsigned_bundle_is_opened_without_the_library(store: Path) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from stream.bundle import open_bundle; open_bundle(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, store / "single" / "1"], check=True)


async def test_the_setting_applies_to_the_worker(store: Path, keys: Keys) -> None:
    settings = load_settings(
        {"bundle": "single", "bundle_store": store, "device": "cpu", "require_signature": keys.public}
    )
    with pytest.raises(BundleError, match="is not signed"):
        await open_model("single", "fp32", settings, None, Metrics())
    run(store, "sign", "single", "--key", keys.private)
    opened = await open_model("single", "fp32", settings, None, Metrics())
    opened.classifier.close()
