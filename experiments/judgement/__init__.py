"""The verdict: our simulator, baseline generators and real customers, judged alike."""
