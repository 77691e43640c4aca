"""How a scene is shown to a person, on paper or screen: drawn, with evidence, with what humans say of each relation."""
