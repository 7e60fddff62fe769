"""The selective scan: one operator, several backends."""
