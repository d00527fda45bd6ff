#!/bin/sh
# Starts Claude Code with the run's prompt in the current directory. Its output is the run's log.
# Its input is read from environment variables and from files beside this script; nothing is rendered into the script.
set -eu

# The tools that the tool server offers, if the run configures one.
if [ -f "$FD_RUN_FILES/client-config.json" ]; then
  export MCP_CLIENT_CONFIG="$FD_RUN_FILES/client-config.json"
fi

set -- -p --output-format stream-json --verbose \
  --settings "$FD_RUN_FILES/settings.local.json" \
  --mcp-config "$FD_RUN_FILES/mcp.json"
if [ -n "${FD_MODEL:-}" ]; then
  set -- "$@" --model "$FD_MODEL"
fi
if [ -n "${FD_MAX_TURNS:-}" ]; then
  set -- "$@" --max-turns "$FD_MAX_TURNS"
fi
if [ -n "${FD_SESSION:-}" ]; then
  set -- "$@" --resume "$FD_SESSION"
fi
if [ -n "${FD_BUDGET_USD:-}" ]; then
  # Older versions have no budget option: the budget must then be watched in the log.
  case "$(claude --help 2>/dev/null)" in
    *--max-budget-usd*) set -- "$@" --max-budget-usd "$FD_BUDGET_USD" ;;
    *) echo "this version of claude has no --max-budget-usd; continuing without a budget" >&2 ;;
  esac
fi

# Pass the prompt on stdin: as an argument it could be too long, or be parsed as an option.
exec claude "$@" <"$FD_PROMPT_FILE"
