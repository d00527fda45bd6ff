#!/bin/sh
# Stop hook: commits the agent's changes locally. Another stage publishes them with its own credential.
# A docs run commits only its own documents, so that a stray file does not fail the run; a code run commits everything but
# the plan.
set -eu

# The project may be a subfolder of the repository.
cd "$FD_PROJECT_DIR"
export GIT_LITERAL_PATHSPECS=1
if [ "$FD_KIND" = docs ]; then
  set --
  for task in $FD_TASKS; do
    for file in task.md prompt.md design-spec.md acceptance-criteria.md; do
      if [ -f "$FD_DOCUMENTS/task-$task/$file" ]; then
        set -- "$@" "$FD_DOCUMENTS/task-$task/$file"
      fi
    done
  done
  message="docs: work of $FD_RUN"
else
  export GIT_LITERAL_PATHSPECS=0
  set -- ':/' ':(exclude,top,glob)**/.taskmaster/tasks/tasks.json'
  message="feat: work of $FD_RUN on task $FD_TASKS"
fi
if [ $# -eq 0 ]; then
  exit 0
fi

# Force: the repository may ignore its documents folder.
if [ "$FD_KIND" = docs ]; then
  git add --force -- "$@"
else
  # A path that cannot be added (a nested repository without commits) does not stop the rest.
  git add --all --ignore-errors -- "$@" || :
fi
if git diff --cached --quiet --no-ext-diff -- "$@"; then
  exit 0
fi
git -c core.hooksPath=/dev/null commit --quiet --only --message "$message" -- "$@"
