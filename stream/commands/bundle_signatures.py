"""`labelstream bundles sign` and `verify`: signatures of bundles."""

from pathlib import Path
from typing import Annotated

import typer

from stream.bundle import open_bundle, sign_bundle
from stream.wording import BUNDLE_FORMS

Downloadable = Annotated[
    str,
    typer.Argument(help=f"Bundle: {BUNDLE_FORMS}.", metavar="BUNDLE"),
]
StoreOption = Annotated[Path, typer.Option(help="Folder with the bundles.")]


def sign(
    bundle: Annotated[
        str, typer.Argument(help="Bundle: a folder, or NAME or NAME@VERSION in the store.", metavar="BUNDLE")
    ],
    *,
    key: Annotated[Path, typer.Option(help="Ed25519 private key, PEM.", metavar="PRIVATE_KEY.pem")],
    bundle_store: StoreOption = Path("bundles"),
) -> None:
    """Sign a bundle, after its digests are checked. `worker --require-signature` checks the signature.

    The signature is the file labelstream.sig in the bundle's folder; it covers the manifest, and with it the
    digest of every other file. To make a key pair:

        openssl genpkey -algorithm ed25519 -out private.pem

        openssl pkey -in private.pem -pubout -out public.pem

        labelstream bundles sign support@3 --key private.pem
    """
    signed = sign_bundle(bundle, key, bundle_store)
    typer.echo(f"{signed.reference}: signed, {len(signed.manifest.files)} digests match")


def verify(
    bundle: Downloadable,
    *,
    key: Annotated[Path, typer.Option(help="Ed25519 public key, PEM.", metavar="PUBLIC_KEY.pem")],
    bundle_store: StoreOption = Path("bundles"),
) -> None:
    """Check the signature and all digests of a bundle. The exit code is 3 if one of them is wrong.

    `labelstream verify` also compares the model with the stored logits.

        labelstream bundles verify support@3 --key public.pem
    """
    found = open_bundle(bundle, bundle_store, public_key=key)
    typer.echo(f"{found.reference}: the signature is right, {len(found.manifest.files)} digests match")
