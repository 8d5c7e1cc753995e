"""Settings, errors, the instrument's numbers, the unit of work, the recipe, nights and the Sun: no room below."""
