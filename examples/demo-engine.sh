#!/usr/bin/env bash
# The data engine without people, in some minutes: a simulated crew annotates four photos of cell nuclei, the model is
# trained on them twice, and annotates the rest alone. Prints the numbers before and after, and where the report is.
#
#   examples/demo-engine.sh OUT        ANYMASK: the command, when it is not on the path; needs anymask[engine,train]
set -euo pipefail
out=${1:?folder for the report}
nuclei=$(cd "$(dirname "$0")" && pwd)/nuclei

rm -rf "$out/engine"
set -x
"${ANYMASK:-anymask}" engine simulate "$nuclei/annotate" --fixed "$nuclei/fixed" --quick --rounds 1,1 --photos 2,2 --out "$out/engine"
