#!/usr/bin/env bash
# Train the default model from the ImageNet trunk, export it, measure it. Resumes when run again.
#
#   recipes/train_lite.sh DATA OUT      DATA: folder with train/*.tar and val/*.tar;  OUT: folder of the run
#
# Two processes with one thread each use two cores better than one process with two: they meet once per step instead of
# at every operator. PROCESSES=<cores> on larger machines. The stage `long` is for one accelerator (thirteen minutes on an
# H200); on two cores it takes days.
set -euo pipefail
data=${1:?folder with train/ and val/}
out=${2:?folder for the run}
processes=${PROCESSES:-2}

# glibc gives large blocks back to the system after every operator; keeping them saves page faults.
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

shards=()
for shard in "$data"/train/train-*.tar "$data"/train/duts-*.tar; do shards+=(--data "$shard"); done
train() { torchrun --standalone --nproc-per-node "$processes" -m anymask train "${shards[@]}" "$@"; }
train --recipe lite --out "$out/first"
train --recipe polish --set weights_from="$out/first" --out "$out/second"

# The mean of both is better at the first click than either: the second stage sees closer, the first sees wider.
anymask export "$out/first" --mean-with "$out/second" --out "$out/mean"

# The whole network once more, on an accelerator. With a part of what it started from it is better than either; last it
# learns how probable its answers are, from what comes true of them in use on photos it has not seen, while the masks stay
# as they are.
anymask train "${shards[@]}" --recipe long --set weights_from="$out/mean/lite.safetensors" --out "$out/long"
python "$(dirname "$0")/choice.py" "$out/long" "$out/choice" "$data"/train/train-*.tar "$data"/train/duts-*.tar \
  --mix "$out/mean/lite.safetensors"

# Where things are: a head on the finished encoder. Photos of which only boxes are known teach it too.
for shard in "$data"/train/boxes*.tar; do if [ -e "$shard" ]; then shards+=(--data "$shard"); fi; done
train --recipe boxes --set weights_from="$out/choice" --out "$out/boxes"

# Where they end: another, from photos that are outlined everywhere.
train --recipe edges --set weights_from="$out/choice" --out "$out/edges"
anymask export "$out/choice" --half --boxes "$out/boxes" --edges "$out/edges" --out "$out/exported" \
  --card "$(dirname "$0")/lite.card.json"
for set in grabcut davis; do anymask evaluate clicks "$data/val/$set.tar" --model "$out/exported/lite.json" --json; done
anymask evaluate clicks "$data/val/coco.tar" --max-clicks 5 --model "$out/exported/lite.json" --json
anymask evaluate boxes "$data/val/coco.tar" --model "$out/exported/lite.json" --json
anymask evaluate proposals "$data/val/coco.tar" --model "$out/exported/lite.json" --json
anymask evaluate edges "$data/val/bsds.tar" --model "$out/exported/lite.json" --json
anymask evaluate calibration "$data/val/coco.tar" --model "$out/exported/lite.json" --json --plot "$out/reliability.png"
