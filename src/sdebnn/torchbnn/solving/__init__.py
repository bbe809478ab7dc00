"""Solutions over depth by torchsde's methods, their noise, and the gradients that keep little memory."""
