#!/usr/bin/env bash
# Breaks the engine on purpose, one patch at a time, and shows that the property tests notice.
#
#   engine/tests/mutants/run.sh            # all patches beside this script
#   engine/tests/mutants/run.sh NAME...    # some of them
#
# Patches whose names begin with scheduler- run against that crate's tests, the others against the
# engine's properties. Works on a scratch copy of the tree and shares the target folder with it. Takes
# minutes for each patch, so it is no part of continuous integration. Exit status 0 if every mutant
# is caught. "Caught by 0 tests" is a run that was stopped because it did not end.
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
# Too slow for its watchdog on a busy machine when compiled quickly, mutant or not.
slow=one_transaction_writes_thousands_of_slots
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
  case "$name" in
    scheduler-*) tests=(-p pleach-scheduler) ;;
    *) tests=(-p pleach-engine --test properties) ;;
  esac
  if ! (cd "$scratch" && cargo test --release --offline "${quick[@]}" "${tests[@]}" \
    --no-run >"$log" 2>&1); then
    echo "$name: does not compile"
    tail -n 20 "$log"
    exit 2
  fi
  # A scheduler that has lost a transaction may never end; no test of its own tells.
  if (cd "$scratch" && timeout 900 cargo test --release --offline --no-fail-fast \
    "${quick[@]}" "${tests[@]}" -- --skip "$slow" >"$log" 2>&1); then
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
