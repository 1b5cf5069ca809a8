"""The face and the wiring: app, doors, API, pages, worker, cron, command line."""
