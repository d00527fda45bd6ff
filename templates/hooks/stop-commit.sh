#!/bin/sh
# When the agent stops: commits what is there, locally. Publishing is another stage's work, with a credential of its own.
set -eu

cd "$CLAUDE_PROJECT_DIR"
if [ -z "$(git status --porcelain)" ]; then
  exit 0
fi
git add --all
if [ "$FD_KIND" = docs ]; then
  message="docs: work of $FD_RUN"
else
  message="feat: work of $FD_RUN on task $FD_TASKS"
fi
git -c core.hooksPath=/dev/null commit --quiet --message "$message"
