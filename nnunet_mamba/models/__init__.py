"""Trained models: what is known of them and their weights, in one format for sharing and in nnU-Net's own."""
