"""The coupon study: AgentSim's Table 1 replicated, and the same question asked correctly."""
