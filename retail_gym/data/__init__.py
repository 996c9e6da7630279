"""Purchase records: one table type for real data, simulated runs and tables of your own."""

from retail_gym.data.complete_journey import households, load_complete_journey
from retail_gym.data.fuel import Fuel
from retail_gym.data.schema import read_dataset, read_transactions
from retail_gym.data.table import Transactions

__all__ = [
    "Fuel",
    "Transactions",
    "households",
    "load_complete_journey",
    "read_dataset",
    "read_transactions",
]
