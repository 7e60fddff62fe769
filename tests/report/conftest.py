from scored_trainings import make_model, write_training

__all__ = ["make_model", "write_training"]
