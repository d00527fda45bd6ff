#!/bin/sh
# SessionStart hook: runs the project's tests once and reports the result to the agent, so that it knows of failures that
# existed before its changes. Never stops the agent.
set -u

# The project may be a subfolder of the repository.
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
  echo "No known test command for this project; find out how to test it before you change it."
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
  echo "Before any change, \`$command\` took more than 10 minutes and was stopped; run only the tests of what you change."
else
  echo "Before any change, \`$command\` FAILS. These failures are not caused by your changes. The end of the output:"
  tail -n 40 "$log"
fi
rm -f "$log"
exit 0
