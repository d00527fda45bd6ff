#!/bin/sh
# Starts the built-in offline agent, which writes documents from the text of the tasks.
exec flightdeck agent template
