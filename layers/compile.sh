#!/bin/sh
# Strip a layer's packages of what no function reads, and compile them.
# $1: the layer's folder, which becomes /opt in Lambda.
#
# Bytecode is shipped because /opt is read-only: without it every cold start compiles the modules.
# It is not checked against the source (unchecked-hash), which cannot change there.
set -e
cd "$1/python"
rm -rf bin .lock
find . -type d \( -name __pycache__ -o -name tests -o -name .hash \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' \
  -o -name '*.[ch]' -o -name '_testcapi.*.so' -o -name direct_url.json -o -name uv_cache.json \
  -o -path '*.dist-info/RECORD' -o -path '*.dist-info/INSTALLER' \
  -o -path '*.dist-info/REQUESTED' \) -exec rm {} +
python3.13 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$1" -p /opt "$1/python"
