#!/bin/sh
# `sample-bundle NAME`: train on the sample unless the store holds NAME, a bundle or NAME@VERSION; with the flags
# in $SAMPLE_FLAGS, if any.
# Anything else is a labelstream command.
set -eu
if [ "${1:-}" != sample-bundle ]; then
  exec labelstream "$@"
fi

name=${2%%@*}
if [ -e "bundles/$name/latest" ]; then
  echo "the store holds a bundle $name: nothing to train"
elif [ "$name" = support ]; then
  # shellcheck disable=SC2086 - these are words
  exec labelstream train sample --name support ${SAMPLE_FLAGS:-}
else
  echo "error: the store holds no bundle $name" >&2
  echo "  mend: make it with the trainer, see docs/tutorial.md" >&2
  exit 3
fi
