"""What a Mamba block does to its tokens, as one function: composed of torch's operators, or fused where it is small."""
