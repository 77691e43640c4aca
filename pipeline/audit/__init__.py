"""`relmill audit`: samples for people, the page they judge them on, and what follows."""
