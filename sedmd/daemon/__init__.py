"""The service: it watches the raw root, asks the planner what is due and keeps the workers busy."""
