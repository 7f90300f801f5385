#!/usr/bin/env bash
# Segments the example photos with a point, a box, a correction, everything in a box and everything; prints where the overlays lie.
#
#   examples/demo.sh OUT        ANYMASK: the command, when it is not on the path
set -euo pipefail
out=${1:?folder for the overlays}
photos=$(cd "$(dirname "$0")" && pwd)

show() { echo "\$ anymask $*"; "${ANYMASK:-anymask}" "$@"; echo; }

show segment "$photos/raccoon.jpg" --point 590,250 --candidates --out "$out/point"
show segment "$photos/rocket.jpg" --box 300,120,340,410 --out "$out/box"
show segment "$photos/raccoon.jpg" --point 590,250 --point 150,250 --point 300,650,- --out "$out/points"
show segment "$photos/coffee.jpg" --grid-in-box 75,15,480,385 --out "$out/everything-in-a-box"
show everything "$photos" --out "$out/everything"

echo "Overlays:"
find "$(cd "$out" && pwd)" -name '*.png' | sort
