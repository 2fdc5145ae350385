"""The settings of a bundle's variants: those to make, and those to publish although they fail their check."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stream.errors import UsageError
from trainer.config.settings import OUTPUT, Flag, SettingsGroup

VariantName = Literal["fp32", "int8", "int8-static", "fp16"]
OptionalVariant = Literal["int8", "int8-static", "fp16"]
OPTIONAL_VARIANTS: tuple[OptionalVariant, ...] = get_args(OptionalVariant)


class VariantSettings(SettingsGroup):
    """The variants of a bundle.

    Raises:
        UsageError: a name is unknown, or a variant is accepted that is not made.
    """

    names: Annotated[
        tuple[VariantName, ...], Flag(OUTPUT, "--variants", default="all that the installed libraries make")
    ] = Field((), description="Variants of the graph: A,B,C. fp32 is always made.")
    accepted: Annotated[tuple[OptionalVariant, ...], Flag(OUTPUT, "--accept-variant")] = Field(
        (), description="Variants to publish even if they fail their parity check; the manifest records it."
    )

    @field_validator("accepted", mode="before")
    @classmethod
    def _not_fp32(cls, value: Any) -> Any:
        if "fp32" in value:
            raise UsageError(
                "--accept-variant fp32 is not possible",
                cause="fp32 is the export itself, and the other variants are made from it",
                fix=f"leave it out, or name one of: {', '.join(OPTIONAL_VARIANTS)}",
            )
        return value

    @field_validator("names", "accepted")
    @classmethod
    def _distinct(cls, value: tuple[VariantName, ...], info: ValidationInfo) -> tuple[VariantName, ...]:
        if not value:
            option = "--variants" if info.field_name == "names" else "--accept-variant"
            raise UsageError(
                f"{option} names no variant",
                cause="the list is empty",
                fix=f"name one or more variants, such as {option} int8, or leave {option} out",
            )
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        missing = [name for name in self.accepted if name not in self.wanted]
        if missing:
            raise UsageError(
                f"--accept-variant {missing[0]} names a variant that is not made",
                cause=f"--variants lists only {', '.join(self.names)}",
                fix=f"use --variants {','.join((*self.names, *missing))}",
            )
        return self

    @property
    def wanted(self) -> tuple[OptionalVariant, ...]:
        """The variants to make if their libraries are installed, without fp32."""
        return tuple(name for name in OPTIONAL_VARIANTS if not self.names or name in self.names)

    @property
    def required(self) -> tuple[OptionalVariant, ...]:
        """The variants that the user named, without fp32."""
        return tuple(name for name in OPTIONAL_VARIANTS if name in (*self.names, *self.accepted))
