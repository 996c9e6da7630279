"""When can an off-policy estimate be trusted? Against the true values that the simulator knows."""
