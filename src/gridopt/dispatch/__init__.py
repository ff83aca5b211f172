"""Dispatch: from a plan and the devices of a site to setpoints that are sent and proven, or refused."""
