#!/usr/bin/env bash
# Breaks the engine on purpose, one patch at a time, and shows that the property tests notice.
#
#   engine/tests/mutants/run.sh            # all patches beside this script
#   engine/tests/mutants/run.sh NAME...    # some of them
#
# Works on a scratch copy of the tree and shares the target folder with it. Takes a minute or two for
# each patch, so it is no part of continuous integration. Exit status 0 if every mutant is caught.
# What it last said is in README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
# The engine alone is compiled anew for each mutant: quickly rather than well.
quick=(--config 'profile.release.package.pleach-engine.opt-level=1')

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for patch in "$here"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

tar -C "$root" --exclude=./target --exclude=./.git -cf - . | tar -C "$scratch" -xf -
survivors=0
for name in "${names[@]}"; do
  if ! patch -d "$scratch" -p1 -s --fuzz=3 <"$here/$name.patch"; then
    echo "$name: the patch does not apply any more; make it anew"
    exit 2
  fi
  log="$scratch/$name.log"
  if ! (cd "$scratch" && cargo test --release --offline "${quick[@]}" -p pleach-engine \
    --test properties --no-run >"$log" 2>&1); then
    echo "$name: does not compile"
    tail -n 20 "$log"
    exit 2
  fi
  if (cd "$scratch" && cargo test --release --offline "${quick[@]}" -p pleach-engine \
    --test properties >"$log" 2>&1); then
    echo "$name: SURVIVED"
    survivors=$((survivors + 1))
  else
    echo "$name: caught by $(grep -c '^test .*FAILED$' "$log" || true) tests:" \
      "$(grep '^test .*FAILED$' "$log" | sed 's/^test \(.*\) \.\.\..*/\1/' | sort | head -n 4 | paste -sd ' ')"
  fi
  patch -d "$scratch" -p1 -s -R --fuzz=3 <"$here/$name.patch"
done
echo "$survivors survived"
[ "$survivors" -eq 0 ]
