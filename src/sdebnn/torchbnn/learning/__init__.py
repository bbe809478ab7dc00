"""What trains: networks, model, objective, likelihoods, processes and the learner."""
