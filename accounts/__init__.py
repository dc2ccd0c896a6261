"""Trading accounts at brokers, as the provisioning API of a backend shows and changes them."""
