#!/bin/sh
# `sample-bundle NAME` trains a bundle on the sample, with the flags in $SAMPLE_FLAGS, unless the store has a bundle
# of this name; NAME may be NAME@VERSION. All other arguments are a labelstream command.
set -eu
if [ "${1:-}" != sample-bundle ]; then
  exec labelstream "$@"
fi

name=${2%%@*}
if [ -e "bundles/$name/latest" ]; then
  echo "the store has a bundle $name; no training needed"
elif [ "$name" = support ]; then
  # shellcheck disable=SC2086 - the flags are separate words
  exec labelstream train sample --name support ${SAMPLE_FLAGS:-}
else
  echo "error: the store has no bundle $name" >&2
  echo "cause: only the bundle support can be trained on the sample" >&2
  echo "fix: train it on your data, see docs/tutorial.md" >&2
  exit 3
fi
