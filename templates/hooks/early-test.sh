#!/bin/sh
# Before the agent's first turn: runs the project's own tests once and tells the agent how they stand, so that a base
# that is broken already is known before money is spent on it. It never stops the agent.
set -u

cd "$CLAUDE_PROJECT_DIR/${FD_WORKING_DIRECTORY:-.}" || exit 0
if [ -f Cargo.toml ] && command -v cargo >/dev/null; then
  command="cargo test --quiet"
elif [ -f package.json ] && [ -d node_modules ] && command -v npm >/dev/null; then
  command="npm test --silent"
elif [ -f go.mod ] && command -v go >/dev/null; then
  command="go test ./..."
elif [ -f pyproject.toml ] && command -v pytest >/dev/null; then
  command="pytest --quiet"
else
  echo "No test command is known for this project; find out how it is tested before changing it."
  exit 0
fi

log=$(mktemp)
if $command >"$log" 2>&1; then
  echo "Before any change, \`$command\` passes."
else
  echo "Before any change, \`$command\` FAILS. Do not take these failures for your own; the end of its output:"
  tail -n 40 "$log"
fi
rm -f "$log"
