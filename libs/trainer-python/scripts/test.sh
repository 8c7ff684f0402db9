#!/bin/sh
# Runs the tests. Where Python or its packages cannot be had they are skipped, by name; in CI that is a failure.
set -e
cd "$(dirname "$0")/.."
if ! python=$(python3 scripts/environment.py "$@"); then
  if [ -n "$CI" ]; then exit 1; fi
  echo "skipped: the tests of trainer-python need Python 3.10 or newer, and packages of PyPI"
  exit 0
fi
exec "$python" -m unittest discover -s test
