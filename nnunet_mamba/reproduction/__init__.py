"""The papers' result tables as experiments that are declared as data, and what runs them with the house's own parts."""
