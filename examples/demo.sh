#!/usr/bin/env bash
# Segments the example photos: one click, two clicks, a box, everything, edges. Prints where the overlays are.
#
#   examples/demo.sh OUT        ANYMASK: the command, when it is not on the path
set -euo pipefail
out=${1:?folder for the overlays}
photos=$(cd "$(dirname "$0")" && pwd)

show() { echo "\$ anymask $*"; "${ANYMASK:-anymask}" "$@"; echo; }

show segment "$photos/raccoon.jpg" --point 590,460 --candidates --out "$out/one-click"
show segment "$photos/raccoon.jpg" --point 590,460 --point 150,250 --out "$out/two-clicks"
show segment "$photos/city.jpg" --box 300,65,455,406 --out "$out/box"
show everything "$photos"/*.jpg --out "$out/everything"
show edges "$photos"/*.jpg --out "$out/edges"

echo "Overlays:"
find "$(cd "$out" && pwd)" -name '*.png' | sort
