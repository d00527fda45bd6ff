#!/bin/sh
# Before the agent's first turn: runs the project's own tests once and tells the agent how they stand, so that a base
# that is broken already is known before money is spent on it. It never stops the agent.
set -u

# The project, which may be a folder of the repository.
cd "$FD_PROJECT_DIR" || exit 0
if [ -f Cargo.toml ] && command -v cargo >/dev/null; then
  set -- cargo test --quiet
elif [ -f package.json ] && [ -d node_modules ] && command -v npm >/dev/null; then
  set -- npm test --silent
elif [ -f go.mod ] && command -v go >/dev/null; then
  set -- go test ./...
elif [ -f pyproject.toml ] && command -v pytest >/dev/null; then
  set -- pytest --quiet
else
  echo "No test command is known for this project; find out how it is tested before changing it."
  exit 0
fi

command="$*"
if command -v timeout >/dev/null; then
  set -- timeout 600 "$@"
fi
log=$(mktemp)
"$@" >"$log" 2>&1 </dev/null
code=$?
if [ $code -eq 0 ]; then
  echo "Before any change, \`$command\` passes."
elif [ $code -eq 124 ]; then
  echo "Before any change, \`$command\` takes more than 10 minutes and was ended; run the tests of what you touch."
else
  echo "Before any change, \`$command\` FAILS. Do not take these failures for your own; the end of its output:"
  tail -n 40 "$log"
fi
rm -f "$log"
exit 0
