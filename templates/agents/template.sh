#!/bin/sh
# Starts the offline agent that is built into flightdeck: it writes documents from the tasks' own text.
exec flightdeck agent template
