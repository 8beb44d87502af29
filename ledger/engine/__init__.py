"""The reward engine: one leader that reads facts in log order and appends rewards, exactly once."""

from ledger.engine.engine import POSITION, EngineStuck, NotLeader, RewardEngine

__all__ = ["POSITION", "EngineStuck", "NotLeader", "RewardEngine"]
