"""Pure array functions of the reduction: no file, clock, configuration or log in here."""
