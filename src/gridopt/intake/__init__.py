"""Intake: files of prices, meters, weather and cars, read as they come and told what was wrong with them."""
