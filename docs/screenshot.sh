#!/bin/sh
# Make the picture of the report for the READMEs, from a run directory:
#     docs/screenshot.sh runs/demo
# Needs Chromium; set CHROMIUM to use a compatible browser. HEIGHT is in pixels.
set -eu
cd "$(dirname "$0")/.."
run=${1:?"which run? docs/screenshot.sh RUN"}
picture=docs/images/report.png
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

"${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --disable-background-networking \
  --disable-component-update --disable-sync --no-first-run --hide-scrollbars \
  --user-data-dir="$profile" --window-size="1000,${HEIGHT:-1860}" --screenshot="$picture" \
  "file://$(realpath "$run/report.html")" 2>"$profile/log" || { cat "$profile/log" >&2; exit 1; }

# 128 colours are enough for a page of text and lines, and the file has a third of the size.
.venv/bin/python - "$picture" <<'PYTHON'
import sys
from PIL import Image

Image.open(sys.argv[1]).convert("RGB").quantize(128).save(sys.argv[1], optimize=True)
PYTHON
ls -l "$picture"
