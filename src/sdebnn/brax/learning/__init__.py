"""What trains: networks, model, objective, likelihoods, devices and the learner."""
