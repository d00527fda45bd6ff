#!/bin/sh
# When the agent stops: commits what is there, locally. Publishing is another stage's work, with a credential of its own.
# Of a docs run only its own documents are taken, so that a stray file does not spoil the run; of a code run everything but
# the plan.
set -eu

# The project, which may be a folder of the repository.
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

# A repository may ignore its documents; the run is there to write them.
if [ "$FD_KIND" = docs ]; then
  git add --force -- "$@"
else
  # What cannot be added (a repository without a commit) keeps nothing else from being so.
  git add --all --ignore-errors -- "$@" || :
fi
if git diff --cached --quiet --no-ext-diff -- "$@"; then
  exit 0
fi
git -c core.hooksPath=/dev/null commit --quiet --only --message "$message" -- "$@"
