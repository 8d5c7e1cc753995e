"""Pointing, seeing and transparency of an exposure from the stars that acquisition and guider frames show."""
