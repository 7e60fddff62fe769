"""Networks that tell what a whole image shows, on a contract of their own."""
