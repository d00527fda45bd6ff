#!/bin/sh
# Starts Claude Code on the run's prompt, in the directory it is called in. Its output is the run's log.
# Everything it is told comes from environment variables and from files beside it, never from text put into this script.
set -eu

# Which tools the tool server offers; the server reads it where the run names one.
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
  # Older versions know no budget: it is then held by whoever follows the log.
  case "$(claude --help 2>/dev/null)" in
    *--max-budget-usd*) set -- "$@" --max-budget-usd "$FD_BUDGET_USD" ;;
    *) echo "this version of the agent takes no budget; going on without one" >&2 ;;
  esac
fi

# The prompt goes in by standard input: an argument could be too long, or be taken for an option.
exec claude "$@" <"$FD_PROMPT_FILE"
