"""From ADU to electrons: bias, read noise, combination of exposures, cosmic rays."""
