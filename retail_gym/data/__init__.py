"""Purchase records: one table type for real data, simulated runs and tables of your own."""

from retail_gym.data.complete_journey import complete_journey, households
from retail_gym.data.schema import read_transactions
from retail_gym.data.table import Transactions

__all__ = ["Transactions", "complete_journey", "households", "read_transactions"]
