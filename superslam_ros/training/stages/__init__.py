"""The stages of training: what is learnt from which data, by which loss."""
