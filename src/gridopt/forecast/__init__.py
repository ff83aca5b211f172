"""Forecasts: what a series will be, with how sure that is, from what was known when the forecast was made."""
